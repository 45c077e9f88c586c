"""Scripts of Redis for presence in rooms: to report, to take back, and to read.

Every script of presence has keys of one hash tag, so that a cluster holds them on one node:

- of a room ``PREFIX:presence:{GROUP}:people``, a hash: of each key that is present ``{SINCE, {{PROCESS, {{ID, STAMP,
  CARD'S DIGEST, CARD, IS HELD}, ...}}, ...}}`` as msgpack;
- ``PREFIX:presence:{GROUP}:diffs``, a hash, which outlives the last that is present by an hour: the number ``v`` of
  the newest diff; the server ``r`` that was found last, by its replication id, and ``t``, when a diff has looked for
  it, in milliseconds; ``r:N``, the number of the diff that is N modulo 256, and how it has changed which keys, as
  msgpack; of each process ``p:PROCESS``, ``NUMBER SECONDS STAMP`` of its newest report, which an older one does not
  overtake;
- ``PREFIX:presence:{GROUP}:of:PROCESS``, a set: the keys that a process has reported, by which they are found when it
  has died, each behind a ``u`` where it is of a user, else an ``a``;
- ``PREFIX:presence:{GROUP}:done:TOKEN``, for half a minute, what a script has answered: sent again, it says the same;
- ``PREFIX:presence:{leases}``, a hash: of each process ``p:PROCESS``, ``END RENEWED BORN SERVER MARK`` of its lease;
  when any process has renewed its lease last (``beat``), for how long (``lease``), when the first began (``began``),
  until when nobody is dead (``amnesty``). Times are milliseconds;
- ``PREFIX:presence:user:{USER}``, a hash: of each process where a user is present ``p:PROCESS``, since when, and when
  it has left another ``last``. Times are milliseconds;
- ``PREFIX:presence:process:{PROCESS}``, a set: the rooms in which a process has reported something.

A server that has restarted, or has taken over from another, may have lost what was written last. It is known by its
replication id: then diffs go on with a greater number, and each process reports all that it has again.

What follows from reports and leases are the steps of ``_core.presence_roll`` and ``_core.presence_leases``. What
Redis refuses, it refuses before anything is changed: no memory, a replica, no permission to publish.
"""

from __future__ import annotations

from ..._core.presence_roll import EMPTY_SECONDS, MOST_DIFFS
from .scripts import PUBLISH, Script

__all__ = ["PRESENCE_MARK", "READ_ROOM", "REPORT", "TAKE_BACK"]

#: Before a diff that is published. No message of a serializer begins with this byte of msgpack, and no JSON.
PRESENCE_MARK = b"\xc1who "

