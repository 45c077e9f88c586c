"""Scripts of Redis for histories: to store and publish in one step, to read, and to clear.

A room has two keys with one hash tag, so that a cluster holds them on one node:

- ``PREFIX:history:{GROUP}:meta``, a hash, which outlives the events: the epoch ``e``, the offset ``o`` of the newest
  event, when ``t`` that was stored, in milliseconds, and ``z``, the bytes of all events that ever were; the server
  ``r`` that was found last, the node ``m`` of a cluster that it is, and whether ``d`` it keeps what it has confirmed;
  ``k``, the last clearing; ``q``, how often the next event could not be published. Besides, of each sender,
  ``s:NAME``: ``NUMBER:SECONDS`` of its last event, with an ``x`` if that was cleared.
- ``PREFIX:history:{GROUP}:stream``, a stream: the id of an event is ``OFFSET-Q``, ``d`` what was published, and ``a``
  ``MILLISECONDS BYTES SENDER:NUMBER``: when, the bytes of all events up to it, and who has sent it.

and for a while one for each idempotency key, ``PREFIX:history:{GROUP}:once:HASH``, with the position.

Times and bytes never go back, so what is over a bound is in front of all that is not. A store leaves a little of it;
what is read has none.

The epoch names what a server holds. Another begins where the meta is gone (flushed, evicted, expired, an empty
restart), and where the server is another one by its replication id, which changes with each restart and each
failover: the last events may be lost then, and their offsets be given again. Only where a server without replicas
keeps whatever it has confirmed (``appendfsync always``), and has not taken over from another, a restart continues the
epoch. Nor does a slot of a cluster that is moved to another node begin one, unless that node has ever taken over from
its master. Scripts look for the server at most once in five milliseconds, in which nothing restarts, or takes over.

What Redis refuses, it refuses before anything is written: no memory, a replica, no permission to publish.
"""

from __future__ import annotations

from .scripts import PUBLISH, Script

__all__ = ["CLEAR", "MARK", "READ", "STORE"]

#: Before what is published with a position. No message of a serializer begins with this byte of msgpack, and no JSON.
MARK = b"\xc1at "

_COMMON = """
local call, match, format, floor = redis.call, string.match, string.format, math.floor
local time = call('TIME')
local now = time[1] * 1000 + floor(time[2] / 1000)

local function new_epoch(seed)
    return string.sub(redis.sha1hex(seed .. ':' .. time[1] .. ':' .. time[2] .. ':' .. KEYS[1]), 1, 12)
end

-- Let a key live for some milliseconds, or an eighth longer, so that this need not be said for each event.
local function keep(key, ttl)
    if call('PTTL', key) < tonumber(ttl) then call('PEXPIRE', key, floor(ttl * 1.125)) end
end

-- Look for the server: the epoch, which is another one where what was written last may be lost.
local function current_epoch(epoch, written_by, was_kept, durable, ttl, seed)
    local info = call('INFO', 'replication')
    local server = match(info, 'master_replid:(%w+)') or ''
    local keeps = ''
    if durable ~= '!' .. server and match(info, 'connected_slaves:(%d+)') == '0' then
        -- Who does not know whether this server keeps what it confirms leaves that as it is.
        keeps = durable == server and '1' or server == written_by and was_kept or ''
    end
    -- Which node of a cluster it is, if it is one: that stays with a restart.
    local function node()
        if not match(call('INFO', 'cluster'), 'cluster_enabled:1') then return '' end
        local id = redis.pcall('CLUSTER', 'MYID')
        return type(id) == 'string' and id or ''  -- who may not ask does not know
    end
    if not epoch then
        if call('EXISTS', KEYS[2]) == 1 then call('DEL', KEYS[2]) end
        call('XADD', KEYS[2], 'NOMKSTREAM', '1-0', '', '')  -- does nothing, but fails where a store would fail
        epoch = new_epoch(seed)
        call('HSET', KEYS[1], 'e', epoch, 'r', server, 'd', keeps, 'm', node())
    elseif server ~= written_by or keeps ~= was_kept then
        local is_heir = match(info, 'second_repl_offset:(%-?%d+)') ~= '-1'
        if server ~= written_by then
            local here, there = node(), call('HGET', KEYS[1], 'm') or ''
            -- A slot that was moved here has come whole; what a replica has taken over may not be.
            local has_moved = here ~= there and here ~= '' and there ~= '' and not is_heir
            if not has_moved and (was_kept ~= '1' or is_heir) then epoch = new_epoch(seed) end
            call('HSET', KEYS[1], 'm', here)
        end
        call('HSET', KEYS[1], 'e', epoch, 'r', server, 'd', keeps)
    end
    keep(KEYS[1], ttl)
    return epoch
end
"""

