"""Supervisor of all outbound routes: starts them together, watches them, stops them; ``runner.py`` reconnects."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from weakref import WeakSet

from .. import metrics
from ..conf import conf
from ..console import RouteRow, outbound_routes
from ..layer import redis_client, redis_prefix
from ..routing import OutboundRoute
from ..tasks import wait_unless
from ..threads import Threads
from .http import send_request
from .lease import Lease
from .runner import Runner

__all__ = ["Supervisor"]

logger = logging.getLogger("django_fastws.clients")

_LAST_SECONDS = 0.5  # to wait for what was cancelled, or for a busy thread, once the drain time is over


class Supervisor:
    """Runs outbound routes: first the HTTP requests, all together, then the sockets, each in a task of its own.

    Args:
        routes: what to run.
        drain_seconds: how long an orderly stop may take; None is ``FASTWS_DRAIN_SECONDS``.
    """

    def __init__(self, routes: Sequence[OutboundRoute], drain_seconds: float | None = None) -> None:
        self._requests = [route for route in routes if route.method is not None]
        self._sockets = [route for route in routes if route.method is None]
        self._drain_seconds = conf.drain_seconds if drain_seconds is None else drain_seconds
        self._runners: list[Runner] = []
        #: What runs each of the runners, and those that were restarted before.
        self._running: list[asyncio.Future[None]] = []
        self._make_runner: Callable[[OutboundRoute], Runner] | None = None
        self._request_failed = False
        self._sending: list[asyncio.Future[None]] = []
        self._stop = asyncio.Event()
        _supervisors.add(self)

    async def run(self) -> bool:
        """Run every route to its end, or until ``stop()``.

        After a stop it returns within the drain time, even if handlers that ignore their cancellation go on.

        Returns:
            Whether all went well: no request and no route has failed.
        """
        started = time.monotonic()
        threads = Threads(conf.db_threads)
        logger.info("FastWS started")
        logger.info("Running %d routes", len(self._requests) + len(self._sockets))
        try:
            await self._send_requests(threads)
            if not self._stop.is_set():
                await self._run_sockets(threads)
                await self._wait_unless_stopped(self._sending)
        finally:
            if self._stop.is_set():
                metrics.draining.add(-1)
            await _cancel(self._sending, _LAST_SECONDS)
            await threads.close(_LAST_SECONDS if self._stop.is_set() else None)
        logger.info("Done in %.2fs", time.monotonic() - started)
        return not self.has_failed

    @property
    def has_failed(self) -> bool:
        """Whether a request or a route has failed so far."""
        return self._request_failed or any(runner.failed for runner in self._runners)

    def stop(self) -> None:
        """Stop in order: no new connections, every socket is closed with 1001, handlers end or are cancelled."""
        if not self._stop.is_set():
            metrics.draining.add(1)
        self._stop.set()

    @property
    def states(self) -> list[str]:
        """The states of the routes of sockets, each in one word."""
        return [runner.state.replace(" ", "_") for runner in self._runners]

    # For the console

    def rows(self) -> list[RouteRow]:
        """The routes of sockets; their process is not filled in."""
        return [_row(runner) for runner in self._runners]

    def restart(self, route: str) -> bool:
        """Begin to restart a route, by its key: it is stopped, and runs anew, with its counters at zero.

        Its handler has the drain time to end, and is cancelled then.

        Returns:
            Whether there is such a route, and it was not restarted already a moment ago.
        """
        if self._make_runner is None or self._stop.is_set():
            return False
        for number, runner in enumerate(self._runners):
            if runner.route.key == route:
                former = self._running[number]
                self._runners[number] = new = self._make_runner(runner.route)
                self._running[number] = asyncio.ensure_future(self._run_anew(runner, former, new))
                self._running.append(former)
                logger.info("Restarting route %s", route)
                return True
        return False

    async def _run_anew(self, former: Runner, running: asyncio.Future[None], new: Runner) -> None:
        closing = asyncio.ensure_future(former.stop())  # a peer may take its time
        try:
            _, late = await asyncio.wait([running], timeout=self._drain_seconds)
            await _cancel([*late, closing], _LAST_SECONDS)
        except asyncio.CancelledError:
            running.cancel()
            closing.cancel()
            raise
        self._running.remove(running)
        await new.run()

    async def _wait_until_all_ended(self) -> None:
        """Wait until every route has ended, also those that are restarted meanwhile, or ``stop()`` was called."""
        while not self._stop.is_set() and not all(running.done() for running in self._running):
            await self._wait_unless_stopped(self._running)

    def enforce_leases(self) -> None:
        """Cut off every socket whose lease is over. It may be called from a signal handler of the loop's thread."""
        for runner in self._runners:
            runner.enforce_lease()

    def status(self) -> str:
        """A table of the socket routes, for a log."""
        titles = ("ROUTE", "STATE", "ATTEMPT", "CONNECTED SINCE", "IN", "OUT", "URL", "LAST ERROR")
        rows = [titles, *(_status_row(runner) for runner in self._runners)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(titles))]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
        )

    async def _send_requests(self, threads: Threads) -> None:
        """Send the requests; returns when all handlers have ended, but for those that take too long."""
        loop = asyncio.get_running_loop()
        awaited = [loop.create_future() for _ in self._requests]
        self._sending = [
            asyncio.ensure_future(self._send_request(route, threads, is_awaited))
            for route, is_awaited in zip(self._requests, awaited, strict=True)
        ]
        await self._wait_unless_stopped(awaited)

    async def _send_request(self, route: OutboundRoute, threads: Threads, is_awaited: asyncio.Future[None]) -> None:
        def let_go() -> None:
            if not is_awaited.done():
                is_awaited.set_result(None)

        try:
            if not await send_request(route, threads, let_go):
                self._request_failed = True
        finally:
            let_go()

    async def _run_sockets(self, threads: Threads) -> None:
        logger.info("WebSocket connections: %d", len(self._sockets))
        redis = redis_client() if any(route.lease for route in self._sockets) else None
        self._make_runner = lambda route: Runner(route, threads, _lease(route, redis))
        self._runners = [self._make_runner(route) for route in self._sockets]
        self._running = [asyncio.ensure_future(runner.run()) for runner in self._runners]
        try:
            await self._wait_until_all_ended()
            if self._stop.is_set() and self._running:
                await self._drain(self._running)
        except asyncio.CancelledError:
            await _cancel(self._running, _LAST_SECONDS)
            raise
        finally:
            self._make_runner = None
            if redis is not None:
                await redis.aclose(close_connection_pool=True)

    async def _wait_unless_stopped(self, tasks: Sequence[asyncio.Future[None]]) -> None:
        """Wait until all tasks have ended, or ``stop()`` was called."""
        await wait_unless(self._stop, asyncio.gather(*tasks, return_exceptions=True))

    async def _drain(self, running: Sequence[asyncio.Future[None]]) -> None:
        logger.info("Stopping: closing %d sockets", sum(runner.state == "connected" for runner in self._runners))
        for sending in self._sending:
            sending.cancel()
        closing = [asyncio.ensure_future(runner.stop()) for runner in self._runners]
        # What is cancelled needs some of the time for its `finally`.
        _, late = await asyncio.wait(running, timeout=self._drain_seconds * 0.9)
        if late:
            logger.warning("Cancelling %d handlers that did not end within the drain time", len(late))
            await _cancel(late, max(_LAST_SECONDS, self._drain_seconds * 0.1))
        await _cancel(closing, _LAST_SECONDS)


