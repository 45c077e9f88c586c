"""Lua scripts of a lease in Redis.

There are two keys with one hash tag: the lease, which expires, and its record, which does not.

The record knows the last token, and until when a holder may believe in its lease. It has no expiry, so that Redis
evicts it last, if at all; a lease that Redis has forgotten is therefore not given to another before its time.
"""

from __future__ import annotations

__all__ = ["ACQUIRE", "RELEASE", "RENEW"]

_CLOCK = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""

# KEYS: the lease, its record. ARGV: the holder, milliseconds, milliseconds between two renewals.
# Returns the token, or minus the milliseconds after which it makes sense to ask again.
# A Redis that has just started may have forgotten a lease in which its holder still believes, so it gives none.
ACQUIRE = (
    _CLOCK
    + """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
    return -math.max(redis.call('PTTL', KEYS[1]), 1)
end
local last = tonumber(redis.call('HGET', KEYS[2], 'token') or '')
if not holder then
    local info = redis.pcall('INFO', 'server')
    local up = type(info) == 'string' and tonumber(string.match(info, 'uptime_in_seconds:(%d+)'))
    local left = up and ARGV[2] - (up - 1) * 1000 -- the difference of two rounded times
    if left and left > 0 then
        return -left
    end
    if not last then
        -- A new route; or Redis has forgotten all of it, and a holder that lives renews its lease meanwhile.
        redis.call('HSET', KEYS[2], 'token', '0', 'until', string.format('%.0f', now + 1.5 * ARGV[3]))
        return -math.ceil(1.5 * ARGV[3])
    end
    left = (tonumber(redis.call('HGET', KEYS[2], 'until') or '') or 0) - now
    if left > 0 then
        return -math.ceil(math.min(left, ARGV[2]))
    end
end
-- Microseconds since the epoch: more than any token before, also if this Redis never heard of the last ones.
local token = math.max((last or 0) + 1, time[1] * 1000000 + time[2])
redis.call('HSET', KEYS[2], 'token', string.format('%.0f', token), 'until', string.format('%.0f', now + ARGV[2]))
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return token
"""
)

# KEYS: the lease, its record. ARGV: the holder, milliseconds, the token. Returns 1 if the holder still has it.
# It has it also if Redis has forgotten it, unless there was another since.
RENEW = (
    _CLOCK
    + """
local holder = redis.call('GET', KEYS[1])
local last = tonumber(redis.call('HGET', KEYS[2], 'token') or '') or 0
if holder and holder ~= ARGV[1] or last > tonumber(ARGV[3]) then
    return 0
end
redis.call('HSET', KEYS[2], 'token', ARGV[3], 'until', string.format('%.0f', now + ARGV[2]))
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
)

# KEYS: the lease, its record. ARGV: the holder, the token, -1 without one.
RELEASE = """
local holder = redis.call('GET', KEYS[1])
if holder == ARGV[1] or not holder and redis.call('HGET', KEYS[2], 'token') == ARGV[2] then
    redis.call('HSET', KEYS[2], 'until', '0')
    return redis.call('DEL', KEYS[1])
end
return 0
"""
