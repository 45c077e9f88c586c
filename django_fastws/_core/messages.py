"""Messages: received (``WebSocketMessage``), to be sent (``Payload``), and batched (``Batch``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, ClassVar

from .deflate import Deflater
from .frames import BINARY, TEXT, frame
from .json import loads
from .positions import Position

__all__ = ["Batch", "Payload", "StoredPayload", "VolatilePayload", "WebSocketMessage", "size_of"]


def size_of(data: str | bytes) -> int:
    """Number of bytes of a message, of a text in UTF-8."""
    if isinstance(data, str) and not data.isascii():
        return len(data.encode("utf-8", "surrogatepass"))
    return len(data)


class WebSocketMessage:
    """One message, as it was received.

    Attributes:
        data: ``str`` for a text message, ``bytes`` for a binary one. Either may be empty.
    """

    __slots__ = ("data",)

    def __init__(self, data: str | bytes) -> None:
        self.data = data

    @property
    def text(self) -> str | None:
        """The text, or None if the message is binary."""
        data = self.data
        return data if isinstance(data, str) else None

    def json(self) -> Any:
        """The message decoded as JSON, whether it is text or binary.

        Raises:
            ValueError: it is not JSON, or a binary message that is not UTF-8.
        """
        return loads(self.data)

    def __str__(self) -> str:
        return self.data if isinstance(self.data, str) else repr(self.data)

    def __repr__(self) -> str:
        return f"WebSocketMessage({self.data!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, WebSocketMessage):
            return NotImplemented
        return type(self.data) is type(other.data) and self.data == other.data

    def __hash__(self) -> int:
        return hash(self.data)


class Payload:
    """Message to be sent, encoded at most once however many sockets it goes to.

    Args:
        data: ``str`` for a text message, ``bytes`` for a binary one, or, with ``is_text``, a text message's UTF-8.
        is_text: whether ``bytes`` are the UTF-8 of a text message.

    Attributes:
        binary: whether it is a binary message.
        known_text: the text of a text message, if it was not made of bytes that are still to be decoded; else None.
        is_volatile: whether it is the first to be dropped, where a client is too slow.
    """

    #: ``_compressed``, its frames by who has compressed it, is only there once there are any.
    __slots__ = ("_compressed", "_frame", "_raw", "binary", "known_text")

    is_volatile: ClassVar[bool] = False
    #: In a room's history; None where it is not stored.
    position: Position | None = None
    #: Name of the room, as JSON, of an event for live members.
    room: bytes = b""

    @property
    def comes_again(self) -> bool:
        """Whether it need not wait for a client that is too slow: what it says can be sent later."""
        return self.position is not None

    def __init__(self, data: str | bytes, *, is_text: bool = False) -> None:
        # One is made for each message: nothing is assigned twice.
        self._frame: bytes | None = None
        self.known_text: str | None
        self._raw: bytes | None
        if isinstance(data, str):
            self.known_text, self._raw, self.binary = data, None, False
        else:
            self.known_text, self._raw, self.binary = None, data, not is_text

    @property
    def raw(self) -> bytes:
        """Data of the frame: the bytes, or the text in UTF-8."""
        raw = self._raw
        if raw is None:
            raw = self._raw = (self.known_text or "").encode()
        return raw

    @property
    def text(self) -> str:
        """The text of a text message."""
        text = self.known_text
        if text is None:
            text = self.known_text = (self._raw or b"").decode()
        return text

    @property
    def frame(self) -> bytes:
        """The message as a server's frame."""
        made = self._frame
        if made is None:
            made = self._frame = frame(BINARY if self.binary else TEXT, self.raw)
        return made

    def frame_by(self, deflater: Deflater) -> bytes:
        """The message as the frame of a server that compresses, or as it is if that is not worth while; made once."""
        try:
            made = self._compressed.get(deflater)
        except AttributeError:
            self._compressed: dict[Deflater, bytes] = {}
            made = None
        if made is None:
            made = deflater.frame(BINARY if self.binary else TEXT, self.raw) or self.frame
            self._compressed[deflater] = made
        return made

    @property
    def payloads(self) -> tuple[Payload, ...]:
        """The one message, so that it can stand where a batch may."""
        return (self,)

    def substitute(self) -> Payload | None:
        """What those get who are excluded from it; None is nothing."""
        return None

    def without(self, missed: Sequence[int]) -> Payload | None:
        """The message without itself, as ``Batch.without``."""
        return self.substitute()

    def __len__(self) -> int:
        """The size of the message, in bytes."""
        return len(self.raw)

    def __repr__(self) -> str:
        return f"Payload({self.raw!r}, is_text={not self.binary})"


class StoredPayload(Payload):
    """Message that is stored in a room's history.

    Attributes:
        position: there.
    """

    __slots__ = ("position",)

    def __init__(self, data: str | bytes, position: Position) -> None:
        super().__init__(data)
        self.position = position


class VolatilePayload(Payload):
    """Message that is the first to be dropped, where a client is too slow."""

    __slots__ = ()

    is_volatile = True


class Batch:
    """Batch of messages to be sent together, in order, to any number of sockets: their frames are joined once.

    Attributes:
        frame: the frames of the messages, one after the other.
    """

    __slots__ = ("_compressed", "_ends", "_payloads", "_source", "frame")

    def __init__(self, payloads: Sequence[Payload]) -> None:
        self._payloads: tuple[Payload, ...] | None = tuple(payloads)
        self._source: tuple[tuple[Payload, ...], Mapping[int, Payload | None]] = ((), {})
        self._ends: list[int] | None = None
        self.frame = b"".join([payload.frame for payload in payloads])

    def frame_by(self, deflater: Deflater) -> bytes:
        """The frames of a server that compresses, one after the other; made once."""
        try:
            made = self._compressed.get(deflater)
        except AttributeError:
            self._compressed: dict[Deflater, bytes] = {}
            made = None
        if made is None:
            made = self._compressed[deflater] = b"".join([one.frame_by(deflater) for one in self.payloads])
        return made

    @property
    def payloads(self) -> tuple[Payload, ...]:
        """The messages."""
        payloads = self._payloads
        if payloads is None:
            every, substitutes = self._source
            found = [substitutes.get(place, payload) for place, payload in enumerate(every)]
            payloads = self._payloads = tuple([payload for payload in found if payload is not None])
        return payloads

    def without(self, missed: Sequence[int]) -> Batch | None:
        """The batch of all but these of its messages, or with their substitutes; None if nothing is left.

        Its frames are cut out of this one's, so it costs a copy of their bytes and nothing for each message.

        Args:
            missed: the places of messages, ascending.
        """
        payloads = self.payloads
        substitutes = {place: payloads[place].substitute() for place in missed}
        if len(missed) >= len(payloads) and not any(substitutes.values()):
            return None
        ends = self._ends
        if ends is None:
            ends = self._ends = list(accumulate([len(payload.frame) for payload in payloads]))
        view, parts, start = memoryview(self.frame), [], 0
        for place, substitute in substitutes.items():
            parts.append(view[start : ends[place - 1] if place else 0])
            start = ends[place]
            if substitute is not None:
                parts.append(memoryview(substitute.frame))
        parts.append(view[start:])
        left = Batch.__new__(Batch)
        left._payloads, left._source, left._ends = None, (payloads, substitutes), None
        left.frame = b"".join(parts)
        return left

    def __repr__(self) -> str:
        return f"Batch({list(self.payloads)!r})"