def _routes_by_state() -> dict[metrics.Labels, float]:
    found: dict[metrics.Labels, float] = {}
    for supervisor in list(_supervisors):
        for state in supervisor.states:
            found[state,] = found.get((state,), 0) + 1
    return found


_supervisors: WeakSet[Supervisor] = WeakSet()
metrics.outbound_routes.read_from(_routes_by_state)
outbound_routes.append(lambda: list(_supervisors))


async def _cancel(tasks: Iterable[asyncio.Future[Any]], seconds: float) -> None:
    """Cancel what has not ended, and wait for its end, but not longer than so many seconds."""
    late = [task for task in tasks if not task.done()]
    for task in late:
        task.cancel()
    if late:
        _, stubborn = await asyncio.wait(late, timeout=seconds)
        if stubborn:
            logger.error("%d handlers ignore their cancellation", len(stubborn))


def _lease(route: OutboundRoute, redis: Any) -> Lease | None:
    return Lease(redis, route.key, conf.client_lease_seconds, redis_prefix()) if route.lease else None


def _row(runner: Runner) -> RouteRow:
    traffic = runner.traffic
    return RouteRow(
        process="",
        route=runner.route.key,
        url=runner.url,
        state=runner.state,
        since=runner.connected_at,
        attempts=runner.attempt,
        last_error=runner.last_error,
        received_messages=traffic.messages_received,
        received_bytes=traffic.bytes_received,
        sent_messages=traffic.messages_sent,
        sent_bytes=traffic.bytes_sent,
    )


def _status_row(runner: Runner) -> tuple[str, ...]:
    since = runner.connected_at
    return (
        runner.route.key,
        runner.state,
        str(runner.attempt),
        "" if since is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(since)),
        str(runner.traffic.messages_received),
        str(runner.traffic.messages_sent),
        runner.url,
        runner.last_error,
    )
