"""Lease in Redis that a route holds while it runs, so that one process of many does: with expiry and a fencing token.

The holder renews the lease long before it expires, and believes in it only until then by its own clock: a process
that was stopped, or is cut off from Redis, finds that its time is over before it touches the socket again. Who takes
over gets a higher token, by which a store can refuse what a former holder still writes.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from typing import Any

from redis.asyncio.cluster import RedisCluster
from redis.exceptions import AskError, ClusterDownError, ClusterError, MovedError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError

from ..exceptions import WebSocketDisconnect
from ..tasks import cancel_and_wait
from .lease_clock import now
from .lease_scripts import ACQUIRE, RELEASE, RENEW
from .websockets_transport import WebsocketsTransport

__all__ = ["Lease", "LeaseLost"]

logger = logging.getLogger("django_fastws.clients")

_OF_A_CLUSTER = (AskError, ClusterDownError, ClusterError, MovedError)

_RENEWAL_SECONDS = 1.0  # between two renewals, at most


def _cause(error: Exception, *, is_cluster: bool) -> str:
    """The cause, for the log, of a Redis, or a cluster, that does not do what a lease needs."""
    said = str(error) or type(error).__name__
    if isinstance(error, _OF_A_CLUSTER) and is_cluster:
        return f"the cluster does not serve its key: {said}"
    if isinstance(error, _OF_A_CLUSTER):
        return (
            f"the Redis is a node of a Redis Cluster and does not have its key ({type(error).__name__}: {said}); "
            "name it in cluster of CHANNEL_LAYERS, not in hosts, or first in hosts one that is no cluster"
        )
    if isinstance(error, ResponseError) and not isinstance(error, RedisConnectionError):
        return f"Redis refuses: {said}"
    return f"Redis is out of reach: {said}"


class LeaseLost(WebSocketDisconnect):
    """The route's lease is over, and its socket must not be touched any more."""

    def __init__(self) -> None:
        super().__init__(1006, "the lease was lost")


class Lease:
    """Lease of one route: a distributed lock with an expiry.

    Args:
        redis: an asyncio client of redis-py.
        key: the route's name, the same in every process.
        seconds: how long the lease outlives its holder.
        prefix: of the keys in Redis, that of the channel layer.

    Attributes:
        token: grows with every holder; None without the lease.
    """

    _LONGEST_PAUSE = 1.0  # seconds between two attempts to get it

    def __init__(self, redis: Any, key: str, seconds: float, prefix: str = "asgi") -> None:
        self.token: int | None = None
        self._redis = redis
        self._key = key
        self._keys = (f"{prefix}:lease:{{{key}}}", f"{prefix}:lease:{{{key}}}:token")
        self._seconds = seconds
        # What Redis has forgotten is back as soon as its holder renews it.
        self._renewal_seconds = min(seconds / 10, _RENEWAL_SECONDS)
        self._holder = uuid.uuid4().hex
        self._valid_until = 0.0
        self._renewing: asyncio.Task[None] | None = None
        self._transport: WebsocketsTransport | None = None
        self._troubled = False

    def is_valid(self) -> bool:
        """Whether this process holds the lease for certain."""
        return self.token is not None and now() < self._valid_until

    def check(self) -> None:
        """Raise unless this process holds the lease for certain.

        Raises:
            LeaseLost: it does not; the socket is cut off.
        """
        if not self.is_valid():
            self._abort()
            raise LeaseLost

    def enforce(self) -> None:
        """Cut the socket off if the lease is over; for a process that has just been continued (SIGCONT)."""
        if self.token is not None and not self.is_valid():
            self._abort()

    def guard(self, transport: WebsocketsTransport | None) -> None:
        """Name the connection that is cut off when the lease is lost; None for none."""
        self._transport = transport

    async def acquire(self) -> None:
        """Wait until this process holds the lease. It keeps it until ``release()``, or until it is lost."""
        if self.is_valid():
            return
        await self._stop_renewing()
        self.token = None
        is_told = False
        while True:
            asked = now()
            answer = await self._ask(ACQUIRE, self._milliseconds, int(self._renewal_seconds * 1000))
            if answer is not None and answer > 0:
                self.token = answer
                self._valid_until = asked + self._seconds * 0.9  # clocks of two machines do not run alike
                self._renewing = asyncio.get_running_loop().create_task(self._renew())
                return
            if answer is not None and not is_told:
                is_told = True
                logger.info("Waiting for the lease of %s", self._key, extra={"route": self._key})
            pause = self._LONGEST_PAUSE if answer is None else min(self._LONGEST_PAUSE, -answer / 1000 + 0.005)
            await asyncio.sleep(pause)

    async def release(self) -> None:
        """Give the lease back, so that another process has it at once."""
        await self._stop_renewing()
        token, self.token = self.token, None
        # Also without a token: an answer of Redis may have been lost, or given up on.
        await self._ask(RELEASE, -1 if token is None else token)

    @property
    def _milliseconds(self) -> int:
        return int(self._seconds * 1000)

    async def _stop_renewing(self) -> None:
        renewing, self._renewing = self._renewing, None
        if renewing is not None:
            await cancel_and_wait(renewing)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(min(self._renewal_seconds, max(0.0, self._valid_until - now())))
            asked = now()
            answer = None
            if asked < self._valid_until and self.token is not None:
                answer = await self._ask(RENEW, self._milliseconds, self.token)
            if answer == 1 and now() < self._valid_until:
                self._valid_until = asked + self._seconds * 0.9
            elif answer == 0 or now() >= self._valid_until:
                self.token = None
                self._abort()
                return
            else:
                await asyncio.sleep(min(0.2, self._seconds / 20))

    async def _ask(self, script: str, *arguments: int) -> int | None:
        """Run a script in Redis for this holder; None if it cannot be reached in time, or refuses."""
        task, answer = asyncio.current_task(), None
        cancellations = task.cancelling() if task is not None else 0
        try:
            async with asyncio.timeout(max(0.05, self._seconds / 3)):
                answer = int(await self._redis.eval(script, 2, *self._keys, self._holder, *arguments))
        except asyncio.CancelledError:
            raise
        except Exception as error:
            if not self._troubled:
                self._troubled = True
                is_cluster = isinstance(self._redis, RedisCluster)
                cause = _cause(error, is_cluster=is_cluster)
                logger.warning("A lease cannot be kept, for %s", cause, extra={"route": self._key})
        else:
            self._troubled = False
        if task is not None and task.cancelling() > cancellations:
            raise asyncio.CancelledError  # which has got lost in the client, be there an answer or an error
        return answer

    def _abort(self) -> None:
        # No close frame: by now another process may hold the lease.
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.reset()
