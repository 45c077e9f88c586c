"""Process of outbound routes: their supervisor in an event loop of its own, with signals."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Sequence
from pathlib import Path

from ..conf import conf
from ..layer import announce_layer
from ..processes import current_responder
from ..routing import OutboundRoute
from ..slow_callbacks import watch_loop
from ..stopping import OrderlyStop
from ..tasks import cancel_and_wait
from . import reloader
from .lease_clock import LeaseSelector, new_loop
from .supervisor import Supervisor

__all__ = ["run_routes"]

logger = logging.getLogger("django_fastws.clients")

_WATCHDOG_SECONDS = 2.0  # after the drain time
_SETTLE_SECONDS = 0.5  # of that, for the last answers to questions


def run_routes(
    routes: Sequence[OutboundRoute],
    drain_seconds: float | None = None,
    *,
    reload: bool = False,
    keeps_signals: bool = True,
) -> int:
    """Run routes until they end, or a signal or a change of the code stops them; in the main thread.

    SIGINT, SIGTERM and SIGHUP stop them in order, SIGUSR1 logs their state.

    Args:
        drain_seconds: how long an orderly stop may take; None is ``FASTWS_DRAIN_SECONDS``.
        reload: stop when code changes.
        keeps_signals: leave signals handled, for a process that ends behind this; False gives them back.
    Returns:
        The exit status: 0, 1 if a request or a route has failed, or ``reloader.CHANGED``.
    """
    selector = LeaseSelector()
    with asyncio.Runner(loop_factory=lambda: new_loop(selector)) as runner:
        return runner.run(_run(routes, drain_seconds, selector, reload=reload, keeps_signals=keeps_signals))


async def _run(
    routes: Sequence[OutboundRoute],
    drain_seconds: float | None,
    selector: LeaseSelector,
    *,
    reload: bool,
    keeps_signals: bool,
) -> int:
    loop = asyncio.get_running_loop()
    supervisor = Supervisor(routes, drain_seconds)
    changed: list[Path] = []

    def status() -> int:
        return reloader.CHANGED if changed else int(supervisor.has_failed)

    def limit() -> float:
        return (conf.drain_seconds if drain_seconds is None else drain_seconds) + _WATCHDOG_SECONDS

    stop = OrderlyStop(loop, supervisor.stop, seconds=limit, status=status, logger=logger)

    def on_change(file_path: Path) -> None:
        logger.info("%s has changed, starting anew", file_path)
        changed.append(file_path)
        stop.begin()

    watch_loop()
    stop.install()
    selector.check = supervisor.enforce_leases
    # Not through the loop: it might serve a socket before SIGCONT.
    resumed = signal.signal(signal.SIGCONT, lambda *_: supervisor.enforce_leases())
    loop.add_signal_handler(signal.SIGUSR1, lambda: logger.info("Routes:\n%s", supervisor.status()))
    if reload:
        reloader.watch(on_change)
    announcing = asyncio.create_task(announce_layer())
    responder = current_responder()
    responder.start("clients", lambda: stop.has_begun, stop.begin)
    try:
        await supervisor.run()
    finally:
        responder.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SETTLE_SECONDS):
                await responder.settled()
        await cancel_and_wait(announcing)
        signal.signal(signal.SIGCONT, resumed)
        if not keeps_signals:
            stop.uninstall()
    return status()