_TRIM = """
-- Forget what is over a bound: all in front of the first that is not, which is found by halving.
local function offset_of(one) return tonumber(match(one[1], '^%d+')) end
local function trim(top, total, oldest, messages, bytes)
    local function fits(one)
        local at, all = match(one[2][4], '^(%d+) (%d+)')
        return tonumber(at) >= oldest and total - all + #one[2][2] <= bytes
    end
    local first = call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1]
    if not first then return end
    local least = top - messages + 1
    local low, high = offset_of(first), top + 1
    if low >= least and fits(first) then return end
    low = math.max(low, least)
    local middle = low
    while low < high do
        local one = call('XRANGE', KEYS[2], middle, '+', 'COUNT', 1)[1]
        if not one or fits(one) then high = middle else low = offset_of(one) + 1 end
        middle = floor((low + high) / 2)
    end
    call('XTRIM', KEYS[2], 'MINID', low)
end
"""

# KEYS: meta, stream, once (if there is a key). ARGV: channel, messages, milliseconds, bytes, milliseconds of the
# meta; the server that keeps what it confirms, sender, number, data, milliseconds of the key.
_STORE = f"""{_COMMON}{PUBLISH}
local sender, number, data = ARGV[7], ARGV[8], ARGV[9]
local had = KEYS[3] and call('GET', KEYS[3])
if had then return had end
local by = 's:' .. sender
local meta = call('HMGET', KEYS[1], 'e', 'o', 'z', 't', 'r', 'd', by, 'q')
local epoch, top, total, at, seen = meta[1], meta[2] or 0, meta[3] or 0, meta[4] or 0, meta[7]

local looks = not epoch or floor(now / 5) ~= floor(at / 5)
if looks then epoch = current_epoch(epoch, meta[5], meta[6], ARGV[6], ARGV[5], sender .. number) end
if now > tonumber(at) then at = format('%d', now) end

local name, has_seen = sender .. ':' .. number, number .. ':' .. time[1]
if seen then
    local last, is_cleared = match(seen, '^(%d+):%d+(x?)$')
    if tonumber(last) >= tonumber(number) then
        -- It is sent again, and has the place that it had. Or another one has overtaken it, because a script had to
        -- be loaded between the two: then it is stored late, where nobody concludes anything from its place.
        local before, oldest, is_late = '+', nil, false
        repeat
            local some = call('XREVRANGE', KEYS[2], before, '-', 'COUNT', 32)
            for _, one in ipairs(some) do
                local other, late = match(one[2][4], ' ' .. sender .. ':(%d+)(l?)$')
                oldest = match(one[1], '^%d+')
                if other == number then return epoch .. ':' .. oldest end
                if other and late == '' and tonumber(other) < tonumber(number) then is_late = true end
            end
            if oldest == '1' then is_late = true end
            before = oldest and format('%d', oldest - 1)
        until is_late or #some < 32
        if is_cleared ~= '' or not is_late then return '' end
        name, has_seen = name .. 'l', seen
    end
end

local offset, size = top + 1, #data
total = total + size
local id, all = format('%d', offset), format('%d', total)
local about = at .. ' ' .. all .. ' ' .. name
local place = id .. '-' .. (meta[8] or 0)
local has_stream = call('XADD', KEYS[2], 'NOMKSTREAM', place, 'd', data, 'a', about)  -- an old Redis fails here
if not has_stream then call('XADD', KEYS[2], place, 'd', data, 'a', about) end
local position = epoch .. ':' .. id
local published = publish(ARGV[1], '\\193at ' .. position .. '\\n' .. data)
if type(published) == 'table' then  -- it is not allowed to
    call('XDEL', KEYS[2], place)
    if has_stream then call('HINCRBY', KEYS[1], 'q', 1) else call('DEL', KEYS[2]) end  -- no place is taken twice
    return published
end
call('HSET', KEYS[1], 'o', id, 'z', all, 't', at, by, has_seen)
if meta[8] then call('HDEL', KEYS[1], 'q') end
if looks or not has_stream then keep(KEYS[2], ARGV[3]) end
if KEYS[3] then call('SET', KEYS[3], position, 'PX', ARGV[10]) end

local step = ARGV[4] / 8
if offset % 32 == 0 or floor(total / step) ~= floor((total - size) / step) then
    {_TRIM}
    trim(offset, total, now - ARGV[3], ARGV[2], tonumber(ARGV[4]))
end
if offset % 1024 == 0 then
    local fields = call('HGETALL', KEYS[1])
    for i = 1, #fields, 2 do
        local stored = match(fields[i], '^s:') and match(fields[i + 1], ':(%d+)')
        if stored and tonumber(stored) < time[1] - 600 then call('HDEL', KEYS[1], fields[i]) end
    end
end
return position
"""

