"""History in Redis: scripts that store and publish in one step, and that read; their commands, and their replies.

A room has two keys with one hash tag, so that a cluster holds them on one node:

- ``PREFIX:history:{GROUP}:meta``, a hash, which outlives the events: the epoch ``e``, the offset ``o`` of the newest
  event, the offset ``f`` of the oldest one that is kept, how many bytes ``b`` are kept; the server ``r``, when
  ``c`` that was looked for last, and whether ``d`` it keeps what it has confirmed; and of each sender, ``s:NAME``,
  the number of its last event, its offset, and when it was stored.
- ``PREFIX:history:{GROUP}:stream``, a stream: the id of an event is ``OFFSET-0``; ``d`` is what was published, ``t``
  when, in milliseconds, and ``n`` who has sent it, and its number.

and for a while one for each idempotency key, ``PREFIX:history:{GROUP}:once:HASH``, with the position.

The epoch names what a server holds. Another begins where the meta is gone (flushed, evicted, expired, an empty
restart), and where another server has taken over, or the same one has restarted: the last events may be lost then,
and their offsets be given again. Only where a server keeps whatever it has confirmed (``appendfsync always``), and
has not taken over from another, a restart continues the epoch.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from ..._core.envelope import EncodedEnvelope, Envelope, decode
from ..._core.history import History
from ..._core.history_page import HistoryPage, PageQuery, StoredEnvelope
from ..._core.positions import Position
from ..._core.resp import ErrorReply, command

__all__ = [
    "ASK_DURABILITY",
    "LOAD_SCRIPTS",
    "clear_command",
    "decode_page",
    "decode_position",
    "durable_server",
    "is_unknown_script",
    "milliseconds",
    "read_command",
    "split_position",
    "store_command",
]

#: Before what is published with a position. No message of a serializer begins with this byte of msgpack, and no JSON.
_MARK = b"\xc1at "

# What the scripts have in common. The server is looked for at most every few milliseconds, for it takes longer than
# all else; nothing restarts, and takes over from nothing, in so short a time.
_COMMON = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function new_epoch(seed)
    return string.sub(redis.sha1hex(seed .. ':' .. time[1] .. ':' .. time[2] .. ':' .. KEYS[1]), 1, 12)
end

-- The epoch, which is a new one where what was written last may be lost; and the newest offset.
local function current(seed, durable, ttl, pause)
    local meta = redis.call('HMGET', KEYS[1], 'e', 'o', 'r', 'd', 'c')
    local epoch, top, server = meta[1], tonumber(meta[2]), meta[3]
    local looked = tonumber(meta[5])
    if epoch and looked and now >= looked and now - looked < pause then
        return epoch, top
    end
    local found = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or ''
    if not epoch then
        epoch, top = new_epoch(seed), 0
        redis.call('DEL', KEYS[2])
        redis.call('HSET', KEYS[1], 'e', epoch, 'o', 0, 'f', 1, 'b', 0)
    elseif server ~= found then
        local heir = string.match(redis.call('INFO', 'replication'), 'second_repl_offset:(%-?%d+)') ~= '-1'
        if meta[4] ~= '1' or heir then
            epoch = new_epoch(seed)
            redis.call('HSET', KEYS[1], 'e', epoch)
        end
    end
    -- Who does not know whether this server keeps what it confirms leaves that as it is.
    local keeps = ''
    if durable == found or (durable ~= '!' .. found and server == found) then
        keeps = durable == found and '1' or meta[4] or ''
    end
    redis.call('HSET', KEYS[1], 'r', found, 'd', keeps, 'c', now)
    redis.call('PEXPIRE', KEYS[1], ttl)
    return epoch, top
end
"""

