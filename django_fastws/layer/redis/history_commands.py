"""History in Redis: the commands for the scripts that store and that read, and their replies."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from ..._core.envelope import EncodedEnvelope, Envelope, decode
from ..._core.history import History
from ..._core.history_page import HistoryPage, PageQuery, StoredEnvelope
from ..._core.positions import Position
from ..._core.resp import ErrorReply, command
from .history_scripts import CLEAR, MARK, READ, STORE

__all__ = [
    "ASK_DURABILITY",
    "clear_command",
    "decode_page",
    "decode_position",
    "durable_server",
    "forget_command",
    "is_loading",
    "is_of_replica",
    "is_unknown_script",
    "milliseconds",
    "read_command",
    "refusal",
    "split_position",
    "store_command",
]


_CALL = re.compile(
    r"ERR Error running script \(call to f_\w+\): @user_script:\d+: (?:@user_script: ?\d+: )?-?(.*)", re.DOTALL
)
_PLACE = re.compile(r" script: (\w+, )?on @user_script:\d+\.?$")
_OF_A_CLUSTER = ("MOVED ", "ASK ", "CROSSSLOT ", "CLUSTERDOWN ")
_TOO_OLD = "Invalid stream ID specified"


def refusal(text: str) -> str:
    """What Redis refuses, without the place in a script where it has said so."""
    text = _PLACE.sub("", _CALL.sub(r"\1", text))
    if text.startswith(_OF_A_CLUSTER):
        return f"{text}; it is a node of a Redis Cluster: name it in cluster of CHANNEL_LAYERS, not in hosts"
    return "this is older than Redis 6.2, which a history needs; Valkey is as good" if _TOO_OLD in text else text


def is_unknown_script(reply: Any) -> bool:
    """Whether a reply says that a command's script has to be loaded, for Redis has restarted, or was told to."""
    return type(reply) is ErrorReply and reply.text.startswith("NOSCRIPT")


def is_loading(reply: Any) -> bool:
    """Whether a reply says that Redis has started, and still reads its data, until when nothing is stored."""
    return type(reply) is ErrorReply and reply.text.startswith("LOADING")


def is_of_replica(reply: Any) -> bool:
    """Whether a reply says that Redis follows another one, which may have taken over: nothing can be stored there."""
    return type(reply) is ErrorReply and refusal(reply.text).startswith(("READONLY", "MASTERDOWN"))


@lru_cache(maxsize=4096)
def _keys(prefix: str, group: str) -> tuple[bytes, bytes]:
    tag = f"{prefix}:history:{{{group}}}:"
    return f"{tag}meta".encode(), f"{tag}stream".encode()


def milliseconds(seconds: float) -> bytes:
    """A time as Redis takes it: at least one millisecond."""
    return b"%d" % max(1, round(seconds * 1000))


@lru_cache(maxsize=4096)
def _store_head(prefix: str, channel: bytes, room: str, history: History) -> tuple[bytes, bytes]:
    """What is the same in each command that stores, behind the number of its parts and behind its keys."""
    meta, stream = _keys(prefix, room)
    bounds = (milliseconds(history.seconds), b"%d" % history.bytes, milliseconds(history.position_seconds))
    return _parts(meta, stream), _parts(channel, b"%d" % history.messages, *bounds)


def _parts(*parts: bytes) -> bytes:
    return command(*parts).partition(b"\r\n")[2]


_STORE_SHA1 = _parts(b"EVALSHA", STORE.sha1)
_STORE_WITHOUT_KEY = b"*14\r\n" + _STORE_SHA1 + _parts(b"2")
_STORE_WITH_KEY = b"*16\r\n" + _STORE_SHA1 + _parts(b"3")


def store_command(
    prefix: str, channel: bytes, envelope: Envelope, encoded: EncodedEnvelope, data: bytes, durable: bytes
) -> bytes:
    """The command that stores an envelope and publishes it with its position; the reply is the position.

    Args:
        prefix: of the layer.
        channel: on which it is published.
        encoded: the envelope with its sender and number, by which it is known if it is sent again.
        data: the same, serialized.
        durable: as of ``durable_server``; empty as long as that is not known.
    """
    history, key = envelope.history, envelope.idempotency_key
    assert history is not None
    keys, bounds = _store_head(prefix, channel, envelope.room, history)
    by, nr = str(encoded["by"]).encode(), str(encoded["nr"]).encode()
    about = b"$%d\r\n%b\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (
        len(durable),
        durable,
        len(by),
        by,
        len(nr),
        nr,
        len(data),
        data,
    )
    if key is None:
        return b"".join((_STORE_WITHOUT_KEY, keys, bounds, about))
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
    once = f"{prefix}:history:{{{envelope.room}}}:once:{digest}".encode()
    return b"".join((_STORE_WITH_KEY, keys, _parts(once), bounds, about, _parts(milliseconds(history.key_seconds))))