# KEYS: meta, stream. ARGV: after ('' is none), before ('' is none), the most events, the most bytes of them;
# messages, milliseconds, bytes, milliseconds of the meta; the server that keeps what it confirms, a seed,
# milliseconds of the meta of a room that never had an event.
_READ = f"""{_COMMON}{_TRIM}
local meta = call('HMGET', KEYS[1], 'e', 'o', 'z', 'r', 'd')
local epoch, top, total = meta[1], tonumber(meta[2] or 0), tonumber(meta[3] or 0)
epoch = current_epoch(epoch, meta[4], meta[5], ARGV[9], top > 0 and ARGV[8] or ARGV[11], ARGV[10])
local reply = {{epoch, format('%d', top)}}
local left, most_bytes, size = tonumber(ARGV[3]), tonumber(ARGV[4]), 0
if left == 0 then return reply end
trim(top, total, now - ARGV[6], tonumber(ARGV[5]), tonumber(ARGV[7]))
local is_forward, least, most = ARGV[1] ~= '', 1, top
if is_forward then least = ARGV[1] + 1 end
if ARGV[2] ~= '' then most = math.min(most, ARGV[2] - 1) end
while left > 0 and least <= most do
    local count, some = math.min(left, 64)
    if is_forward then
        some = call('XRANGE', KEYS[2], least, most, 'COUNT', count)
    else
        some = call('XREVRANGE', KEYS[2], most, least, 'COUNT', count)
    end
    for _, one in ipairs(some) do
        local offset = offset_of(one)
        size = size + #one[2][2]
        if size > most_bytes and #reply > 2 then return reply end
        reply[#reply + 1] = match(one[1], '^%d+')
        reply[#reply + 1] = match(one[2][4], '^%d+')
        reply[#reply + 1] = one[2][2]
        if is_forward then least = offset + 1 else most = offset - 1 end
    end
    if #some < count then break end
    left = left - count
end
return reply
"""

# KEYS: meta, stream. ARGV: seed, milliseconds of the meta, channel, what is published, the server that keeps what it
# confirms, or "!" before that which does not.
_CLEAR = f"""{_COMMON}{PUBLISH}
if call('HGET', KEYS[1], 'k') == ARGV[1] then return 0 end  -- sent again
local published = publish(ARGV[3], ARGV[4])
if type(published) == 'table' then return published end  -- it is not allowed to
call('DEL', KEYS[2])
local fields = call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
    -- What is sent again now was there before.
    if match(fields[i], '^s:') then call('HSET', KEYS[1], fields[i], match(fields[i + 1], '^[%d:]+') .. 'x') end
end
call('HDEL', KEYS[1], 'e')
current_epoch(false, '', '', ARGV[5], ARGV[2], ARGV[1])
call('HSET', KEYS[1], 'o', 0, 'z', 0, 'k', ARGV[1])
return 1
"""


STORE, READ, CLEAR = Script.of(_STORE), Script.of(_READ), Script.of(_CLEAR)