# KEYS: meta, stream, once. ARGV: channel, mark, data, sender, number, messages, milliseconds, bytes, milliseconds of
# the meta, those of the idempotency key ('' without one), the server that keeps what it confirms.
_STORE = (
    _COMMON
    + """
local sender, number = ARGV[4], tonumber(ARGV[5])
local ttl, meta_ttl, once_ttl = tonumber(ARGV[7]), ARGV[9], ARGV[10]
if once_ttl ~= '' then
    local had = redis.call('GET', KEYS[3])
    if had then return had end
end
local last = redis.call('HGET', KEYS[1], 's:' .. sender)
local epoch, top = current(sender .. ARGV[5], ARGV[11], meta_ttl, 5)
if last then
    local last_number, last_offset = string.match(last, '^(%d+):(%d+):')
    if tonumber(last_number) >= number then
        -- It was sent again. Its offset is that of the last one, or has to be looked for.
        if tonumber(last_offset) > top then return '' end
        if tonumber(last_number) == number then return epoch .. ':' .. last_offset end
        local name, before = sender .. ':' .. ARGV[5], '+'
        for _ = 1, 100 do
            local some = redis.call('XREVRANGE', KEYS[2], before, '-', 'COUNT', 100)
            for _, one in ipairs(some) do
                if one[2][6] == name then return epoch .. ':' .. string.match(one[1], '^%d+') end
            end
            if #some < 100 then break end
            before = '(' .. some[#some][1]
        end
        return ''
    end
end
local offset = top + 1
redis.call('XADD', KEYS[2], string.format('%.0f-0', offset), 'd', ARGV[3], 't', string.format('%.0f', now),
    'n', sender .. ':' .. ARGV[5])
local kept = redis.call('HMGET', KEYS[1], 'f', 'b')
local first, size = tonumber(kept[1]), tonumber(kept[2]) + #ARGV[3]
if redis.call('XLEN', KEYS[2]) == 1 then first, size = offset, #ARGV[3] end

local least, most_bytes = offset - tonumber(ARGV[6]) + 1, tonumber(ARGV[8])
if first < least or size > most_bytes or offset % 16 == 0 then
    local is_over = false
    while not is_over do
        local some = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 16)
        is_over = #some < 16
        for _, one in ipairs(some) do
            local this = tonumber(string.match(one[1], '^%d+'))
            if this < least or size > most_bytes or tonumber(one[2][4]) < now - ttl then
                size, first = size - #one[2][2], this + 1
            else
                first, is_over = this, true
                break
            end
        end
        redis.call('XTRIM', KEYS[2], 'MINID', string.format('%.0f', first))
    end
end
if offset % 1024 == 0 then
    local fields = redis.call('HGETALL', KEYS[1])
    for i = 1, #fields, 2 do
        local stored = string.match(fields[i], '^s:') and string.match(fields[i + 1], ':(%d+)$')
        if stored and tonumber(stored) < now - 600000 then redis.call('HDEL', KEYS[1], fields[i]) end
    end
end
redis.call('HSET', KEYS[1], 'o', string.format('%.0f', offset), 'f', string.format('%.0f', first),
    'b', string.format('%.0f', size), 's:' .. sender, string.format('%.0f:%.0f:%.0f', number, offset, now))
redis.call('PEXPIRE', KEYS[1], meta_ttl)
redis.call('PEXPIRE', KEYS[2], ttl)
local position = epoch .. ':' .. string.format('%.0f', offset)
if once_ttl ~= '' then redis.call('SET', KEYS[3], position, 'PX', once_ttl) end
redis.call('PUBLISH', ARGV[1], ARGV[2] .. position .. '\\n' .. ARGV[3])
return position
"""
)

# KEYS: meta, stream. ARGV: after ('' is none), before ('' is none), the most events, the most bytes of them;
# messages, milliseconds, milliseconds of the meta; seed of an epoch, the server that keeps what it confirms.
_READ = (
    _COMMON
    + """
local epoch, top = current(ARGV[8], ARGV[9], ARGV[7], 0)
local reply = {epoch, string.format('%.0f', top)}
local count, most_bytes = tonumber(ARGV[3]), tonumber(ARGV[4])
if count == 0 then return reply end
local least, most = top - tonumber(ARGV[5]) + 1, top
if ARGV[1] ~= '' then least = math.max(least, tonumber(ARGV[1]) + 1) end
if ARGV[2] ~= '' then most = math.min(most, tonumber(ARGV[2]) - 1) end
least = math.max(least, 1)
if least > most then return reply end
least, most = string.format('%.0f', least), string.format('%.0f', most)
local some
if ARGV[1] ~= '' then
    some = redis.call('XRANGE', KEYS[2], least, most, 'COUNT', count)
else
    some = redis.call('XREVRANGE', KEYS[2], most, least, 'COUNT', count)
end
local size, oldest = 0, now - tonumber(ARGV[6])
for _, one in ipairs(some) do
    size = size + #one[2][2]
    if size > most_bytes and #reply > 2 then break end
    if tonumber(one[2][4]) >= oldest then
        reply[#reply + 1] = string.match(one[1], '^%d+')
        reply[#reply + 1] = one[2][4]
        reply[#reply + 1] = one[2][2]
    end
end
return reply
"""
)

# KEYS: meta, stream. ARGV: seed of an epoch, milliseconds of the meta, channel, what is published.
_CLEAR = (
    _COMMON
    + """
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[1], 'e', new_epoch(ARGV[1]), 'o', 0, 'f', 1, 'b', 0)
current(ARGV[1], '', ARGV[2], 0)
redis.call('PUBLISH', ARGV[3], ARGV[4])
return 1
"""
)


class Script(NamedTuple):
    """Script of Redis, and the name by which it is called once it is loaded."""

    text: bytes
    sha1: bytes

    @classmethod
    def of(cls, text: str) -> Script:
        encoded = text.encode()
        return cls(encoded, hashlib.sha1(encoded, usedforsecurity=False).hexdigest().encode())