_ROOM = f"""
local call, pack, unpack_one = redis.call, cmsgpack.pack, cmsgpack.unpack
local channel, process = ARGV[1], ARGV[2]
local done = call('GET', KEYS[4])
if done then return done end  -- it was sent again
local time = call('TIME')
local now = time[1] * 1000000 + time[2]

-- The newest card, and how many connections there are.
local function put_together(person)
    local ids, counts, newest = {{[true] = {{}}, [false] = {{}}}}, {{[true] = 0, [false] = 0}}, nil
    for _, entry in ipairs(person[2]) do
        for _, one in ipairs(entry[2]) do
            local held = one[5]
            if not ids[held][one[1]] then
                ids[held][one[1]] = true
                counts[held] = counts[held] + 1
            end
            if not newest or (newest[5] and not held) or (newest[5] == held and one[2] >= newest[2]) then
                newest = one
            end
        end
    end
    return newest, math.max(counts[true], counts[false])
end

-- Those that are reported, as they were and as they are.
local order, was, is = {{}}, {{}}, {{}}
local function person_of(key)
    local person = is[key]
    if not person then
        local raw = call('HGET', KEYS[1], key)
        person = raw and unpack_one(raw) or {{now, {{}}}}
        local one = {{raw = raw}}
        if raw then one.newest, one.count = put_together(person) end
        order[#order + 1], was[key], is[key] = key, one, person
    end
    return person
end

local function entry_of(person, name)
    for i, entry in ipairs(person[2]) do
        if entry[1] == name then return i, entry end
    end
end

-- Publish what has changed, and write it; the members are those that the set of the process gets and loses.
local function finish(stamp, number, gained, lost)
    local changes, keys, puts, drops = {{}}, {{}}, {{}}, {{}}
    local total = call('HLEN', KEYS[1])
    for _, key in ipairs(order) do
        local before, person = was[key], is[key]
        if #person[2] == 0 then
            if before.raw then
                changes[#changes + 1] = {{2, key, before.newest[4], before.count, person[1]}}
                drops[#drops + 1] = key
                total = total - 1
            end
        else
            local newest, count = put_together(person)
            if not before.raw then
                changes[#changes + 1] = {{1, key, newest[4], count, person[1]}}
                total = total + 1
            elseif before.newest[3] ~= newest[3] or before.count ~= count then
                changes[#changes + 1] = {{3, key, newest[4], count, person[1]}}
            end
            local packed = pack(person)
            if packed ~= before.raw then
                puts[#puts + 1] = key
                puts[#puts + 1] = packed
            end
        end
    end
    local had = call('HMGET', KEYS[2], 'v', 'r', 't')
    local had_v, server = had[1], had[2] or ''
    local v, looked = tonumber(had_v or 0), tonumber(had[3] or 0)
    if #changes > 0 then
        local ms = math.floor(now / 1000)
        if math.floor(ms / 5) ~= math.floor(looked / 5) then
            local info = redis.pcall('INFO', 'replication')
            server, looked = type(info) == 'string' and string.match(info, 'master_replid:(%w+)') or '', ms
        end
        -- Where the last diffs may be lost, no number is given again: no room has more than a diff in a microsecond.
        v = had_v and server == (had[2] or '') and v + 1 or math.max(v + 2, now)
    end
    -- Without memory, or on a replica, it fails at one of these, which changes nothing that anybody reads.
    if #gained > 0 then call('SADD', KEYS[3], unpack(gained)) end
    if number then call('HSET', KEYS[2], 'p:' .. process, number .. ' ' .. time[1] .. ' ' .. stamp) end
    if v > 0 then
        call('HSET', KEYS[2], 'v', string.format('%.0f', v), 'r', server, 't', string.format('%.0f', looked))
    end
    if #changes > 0 then
        local published = publish(channel, '\\193who ' .. pack({{v, total, changes}}))
        if type(published) == 'table' then  -- or here, where it is not allowed to
            if had_v then call('HSET', KEYS[2], 'v', had_v, 'r', had[2]) else call('HDEL', KEYS[2], 'v') end
            return published
        end
    end
    if #puts > 0 then call('HSET', KEYS[1], unpack(puts)) end
    if #drops > 0 then call('HDEL', KEYS[1], unpack(drops)) end
    if #lost > 0 then call('SREM', KEYS[3], unpack(lost)) end
    local left = call('SCARD', KEYS[3])
    local reply = pack({{tonumber(stamp), v, total, left, changes}})
    if #changes > 0 then
        call('SET', KEYS[4], reply, 'PX', 30000)
        local slot = 'r:' .. string.format('%.0f', v % {MOST_DIFFS})
        for i, change in ipairs(changes) do keys[i] = {{change[1], change[2]}} end
        call('HSET', KEYS[2], slot, pack({{v, keys}}))
        if v % 256 == 0 then
            local fields = call('HGETALL', KEYS[2])
            for i = 1, #fields, 2 do
                local at = string.sub(fields[i], 1, 2) == 'p:' and string.match(fields[i + 1], '^%d+ (%d+)')
                if at and tonumber(at) < time[1] - 600 then call('HDEL', KEYS[2], fields[i]) end
            end
        end
    end
    if total == 0 then
        call('PEXPIRE', KEYS[2], {EMPTY_SECONDS * 1000:.0f})
    else
        call('PERSIST', KEYS[2])
    end
    return reply
end
"""

