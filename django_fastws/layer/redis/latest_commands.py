"""Keyed rooms in Redis: the newest value of each key, kept and published in one step.

A room has one hash, ``PREFIX:latest:{GROUP}``: the epoch ``e``, the number ``n`` of the last change, the server ``r``
that was found last, by its replication id, and ``t``, when a change has looked for it; and of each key ``k:KEY``:
``NUMBER:MILLISECONDS:`` and what was published. What Redis refuses, it refuses before a value is written.

Another server, as after a restart or a failover, may have lost the last changes, and would give their numbers again,
which processes take as what they have already: so another epoch begins there, with the values that it has.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from ..._core.envelope import EncodedEnvelope, Envelope, decode
from ..._core.latest import Latest
from ..._core.latest_values import LatestValues
from ..._core.positions import Position
from ..._core.resp import command
from .history_commands import milliseconds
from .history_scripts import MARK
from .scripts import PUBLISH, Script

__all__ = ["KEEP", "READ_LATEST", "decode_values", "keep_command", "read_values_command"]

_COMMON = """
local call, format = redis.call, string.format
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local room = call('HMGET', KEYS[1], 'e', 'r', 't')
local epoch, tick = room[1], format('%.0f', math.floor(now / 5))
local looks = room[3] ~= tick  -- within five milliseconds nothing restarts, or takes over
if not epoch or looks then
    local server = string.match(call('INFO', 'replication'), 'master_replid:(%w+)') or ''
    if not epoch or server ~= room[2] then
        epoch = string.sub(redis.sha1hex(ARGV[1] .. ':' .. time[1] .. ':' .. time[2] .. ':' .. KEYS[1]), 1, 12)
        call('HSET', KEYS[1], 'e', epoch, 'r', server)
        call('HSETNX', KEYS[1], 'n', 0)
    end
end
-- Forget the values that are too old.
local function forget(ttl)
    local fields = call('HGETALL', KEYS[1])
    local old = {}
    for i = 1, #fields, 2 do
        local stored = string.match(fields[i + 1], '^%d+:(%d+):')
        if string.sub(fields[i], 1, 2) == 'k:' and stored and tonumber(stored) < now - ttl then
            old[#old + 1] = fields[i]
        end
    end
    for i = 1, #old, 1000 do call('HDEL', KEYS[1], unpack(old, i, math.min(i + 999, #old))) end
end
"""

# KEYS: the hash. ARGV: seed of an epoch, milliseconds, channel, mark, data, key, '1' where it is removed.
KEEP = Script.of(
    _COMMON
    + PUBLISH
    + """
local number = format('%.0f', call('HINCRBY', KEYS[1], 'n', 1))  -- without memory, or on a replica, it fails here
if looks then call('HSET', KEYS[1], 't', tick) end
local position = epoch .. ':' .. number
local published = publish(ARGV[3], ARGV[4] .. position .. '\\n' .. ARGV[5])
if type(published) == 'table' then return published end  -- it is not allowed to
if ARGV[7] == '1' then
    call('HDEL', KEYS[1], 'k:' .. ARGV[6])
else
    call('HSET', KEYS[1], 'k:' .. ARGV[6], number .. ':' .. format('%.0f', now) .. ':' .. ARGV[5])
end
if tonumber(number) % 256 == 0 then forget(tonumber(ARGV[2])) end
call('PEXPIRE', KEYS[1], ARGV[2])
return position
"""
)

# KEYS: the hash. ARGV: seed of an epoch, milliseconds.
READ_LATEST = Script.of(
    _COMMON
    + """
forget(tonumber(ARGV[2]))
if call('PTTL', KEYS[1]) < 0 then call('PEXPIRE', KEYS[1], ARGV[2]) end
return {epoch, call('HGET', KEYS[1], 'n'), call('HGETALL', KEYS[1])}
"""
)


def _hash(prefix: str, group: str) -> bytes:
    return f"{prefix}:latest:{{{group}}}".encode()


def keep_command(prefix: str, channel: bytes, envelope: Envelope, encoded: EncodedEnvelope, data: bytes) -> bytes:
    """The command that keeps the value of an envelope and publishes it; its reply is the position of the change.

    Args:
        prefix: of the layer.
        channel: on which it is published.
        encoded: the envelope with its sender and number.
        data: the same, serialized.
    """
    keyed = envelope.keyed
    assert keyed is not None
    assert keyed.latest is not None
    seed = f"{encoded['by']}{encoded['nr']}".encode()  # type: ignore[str-bytes-safe]  # they are str
    about = (channel, MARK, data, keyed.key.encode(), b"1" if keyed.is_removed else b"")
    ttl = milliseconds(keyed.latest.seconds)
    return command(b"EVALSHA", KEEP.sha1, b"1", _hash(prefix, envelope.room), seed, ttl, *about)


def read_values_command(prefix: str, group: str, latest: Latest) -> bytes:
    """The command that reads the values of a room; see ``Broker.aread_latest``."""
    seed = os.urandom(8).hex().encode()
    return command(b"EVALSHA", READ_LATEST.sha1, b"1", _hash(prefix, group), seed, milliseconds(latest.seconds))


def decode_values(
    reply: list[Any], deserialize: Callable[[bytes], Any], failed: Callable[[Exception], None]
) -> LatestValues:
    """The values in the reply of a ``read_values_command``.

    Args:
        deserialize: the layer's, which turns bytes into what was published.
        failed: called with what is raised for a value that cannot be decoded; it is left out.
    """
    epoch, top, fields = reply[0].decode(), int(reply[1]), reply[2]
    pairs = fields if fields and isinstance(fields[0], tuple) else zip(fields[::2], fields[1::2], strict=True)
    values: dict[str, Envelope] = {}
    for name, stored in pairs:
        if not name.startswith(b"k:"):
            continue
        try:
            number, _, data = stored.split(b":", 2)
            envelope = decode(deserialize(data), Position(epoch, int(number)))
        except Exception as error:
            failed(error)
        else:
            if envelope is not None and envelope.keyed is not None:
                values[envelope.keyed.key] = envelope
    return LatestValues(Position(epoch, top), values)
