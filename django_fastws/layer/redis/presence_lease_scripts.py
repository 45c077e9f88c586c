"""Scripts of Redis for presence: the leases of processes, and the users who are present in some room of one.

What follows from leases are the steps of ``_core.presence_leases``; ``presence_scripts`` lists the keys.
"""

from __future__ import annotations

from ..._core.presence_leases import AMNESTY_PARTS, BURIED, LAST_SEEN_SECONDS, RESTING
from .scripts import Script

__all__ = [
    "BEAT",
    "BEGIN_BURIAL",
    "END_BURIAL",
    "EXPECT_BURIAL",
    "FORGET",
    "LEASE_SCRIPTS",
    "LOSE_USER",
    "READ_LEASES",
    "REPORT_USER",
    "REST",
]

_LEASES = f"""
local call, match = redis.call, string.match
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function text(number) return string.format('%.0f', number) end
local fields = call('HGETALL', KEYS[1])
local leases, about, count = {{}}, {{}}, 0
for i = 1, #fields, 2 do
    local name = fields[i]
    if string.sub(name, 1, 2) == 'p:' then
        local stop, renewed, born, server, mark = match(fields[i + 1], '^(%d+) (%d+) (%w*) (%w*) (%w*)$')
        leases[string.sub(name, 3)] = {{
            stop = tonumber(stop), renewed = tonumber(renewed), born = born, server = server, mark = mark
        }}
        count = count + 1
    else
        about[name] = tonumber(fields[i + 1])
    end
end
local function is_over(lease)
    if not lease then
        if not about.began then return false end
        lease = {{stop = about.began + about.lease, mark = ''}}
    end
    if lease.mark == '{BURIED}' then return true end
    if now <= (about.amnesty or 0) or now <= lease.stop then return false end
    return now - (about.beat or 0) <= (about.lease or 0) / 2 or now > lease.stop + (about.lease or 0)
end
local function put(name, lease)
    local times = text(lease.stop) .. ' ' .. text(lease.renewed)
    local about_it = (lease.born or '') .. ' ' .. (lease.server or '') .. ' ' .. lease.mark
    call('HSET', KEYS[1], 'p:' .. name, times .. ' ' .. about_it)
end
"""

# KEYS: leases. ARGV: process, milliseconds, a token, which is another one once this was answered.
BEAT = Script.of(
    f"""{_LEASES}
local process, length, token = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local lease = leases[process]
if not about.began then
    call('HSET', KEYS[1], 'began', text(now))
    about.began = now
elseif now - (about.beat or 0) > length / 2 and count > 0 then
    about.amnesty = now + math.floor(length / {AMNESTY_PARTS})
    call('HSET', KEYS[1], 'amnesty', text(about.amnesty))
end
about.beat, about.lease = now, length
call('HSET', KEYS[1], 'beat', text(now), 'lease', text(length))
-- A server that has restarted, or has taken over from another, may have lost what was reported last.
local info = redis.pcall('INFO', 'replication')
local server = type(info) == 'string' and match(info, 'master_replid:(%w+)') or ''
local is_other = lease and lease.server ~= '' and server ~= '' and lease.server ~= server
local is_renewed = not lease or (lease.mark == '' and not is_other)
if not lease then
    put(process, {{stop = now + length, renewed = now, born = token, server = server, mark = ''}})
elseif is_renewed then
    put(process, {{stop = now + length, renewed = now, born = lease.born, server = server, mark = ''}})
elseif lease.mark == '' then
    lease.mark = '{RESTING}'
    put(process, lease)
end
local was_known = lease and lease.mark ~= '{BURIED}' and lease.born ~= token and not is_other
local dead, next_end = {{}}, nil
for name, other in pairs(leases) do
    if name ~= process and is_over(other) then
        dead[#dead + 1] = name
    elseif name ~= process then
        local left = math.max(other.stop, about.amnesty or 0) + 1 - now
        if not next_end or left < next_end then next_end = left end
    end
end
if not was_known and #dead > 0 then dead, next_end = {{}}, math.min(next_end or 1000, 1000) end
return {{was_known and 1 or 0, is_renewed and 1 or 0, next_end and text(next_end) or '', dead}}
"""
)