# KEYS: people, diffs, of, done. ARGV: channel, process, the number of the report, the stamp ('' is now), the reports
# as msgpack: key, whether it is of a user, connections.
REPORT = Script.of(
    f"""{PUBLISH}{_ROOM}
local stamp = ARGV[4]
if stamp == '' then stamp = string.format('%.0f', now) end
local old = call('HGET', KEYS[2], 'p:' .. process)
if old then
    local last, last_stamp = string.match(old, '^(%d+) %d+ (%d+)')
    if tonumber(last) >= tonumber(ARGV[3]) then  -- it was done, or a newer one was
        if last == ARGV[3] then stamp = last_stamp end
        local v = tonumber(call('HGET', KEYS[2], 'v') or 0)
        return pack({{tonumber(stamp), v, call('HLEN', KEYS[1]), call('SCARD', KEYS[3]), {{}}}})
    end
end

-- Take connections away from the processes that had them, but for those whose card is newer there: the stamps of
-- those that are here from now on, by their ids.
local function take(person, stamps)
    local newer = {{}}
    for _, entry in ipairs(person[2]) do
        if entry[1] ~= process then
            for _, had in ipairs(entry[2]) do
                local stamp = stamps[had[1]]
                if stamp and had[2] > stamp then newer[#newer + 1] = had[1] end
            end
        end
    end
    for _, id in ipairs(newer) do stamps[id] = nil end
    local entries = {{}}
    for _, entry in ipairs(person[2]) do
        if entry[1] ~= process then
            local left = {{}}
            for _, had in ipairs(entry[2]) do
                if not stamps[had[1]] then left[#left + 1] = had end
            end
            entry[2] = left
        end
        if #entry[2] > 0 then entries[#entries + 1] = entry end
    end
    person[2] = entries
    return stamps
end

-- Forget those that others hold, where as many are there.
local function drop_replaced(person)
    local ids, counts = {{[true] = {{}}, [false] = {{}}}}, {{[true] = 0, [false] = 0}}
    for _, entry in ipairs(person[2]) do
        for _, one in ipairs(entry[2]) do
            if not ids[one[5]][one[1]] then
                ids[one[5]][one[1]] = true
                counts[one[5]] = counts[one[5]] + 1
            end
        end
    end
    if counts[true] == 0 or counts[true] > counts[false] then return end
    local entries = {{}}
    for _, entry in ipairs(person[2]) do
        local left = {{}}
        for _, one in ipairs(entry[2]) do
            if not one[5] or entry[1] == process then left[#left + 1] = one end
        end
        if #left > 0 then entries[#entries + 1] = {{entry[1], left}} end
    end
    person[2] = entries
end

local marks = {{}}
for _, report in ipairs(unpack_one(ARGV[5])) do
    local key = report[1]
    local person = person_of(key)
    local at, entry = entry_of(person, process)
    local known, kept, first = {{}}, {{}}, now
    local have_moved = false
    if entry then
        for _, one in ipairs(entry[2]) do known[one[1]] = true end
    else
        have_moved = call('SISMEMBER', KEYS[3], 'u' .. key) + call('SISMEMBER', KEYS[3], 'a' .. key) > 0
    end
    local new = {{}}
    for _, one in ipairs(report[3]) do
        if one[2] == 0 then one[2] = tonumber(stamp) end
        if not known[one[1]] and not (one[5] and have_moved) then new[one[1]] = one[2] end
    end
    local here = take(person, new)
    for _, one in ipairs(report[3]) do
        if known[one[1]] or here[one[1]] then
            kept[#kept + 1] = one
            first = math.min(first, one[2])
        end
    end
    at, entry = entry_of(person, process)
    if #kept == 0 then
        if at then table.remove(person[2], at) end
        marks[key] = ''
    else
        if #person[2] == 0 and not was[key].raw then person[1] = first end
        if at then entry[2] = kept else person[2][#person[2] + 1] = {{process, kept}} end
        for _, one in ipairs(kept) do
            if not one[5] then
                drop_replaced(person)
                break
            end
        end
        marks[key] = report[2] and 'u' or 'a'
    end
end
local gained, lost = {{}}, {{}}
for _, key in ipairs(order) do
    local mark = marks[key]
    if mark ~= '' then gained[#gained + 1] = mark .. key end
    if mark ~= 'u' then lost[#lost + 1] = 'u' .. key end
    if mark ~= 'a' then lost[#lost + 1] = 'a' .. key end
end
return finish(stamp, ARGV[3], gained, lost)
"""
)

# KEYS: people, diffs, of, done. ARGV: channel, process, the members of the set whose keys are taken back, as msgpack.
TAKE_BACK = Script.of(
    f"""{PUBLISH}{_ROOM}
local members = unpack_one(ARGV[3])
for _, member in ipairs(members) do
    local person = person_of(string.sub(member, 2))
    local at = entry_of(person, process)
    if at then table.remove(person[2], at) end
end
return finish('0', nil, {{}}, members)
"""
)

# KEYS: people, diffs. ARGV: '1' for how many, and not who.
READ_ROOM = Script.of(
    """
local call = redis.call
local total, v = call('HLEN', KEYS[1]), call('HGET', KEYS[2], 'v') or '0'
if ARGV[1] == '1' then return {v, total, {}, {}} end
local diffs, recent = call('HGETALL', KEYS[2]), {}
for i = 1, #diffs, 2 do
    if string.sub(diffs[i], 1, 2) == 'r:' then recent[#recent + 1] = diffs[i + 1] end
end
return {v, total, call('HGETALL', KEYS[1]), recent}
"""
)
