"""Runner of one outbound WebSocket route: runs its handler, and decides whether and when to reconnect."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from .. import metrics, tracing
from .._core.backoff import delays
from .._core.close_codes import GOING_AWAY
from .._core.connection_state import ConnectionState
from ..conf import conf
from ..log_fields import outbound_fields
from ..routing import OutboundRoute
from ..tasks import cancel_and_wait, wait_unless
from ..threads import Threads
from ..traced_sockets import SocketTrace
from ..tracing import CONNECT, Work
from ..websocket import WebSocket
from .connecting import Connector
from .handling import run_handler
from .lease import Lease
from .outcomes import AttemptResult, Outcome
from .websockets_transport import WebsocketsTransport

__all__ = ["Runner", "Stopped"]

logger = logging.getLogger("django_fastws.clients")

# A handshake that is under way when the route is stopped may end: cut off, its peer might see 1006.
_HANDSHAKE_SECONDS = 1.0

T = TypeVar("T")


class Stopped(Exception):
    """The route was told to stop."""


class Runner:
    """Runs one route until it is done, has failed for good, or is stopped.

    Args:
        route: what to run.
        threads: for the sync code of its handler.
        lease: the route runs only while this is held; None needs none.
        connector: opens the connections; None makes one of the route.
        sleep: waits between two attempts, for so many seconds.

    Attributes:
        state: one word for the status table.
        attempt: 0 for the first connection, else the number of the attempt in a row.
        connected_at: when the present connection was opened, in seconds since the epoch; None without one.
        last_error: how the last connection that was not wanted to end did end.
        failed: it has failed for good.
        traffic: messages and bytes over all connections.
    """

    def __init__(
        self,
        route: OutboundRoute,
        threads: Threads,
        lease: Lease | None = None,
        *,
        connector: Connector | None = None,
        sleep: Callable[[float], Coroutine[Any, Any, None]] = asyncio.sleep,
    ) -> None:
        self.route = route
        self.url = route.shown_url
        self.state = "waiting"
        self.attempt = 0
        self.connected_at: float | None = None
        self.last_error = ""
        self.failed = False
        self.traffic = metrics.Traffic()
        self._threads = threads
        self._lease = lease
        self._connector = Connector(route) if connector is None else connector
        self._sleep = sleep
        self._sockets: set[WebSocket] = set()
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Run to the end; raises nothing but what cancels it."""
        metrics.add_traffic(self.traffic)
        try:
            with self._threads.assigned(self.route.scope):
                await self._run()
        except Stopped:
            self.state = "stopped"
            logger.info("Route %s was stopped", self.route.key, extra=self._fields())
        except asyncio.CancelledError:
            self.state = "stopped"
            logger.info("Route %s was stopped, and its handler cancelled", self.route.key, extra=self._fields())
            raise
        except Exception:
            logger.exception("Route %s failed", self.route.key, extra=self._fields())
            self._fail("internal error")
        finally:
            metrics.end_traffic(self.traffic)
            if self._lease is not None:
                await self._lease.release()

    async def stop(self) -> None:
        """Open no more connections, and close the open one with 1001; the handler ends by itself."""
        self._stopping.set()
        for ws in list(self._sockets):
            await ws.close(*GOING_AWAY)

    def enforce_lease(self) -> None:
        """Cut the socket off if the route's lease is over."""
        if self._lease is not None:
            self._lease.enforce()

    async def _run(self) -> None:
        waits = self._delays()
        while True:
            result = await self._attempt()
            metrics.outbound_outcomes.add(1, "lease_lost" if result is None else result.outcome.value)
            if self._stopping.is_set():
                raise Stopped
            if result is None:  # the lease was lost
                continue
            if not self._should_reconnect(result):
                return
            if result.up_seconds >= conf.client_stable_seconds:
                self.attempt, waits = 0, self._delays()
            if result.outcome is Outcome.RECONNECT:  # no retry: it begins anew
                self.attempt = 0
                if result.retry_after is not None:
                    waits = self._delays()
                await self._pause(next(waits) if result.retry_after is None else result.retry_after)
                continue
            if self.route.max_retries != -1 and self.attempt >= self.route.max_retries:
                self._fail(f"gave up after {self.attempt} attempts to connect again: {result.reason}")
                return
            self.attempt += 1
            await self._pause(max(next(waits), result.retry_after or 0.0))

    async def _attempt(self) -> AttemptResult | None:
        """Make one attempt: one connection, and its handler; None if the lease was lost."""
        lease = self._lease
        if lease is not None:
            self.state = "waiting for the lease"
            await self._wait_unless_stopped(lease.acquire())
        self.state = "connecting"
        metrics.outbound_attempts.add(1, self.route.key)
        trace = self._trace() if tracing.observers else None
        try:
            return await self._connect(lease, trace)
        finally:
            if trace is not None:
                trace.end()

    def _trace(self) -> SocketTrace:
        attributes: dict[str, tracing.Value] = {"fastws.attempt": self.attempt}
        return SocketTrace(self.route.key, tracing.begin(Work(CONNECT, self.route.key, attributes=attributes)))

    async def _connect(self, lease: Lease | None, trace: SocketTrace | None) -> AttemptResult | None:
        """Connect, and run the handler."""
        connected = await self._wait_unless_stopped(self._connector.connect(self._connecting), _HANDSHAKE_SECONDS)
        if isinstance(connected, AttemptResult):
            logger.warning("WebSocket not connected: %s (%s)", self.url, connected.reason, extra=self._fields())
            if trace is not None:
                trace.next(code=connected.outcome.value)
            return connected
        transport = connected.transport_class(
            connected.connection,
            connected.url,
            self.attempt,
            traffic=self.traffic,
            guard=lease.check if lease is not None else None,
            token=lease.token if lease is not None else None,
        )
        self._opened(transport)
        result, lost_lease = None, False
        try:
            if self._stopping.is_set():  # too late for the handler
                await transport.close(*GOING_AWAY)
                raise Stopped
            result = await run_handler(self.route, transport, self._sockets, trace)
        finally:
            lost_lease = self._closed(transport, result.reason if result is not None else "")
        return None if lost_lease else result

    def _opened(self, transport: WebsocketsTransport) -> None:
        """The connection is open."""
        self.state, self.connected_at = "connected", time.time()
        metrics.outbound_connections.add(1)
        logger.info("✔ WebSocket connected: %s", self.url, extra=self._fields(transport.state))
        if self._lease is not None:
            self._lease.guard(transport)

    def _closed(self, transport: WebsocketsTransport, reason: str) -> bool:
        """The connection is closed; returns whether that is because the lease was lost."""
        self.state, self.connected_at = "closed", None
        metrics.outbound_connections.add(-1)
        lost_lease = self._lease is not None and not self._lease.is_valid() and not self._stopping.is_set()
        if lost_lease:
            reason = "1006: the lease was lost; waiting for it again"
        fields = self._fields(transport.state, code=transport.state.close_code)
        logger.info("WebSocket closed: %s (%s)", self.url, reason or transport.ending(), extra=fields)
        if self._lease is not None:
            self._lease.guard(None)
        return lost_lease

    def _connecting(self, url: str) -> None:
        self.url = url
        logger.info("WebSocket connecting: %s", url, extra=self._fields())

    def _should_reconnect(self, result: AttemptResult) -> bool:
        """Whether the route reconnects after such a result; if not, it is done or has failed."""
        if result.outcome is Outcome.RECONNECT:
            return True
        if result.outcome in (Outcome.RETURNED, Outcome.CLOSED_HERE):
            if not self.route.restart_on_end:
                self._finish(result)
            return self.route.restart_on_end
        self.last_error = result.reason
        if result.outcome is Outcome.PERMANENT_FAILURE:
            self._fail(result.reason)
            return False
        if result.outcome is Outcome.HANDLER_FAILED and not self.route.retry_on_error:
            self._fail(result.reason)
            return False
        if not self.route.reconnect:
            if result.outcome is Outcome.CLOSED_BY_PEER:
                self._finish(result)
            else:
                self._fail(result.reason)
            return False
        return True

    def _finish(self, result: AttemptResult) -> None:
        """The route is over without an error; of one that was to connect again that is worth a warning."""
        self.state = "done"
        if not self.route.reconnect:  # it ends with its only connection, of which the log tells
            return
        # To return is the way to say that the work is done; nobody closes a socket to say that.
        self.failed = result.outcome is Outcome.CLOSED_HERE and self.route.max_retries == -1
        logger.warning(
            "Route %s has ended: %s (%s). It does not connect again: for that, raise Reconnect() or give it "
            "restart_on_end=True",
            self.route.key,
            "its handler has closed the connection"
            if result.outcome is Outcome.CLOSED_HERE
            else "its handler has returned",
            result.reason,
            extra=self._fields(),
        )

    def _fail(self, reason: str) -> None:
        self.state, self.failed, self.last_error = "failed", True, reason
        logger.error("Route %s has failed: %s", self.route.key, reason, extra=self._fields())

    async def _pause(self, seconds: float) -> None:
        self.state = "waiting"
        line = "WebSocket connecting again in %.1f seconds: %s (attempt %d)"
        logger.info(line, seconds, self.url, self.attempt, extra=self._fields())
        await self._wait_unless_stopped(self._sleep(seconds))

    async def _wait_unless_stopped(self, work: Coroutine[Any, Any, T], grace: float = 0.0) -> T:
        """Wait for work, but give it up when the route is stopped, or so many seconds later."""
        if self._stopping.is_set():
            work.close()
            raise Stopped
        doing = asyncio.ensure_future(work)
        try:
            await wait_unless(self._stopping, doing)
            if not doing.done() and grace:
                await asyncio.wait([doing], timeout=grace)
            if doing.done():
                return doing.result()
            raise Stopped
        finally:
            if not doing.done():
                await cancel_and_wait(doing)

    def _fields(self, state: ConnectionState | None = None, **more: Any) -> dict[str, Any]:
        return outbound_fields(self.route.key, self.url, state, attempt=self.attempt, **more)

    @staticmethod
    def _delays() -> Any:
        return delays(conf.client_backoff_base, conf.client_backoff_cap, conf.client_backoff_jitter)