def decode_position(reply: Any) -> Position | None:
    """The position in the reply of a ``store_command``.

    Returns:
        None for an envelope that was stored already, and is not kept any more.
    """
    return Position.parse(reply.decode()) if reply else None


def read_command(prefix: str, group: str, history: History, query: PageQuery, durable: bytes) -> bytes:
    """The command that reads a part of a room's history; see ``Broker.aread_history``."""
    parts = [b"" if number is None else b"%d" % number for number in query]
    parts += b"%d" % history.messages, milliseconds(history.seconds), b"%d" % history.bytes
    parts += milliseconds(history.position_seconds), durable, _seed(), milliseconds(history.unused_seconds)
    return command(b"EVALSHA", READ.sha1, b"2", *_keys(prefix, group), *parts)


def decode_page(
    reply: list[Any], query: PageQuery, deserialize: Callable[[bytes], Any], failed: Callable[[Exception], None]
) -> HistoryPage:
    """The page in the reply of a ``read_command``.

    Args:
        deserialize: the layer's, which turns bytes into what was published.
        failed: called with what is raised for an event that cannot be decoded; it is left out.
    """
    epoch, top = reply[0].decode(), int(reply[1])
    stored = []
    for offset, at, data in zip(reply[2::3], reply[3::3], reply[4::3], strict=True):
        position = Position(epoch, int(offset))
        try:
            envelope = decode(deserialize(data), position)
        except Exception as error:
            failed(error)
            envelope = None
        if envelope is not None:
            stored.append(StoredEnvelope(position.offset, int(at) / 1000, envelope))
    if query.after is None:  # the newest came first
        stored.reverse()
    return HistoryPage(epoch, top, stored)


def clear_command(prefix: str, channel: bytes, group: str, history: History, data: bytes, durable: bytes) -> bytes:
    """The command that forgets a room's events, begins another epoch, and publishes that.

    Args:
        data: what is published, serialized.
    """
    meta_ttl = milliseconds(history.position_seconds)
    return command(b"EVALSHA", CLEAR.sha1, b"2", *_keys(prefix, group), _seed(), meta_ttl, channel, data, durable)


def forget_command(prefix: str, group: str) -> bytes:
    """The command that forgets that a room has ever had a history."""
    return command(b"DEL", *_keys(prefix, group))


def _seed() -> bytes:
    """Of an epoch, unlike any other."""
    return os.urandom(8).hex().encode()


def split_position(data: bytes) -> tuple[Position | None, bytes]:
    """What was published, apart from its position; None where it has none. It is called for every broadcast.

    Raises:
        ValueError: what stands there is no position.
    """
    if not data.startswith(MARK):
        return None, data
    # As Position.parse() does it, in a third of the time.
    end = data.find(b"\n", _MARK_SIZE, _MARK_SIZE + 64)
    epoch, _, offset = data[_MARK_SIZE:end].partition(b":")
    if end < 0 or not (epoch.isalnum() and offset.isdigit() and offset[0] != _ZERO and len(offset) <= _DIGITS):
        raise ValueError("a message with a position that is none")
    return _new(Position, (epoch.decode(), int(offset))), data[end + 1 :]


_MARK_SIZE = len(MARK)
_ZERO, _DIGITS = ord("0"), 15  # the most that an offset has
_new = tuple.__new__

#: Commands whose replies say whether a server keeps whatever it has confirmed.
ASK_DURABILITY = (command(b"INFO", b"replication"), command(b"CONFIG", b"GET", b"*append*"))

_DURABLE = {b"appendonly": b"yes", b"appendfsync": b"always", b"no-appendfsync-on-rewrite": b"no"}


def durable_server(replies: Sequence[Any]) -> bytes:
    """The id of a server that keeps whatever it has confirmed; with "!" before it, of one that may not.

    It is empty where the server does not tell.

    Args:
        replies: to the commands of ``ASK_DURABILITY``; errors say nothing.
    """
    info, settings = replies
    found = re.search(rb"master_replid:(\w+)", info) if isinstance(info, bytes) else None
    if found is None or not isinstance(settings, list):
        return b""
    if settings and isinstance(settings[0], bytes):  # names and values by turns, as RESP 2 has them
        settings = list(zip(settings[::2], settings[1::2], strict=True))
    return found[1] if _DURABLE.items() <= dict(settings).items() else b"!" + found[1]
