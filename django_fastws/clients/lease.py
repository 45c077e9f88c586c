"""Only one of many: a lease in Redis that a route holds while it runs, with expiry and a fencing token.

The holder renews the lease long before it expires, and believes in it only until then by its own clock: a process
that was stopped, or is cut off from Redis, finds that its time is over before it touches the socket again. Who takes
over gets a higher token, by which a store can refuse what a former holder still writes.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from typing import Any

from ..exceptions import WebSocketDisconnect
from ..wires.outbound import OutboundWire

__all__ = ["Lease", "LeaseLost"]

logger = logging.getLogger("django_fastws.clients")

# KEYS: the lease, the counter of tokens. ARGV: the holder, milliseconds.
# Returns the token, or minus the milliseconds after which it makes sense to ask again.
# A Redis that has just started may have forgotten a lease in which its holder still believes, so it gives none.
_ACQUIRE = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
    local left = redis.call('PTTL', KEYS[1])
    if left < 1 then left = 1 end
    return -left
end
if not holder then
    local info = redis.pcall('INFO', 'server')
    local up = type(info) == 'string' and tonumber(string.match(info, 'uptime_in_seconds:(%d+)'))
    local left = up and ARGV[2] - (up - 1) * 1000 -- the difference of two rounded times
    if left and left > 0 then
        return -left
    end
end
-- Seconds since the epoch: more than any token before, should Redis have forgotten it.
redis.call('SET', KEYS[2], redis.call('TIME')[1], 'NX')
local token = redis.call('INCR', KEYS[2])
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return token
"""

# KEYS: the lease. ARGV: the holder, milliseconds. Returns 1 if the holder still has it.
# It has it also if Redis has forgotten it: nobody else can have had it since, see above.
_RENEW = """
local holder = redis.call('GET', KEYS[1])
if not holder or holder == ARGV[1] then
    redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
    return 1
end
return 0
"""

# KEYS: the lease. ARGV: the holder.
_RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then
    return redis.call('DEL', KEYS[1])
end
return 0
"""

# A suspended machine's monotonic clock stands still; this one does not.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def _now() -> float:
    return time.clock_gettime(_CLOCK)


class LeaseLost(WebSocketDisconnect):
    """The route's lease is over, and its socket must not be touched any more."""

    def __init__(self) -> None:
        super().__init__(1006, "the lease was lost")


class Lease:
    """The lease of one route.

    Args:
        redis: an asyncio client of redis-py.
        key: the route's name, the same in every process.
        seconds: how long the lease outlives its holder.

    Attributes:
        token: grows with every holder; None without the lease.
    """

    _LONGEST_PAUSE = 1.0  # seconds between two attempts to get it

    def __init__(self, redis: Any, key: str, seconds: float) -> None:
        self.token: int | None = None
        self._redis = redis
        self._key = key
        self._keys = (f"fastws:lease:{{{key}}}", f"fastws:lease:{{{key}}}:token")
        self._seconds = seconds
        self._holder = uuid.uuid4().hex
        self._valid_until = 0.0
        self._renewing: asyncio.Task[None] | None = None
        self._wire: OutboundWire | None = None
        self._troubled = False

    def is_valid(self) -> bool:
        """Whether this process holds the lease for certain."""
        return self.token is not None and _now() < self._valid_until

    def check(self) -> None:
        """Raise unless this process holds the lease for certain.

        Raises:
            LeaseLost: it does not; the socket is cut off.
        """
        if not self.is_valid():
            self._cut_off()
            raise LeaseLost

    def enforce(self) -> None:
        """Cut the socket off if the lease is over; for a process that has just been continued (SIGCONT)."""
        if self.token is not None and not self.is_valid():
            self._cut_off()

    def guard(self, wire: OutboundWire | None) -> None:
        """Name the connection that is cut off when the lease is lost; None for none."""
        self._wire = wire

    async def acquire(self) -> None:
        """Wait until this process holds the lease. It keeps it until ``release()``, or until it is lost."""
        if self.is_valid():
            return
        await self._stop_renewing()
        self.token = None
        is_told = False
        while True:
            asked = _now()
            answer = await self._ask(_ACQUIRE, self._keys, self._holder, int(self._seconds * 1000))
            if answer is not None and answer > 0:
                self.token = answer
                self._valid_until = asked + self._seconds * 0.9  # clocks of two machines do not run alike
                self._renewing = asyncio.get_running_loop().create_task(self._renew())
                return
            if answer is not None and not is_told:
                is_told = True
                logger.info("Waiting for the lease of %s", self._key)
            pause = self._LONGEST_PAUSE if answer is None else min(self._LONGEST_PAUSE, -answer / 1000 + 0.005)
            await asyncio.sleep(pause)

    async def release(self) -> None:
        """Give the lease back, so that another process has it at once."""
        await self._stop_renewing()
        self.token = None
        # Also without a token: an answer of Redis may have been lost, or given up on.
        await self._ask(_RELEASE, self._keys[:1], self._holder)

    async def _stop_renewing(self) -> None:
        renewing, self._renewing = self._renewing, None
        if renewing is not None:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(min(self._seconds / 3, max(0.0, self._valid_until - _now())))
            asked = _now()
            answer = None
            if asked < self._valid_until:
                answer = await self._ask(_RENEW, self._keys[:1], self._holder, int(self._seconds * 1000))
            if answer == 1 and _now() < self._valid_until:
                self._valid_until = asked + self._seconds * 0.9
            elif answer == 0 or _now() >= self._valid_until:
                self.token = None
                self._cut_off()
                return
            else:
                await asyncio.sleep(min(0.2, self._seconds / 20))

    async def _ask(self, script: str, keys: tuple[str, ...], *arguments: Any) -> int | None:
        """Run a script in Redis; None if it cannot be reached in time."""
        try:
            async with asyncio.timeout(max(0.05, self._seconds / 3)):
                answer = int(await self._redis.eval(script, len(keys), *keys, *arguments))
        except asyncio.CancelledError:
            raise
        except Exception as error:
            if not self._troubled:
                self._troubled = True
                logger.warning(
                    "A lease cannot be kept, for Redis is out of reach: %s", str(error) or type(error).__name__
                )
            return None
        self._troubled = False
        return answer

    def _cut_off(self) -> None:
        # No close frame: by now another process may hold the lease.
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.abort()