# KEYS: leases. ARGV: process, milliseconds.
REST = Script.of(
    f"""{_LEASES}
local lease, stop = leases[ARGV[1]], now + ARGV[2]
if not lease or lease.mark == '' then
    lease = lease or {{}}
    put(ARGV[1], {{stop = stop, renewed = now, born = lease.born, server = lease.server, mark = '{RESTING}'}})
elseif lease.mark == '{RESTING}' and stop < lease.stop then
    lease.stop = stop
    put(ARGV[1], lease)
end
return 1
"""
)

# KEYS: leases. ARGV: process.
BEGIN_BURIAL = Script.of(
    f"""{_LEASES}
local lease = leases[ARGV[1]]
local is_alone = now - (about.beat or 0) > (about.lease or 0) / 2 and not (lease and lease.mark == '{BURIED}')
if is_alone or not is_over(lease) then return false end
lease = lease or {{stop = now, renewed = 0}}
lease.mark = '{BURIED}'
put(ARGV[1], lease)
return text(lease.renewed)
"""
)

# KEYS: leases. ARGV: process.
END_BURIAL = Script.of(
    f"""{_LEASES}
local lease = leases[ARGV[1]]
if lease and lease.mark == '{BURIED}' then call('HDEL', KEYS[1], 'p:' .. ARGV[1]) end
return 1
"""
)

# KEYS: leases. ARGV: process, which has reported something.
EXPECT_BURIAL = Script.of(
    f"""{_LEASES}
if not leases[ARGV[1]] then put(ARGV[1], {{stop = now, renewed = now, mark = '{BURIED}'}}) end
return 1
"""
)

# KEYS: leases. ARGV: process, of a trial. Where no other has a lease, nothing is left that times could be kept for.
FORGET = Script.of(
    """
redis.call('HDEL', KEYS[1], 'p:' .. ARGV[1])
for _, name in ipairs(redis.call('HKEYS', KEYS[1])) do
    if string.sub(name, 1, 2) == 'p:' then return 1 end
end
redis.call('DEL', KEYS[1])
return 1
"""
)

# KEYS: leases.
READ_LEASES = Script.of(
    """
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
return {now, redis.call('HGETALL', KEYS[1])}
"""
)

# The last one of a user who was present keeps the time for three months.
_USER = f"""
local call = redis.call
local function last_at(at)
    local had = tonumber(call('HGET', KEYS[1], 'last') or 0)
    call('HSET', KEYS[1], 'last', string.format('%.0f', math.max(had, at)))
end
local function keep()
    if call('HLEN', KEYS[1]) > call('HEXISTS', KEYS[1], 'last') then
        call('PERSIST', KEYS[1])
    else
        call('PEXPIRE', KEYS[1], {LAST_SEEN_SECONDS * 1000:.0f})
    end
end
"""

# KEYS: user. ARGV: process, milliseconds since it has left, '' where it is present.
REPORT_USER = Script.of(
    f"""{_USER}
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if ARGV[2] == '' then
    call('HSET', KEYS[1], 'p:' .. ARGV[1], string.format('%.0f', now))
else
    last_at(now - ARGV[2])
    call('HDEL', KEYS[1], 'p:' .. ARGV[1])
end
keep()
return 1
"""
)

# KEYS: user. ARGV: process that has died, when it had renewed its lease, in milliseconds.
LOSE_USER = Script.of(
    f"""{_USER}
if call('HEXISTS', KEYS[1], 'p:' .. ARGV[1]) == 0 then return 0 end
last_at(tonumber(ARGV[2]))
call('HDEL', KEYS[1], 'p:' .. ARGV[1])
keep()
return 1
"""
)

#: All of them.
LEASE_SCRIPTS = (BEAT, REST, BEGIN_BURIAL, END_BURIAL, EXPECT_BURIAL, FORGET, READ_LEASES, REPORT_USER, LOSE_USER)