_store, _read, _clear = Script.of(_STORE), Script.of(_READ), Script.of(_CLEAR)

#: Commands that load the scripts.
LOAD_SCRIPTS = tuple(command(b"SCRIPT", b"LOAD", script.text) for script in (_store, _read, _clear))


def is_unknown_script(reply: Any) -> bool:
    """Whether a reply says that a command's script has to be loaded, for Redis has restarted, or was told to."""
    return type(reply) is ErrorReply and reply.text.startswith("NOSCRIPT")


@lru_cache(maxsize=4096)
def _keys(prefix: str, group: str) -> tuple[bytes, bytes]:
    tag = f"{prefix}:history:{{{group}}}:"
    return f"{tag}meta".encode(), f"{tag}stream".encode()


@lru_cache(maxsize=256)
def _bounds(history: History) -> tuple[bytes, bytes, bytes, bytes]:
    """Messages, milliseconds, bytes, and the milliseconds of the meta."""
    return (
        b"%d" % history.messages,
        milliseconds(history.seconds),
        b"%d" % history.bytes,
        milliseconds(history.position_seconds),
    )


def milliseconds(seconds: float) -> bytes:
    """A time as Redis takes it: at least one millisecond."""
    return b"%d" % max(1, round(seconds * 1000))


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
    meta, stream = _keys(prefix, envelope.room)
    once, once_ttl = meta, b""
    if key is not None:
        digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
        once = f"{prefix}:history:{{{envelope.room}}}:once:{digest}".encode()
        once_ttl = milliseconds(history.key_seconds)
    sender, number = str(encoded["by"]).encode(), str(encoded["nr"]).encode()
    messages, ttl, size, meta_ttl = _bounds(history)
    about = (_MARK, data, sender, number, messages, ttl, size, meta_ttl, once_ttl, durable)
    return command(b"EVALSHA", _store.sha1, b"3", meta, stream, once, channel, *about)


def decode_position(reply: Any) -> Position | None:
    """The position in the reply of a ``store_command``.

    Returns:
        None for an envelope that was stored already, and is not kept any more.
    """
    return Position.parse(reply.decode()) if reply else None


def read_command(prefix: str, group: str, history: History, query: PageQuery, durable: bytes) -> bytes:
    """The command that reads a part of a room's history; see ``Broker.aread_history``."""
    messages, ttl, _, meta_ttl = _bounds(history)
    bounds = [b"" if number is None else b"%d" % number for number in query]
    about = (messages, ttl, meta_ttl, os.urandom(8).hex().encode(), durable)
    return command(b"EVALSHA", _read.sha1, b"2", *_keys(prefix, group), *bounds, *about)


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


def clear_command(prefix: str, channel: bytes, group: str, history: History, data: bytes) -> bytes:
    """The command that forgets a room's events, begins another epoch, and publishes that.

    Args:
        data: what is published, serialized.
    """
    meta_ttl = _bounds(history)[3]
    seed = os.urandom(8).hex().encode()
    return command(b"EVALSHA", _clear.sha1, b"2", *_keys(prefix, group), seed, meta_ttl, channel, data)


def split_position(data: bytes) -> tuple[Position | None, bytes]:
    """What was published, apart from its position; None where it has none.

    Raises:
        ValueError: what stands there is no position.
    """
    if not data.startswith(_MARK):
        return None, data
    end = data.find(b"\n", len(_MARK), len(_MARK) + 64)
    position = Position.parse(data[len(_MARK) : end].decode("ascii", "replace")) if end > 0 else None
    if position is None:
        raise ValueError("a message with a position that is none")
    return position, data[end + 1 :]


#: Commands whose replies say whether a server keeps whatever it has confirmed.
ASK_DURABILITY = (
    command(b"INFO", b"server"),
    command(b"CONFIG", b"GET", b"appendonly"),
    command(b"CONFIG", b"GET", b"appendfsync"),
)


def durable_server(replies: Sequence[Any]) -> bytes:
    """The ``run_id`` of a server that keeps whatever it has confirmed; with "!" before it, of one that may not.

    It is empty where the server does not tell.

    Args:
        replies: to the commands of ``ASK_DURABILITY``.
    """
    info, append_only, append_fsync = replies
    found = re.search(rb"run_id:(\w+)", info) if isinstance(info, bytes) else None
    if found is None:
        return b""
    is_durable = (_setting(append_only), _setting(append_fsync)) == (b"yes", b"always")
    return found[1] if is_durable else b"!" + found[1]


def _setting(reply: Any) -> Any:
    """The value in a reply of CONFIG GET: a list of name and value, or of such pairs."""
    if not isinstance(reply, list) or not reply:
        return None
    return reply[0][-1] if isinstance(reply[0], (list, tuple)) else reply[-1]
