"""Redis' protocol, RESP 2 and 3: commands as bytes, and bytes as replies.

https://redis.io/docs/latest/develop/reference/protocol-spec/
"""

from __future__ import annotations

from typing import Any

__all__ = ["ErrorReply", "ReplyReader", "command", "publish_command", "spublish_command"]

_LINE = b"\r\n"
# How a message of a subscription begins, up to the size of the channel's name: as a push of RESP 3, and as an array.
# Those of sharded channels have one byte more: "smessage".
_MESSAGE = (
    b">3\r\n$7\r\nmessage\r\n$",
    b"*3\r\n$7\r\nmessage\r\n$",
    b">3\r\n$8\r\nsmessage\r\n$",
    b"*3\r\n$8\r\nsmessage\r\n$",
)
_MESSAGE_SIZE = len(_MESSAGE[0])
_SHARDED, _NAME_SIZE = ord("8"), 5  # where the size of "message" or "smessage" stands
_INTEGER = ord(":")


def command(*parts: bytes) -> bytes:
    """One command as Redis reads it.

    >>> command(b"PUBLISH", b"room", b"hello")
    b'*3\\r\\n$7\\r\\nPUBLISH\\r\\n$4\\r\\nroom\\r\\n$5\\r\\nhello\\r\\n'
    """
    return b"*%d\r\n" % len(parts) + b"".join([b"$%d\r\n%b\r\n" % (len(part), part) for part in parts])


def publish_command(channel: bytes, data: bytes) -> bytes:
    """The command that publishes: the same as ``command(b"PUBLISH", channel, data)``, only sooner."""
    return b"*3\r\n$7\r\nPUBLISH\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(channel), channel, len(data), data)


def spublish_command(channel: bytes, data: bytes) -> bytes:
    """The command that publishes on a sharded channel of a cluster."""
    return b"*3\r\n$8\r\nSPUBLISH\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(channel), channel, len(data), data)


class ErrorReply:
    """Reply that says that a command failed."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return f"ErrorReply({self.text!r})"


class _IncompleteError(Exception):
    """Less than one reply; at least ``missing`` bytes are to come."""

    def __init__(self, missing: int = 1) -> None:
        self.missing = missing


class ReplyReader:
    """Parser of what comes from Redis, into replies.

    An array is a list, a map a list of pairs, a push a tuple; so is a message of a subscription, whatever the
    version, sharded or not: ``(b"message", channel, data)``. Strings are bytes, numbers int or float, an error is an
    ``ErrorReply``.
    """

    __slots__ = ("_chunks", "_missing")

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self._missing = 0

    def feed(self, data: bytes) -> list[Any]:
        """Take what came.

        Returns:
            The replies that are complete now, in order.
        Raises:
            ValueError: this is not RESP.
        """
        if self._chunks:
            data = self._join(data)
        replies: list[Any] = []
        position, end = 0, len(data)
        find = data.find
        try:
            while position < end:
                if data.startswith(_MESSAGE, position):
                    # Nearly all that a subscriber gets: as _parse() does it, without a call for each part.
                    start = position + _MESSAGE_SIZE + (data[position + _NAME_SIZE] == _SHARDED)
                    stop = find(_LINE, start)
                    if stop < 0:
                        raise _IncompleteError
                    start, stop = stop + 2, stop + 2 + int(data[start:stop])
                    channel = data[start:stop]
                    start = stop + 3
                    stop = find(_LINE, start)
                    if stop < 0:
                        raise _IncompleteError
                    start, stop = stop + 2, stop + 2 + int(data[start:stop])
                    if stop + 2 > end:
                        raise _IncompleteError(stop + 2 - end)
                    replies.append((b"message", channel, data[start:stop]))
                    position = stop + 2
                elif data[position] == _INTEGER:
                    # Nearly all that a publisher gets.
                    stop = find(_LINE, position)
                    if stop < 0:
                        raise _IncompleteError
                    replies.append(int(data[position + 1 : stop]))
                    position = stop + 2
                else:
                    reply, position = _parse(data, position)
                    replies.append(reply)
        except _IncompleteError as error:
            self._chunks, self._missing = [data[position:]], error.missing
        return replies

    def _join(self, data: bytes) -> bytes:
        """All that has come of a large reply, joined once; empty while bytes are missing."""
        self._chunks.append(data)
        self._missing -= len(data)
        if self._missing > 0:
            return b""
        joined = b"".join(self._chunks)
        self._chunks = []
        return joined


def _parse(data: bytes, position: int) -> tuple[Any, int]:
    """The reply that begins at a position, and where the next one does."""
    stop = data.find(_LINE, position)
    if stop < 0:
        raise _IncompleteError
    kind, rest, position = data[position : position + 1], data[position + 1 : stop], stop + 2
    if kind in _SIMPLE:
        return _SIMPLE[kind](rest), position
    if kind not in _SIZED:
        raise ValueError(f"not a reply of Redis: {kind + rest!r}")
    size = int(rest)
    if size < 0:  # RESP 2's null
        return None, position
    if kind in (b"$", b"=", b"!"):
        stop = position + size
        if stop + 2 > len(data):
            raise _IncompleteError(stop + 2 - len(data))
        text = data[position:stop]
        if kind == b"!":
            return ErrorReply(text.decode(errors="replace")), stop + 2
        return (text[4:] if kind == b"=" else text), stop + 2  # a verbatim string begins with its format: "txt:"
    parts = []
    for _ in range(2 * size if kind in b"%|" else size):
        part, position = _parse(data, position)
        parts.append(part)
    if kind == b"|":  # attributes of the reply that follows
        return _parse(data, position)
    if kind == b"%":
        return list(zip(parts[::2], parts[1::2], strict=True)), position
    return (tuple(parts) if kind == b">" else parts), position


_SIZED = frozenset((b"$", b"=", b"!", b"*", b"~", b">", b"%", b"|"))
_SIMPLE: dict[bytes, Any] = {
    b"+": bytes,
    b"-": lambda rest: ErrorReply(rest.decode(errors="replace")),
    b":": int,
    b"(": int,
    b",": float,
    b"#": lambda rest: rest == b"t",
    b"_": lambda rest: None,
}
