"""Command ``manage.py runws_clients``: runs the outbound routes."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_fastws.checks import check_eviction
from django_fastws.clients import library, reloader
from django_fastws.clients.lease_clock import LeaseSelector, new_loop
from django_fastws.clients.selection import SelectionError, parse_shard, select
from django_fastws.clients.supervisor import Supervisor
from django_fastws.conf import conf
from django_fastws.layer import announce_layer
from django_fastws.logs import log_to_stderr
from django_fastws.routing import OutboundRoute, registry
from django_fastws.stopping import OrderlyStop
from django_fastws.tasks import cancel_and_wait

logger = logging.getLogger("django_fastws.clients")

_WATCHDOG_SECONDS = 2.0  # after the drain time


class Command(BaseCommand):
    """Command that selects outbound routes by its options, and runs their supervisor."""

    help = "Runs the outbound routes: the HTTP requests first, then the WebSockets, until they end or are stopped."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tag", action="append", default=[], metavar="TAG", help="Only routes with this tag.")
        parser.add_argument("--route", action="append", default=[], metavar="NAME", help="Only this route.")
        parser.add_argument("--shard", metavar="I/N", help="Only the I-th of N parts of the routes, split by name.")
        parser.add_argument("--list", action="store_true", help="List the selected routes, and run none.")
        parser.add_argument(
            "--drain-seconds",
            type=float,
            metavar="N",
            help="How long an orderly stop may take (FASTWS_DRAIN_SECONDS).",
        )
        parser.add_argument("--reload", action="store_true", help="Start anew when code changes, as runserver does.")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["drain_seconds"] is not None and not 0 <= options["drain_seconds"] < threading.TIMEOUT_MAX:
            raise CommandError("--drain-seconds takes a number of seconds from 0")
        for problem in registry.problems:
            raise CommandError(f"{problem.module}: {problem.error}")
        try:
            shard = parse_shard(options["shard"]) if options["shard"] else None
            routes = select(registry.outbound, options["tag"], options["route"], shard)
        except SelectionError as error:
            raise CommandError(str(error)) from None
        if options["list"]:
            self._list(routes)
            return
        if not routes:
            raise CommandError("There is no outbound route to run. Declare one with @app.ws or @app.get.")
        for message in check_eviction() if any(route.lease for route in routes) else ():
            logger.error("%s %s", message.msg, message.hint)
        for obstacle in library.obstacles(routes):
            raise CommandError(obstacle)
        log_to_stderr()
        if options["reload"] and not reloader.is_child():
            sys.exit(reloader.run_child())
        selector = LeaseSelector()
        with asyncio.Runner(loop_factory=lambda: new_loop(selector)) as runner:
            status = runner.run(_run(routes, options["drain_seconds"], selector, reload=options["reload"]))
        if status:
            sys.exit(status)

    def _list(self, routes: list[OutboundRoute]) -> None:
        rows = [(route.method or "WS", route.key, route.shown_url, ", ".join(route.tags)) for route in routes]
        widths = [max((len(row[column]) for row in rows), default=0) for column in range(4)]
        for row in rows:
            self.stdout.write("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


async def _run(
    routes: list[OutboundRoute], drain_seconds: float | None, selector: LeaseSelector, *, reload: bool
) -> int:
    """Run routes until they end, or a signal or a change of the code stops them; returns the exit status."""
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

    stop.install()
    selector.check = supervisor.enforce_leases
    # Not through the loop: it might serve a socket before SIGCONT.
    signal.signal(signal.SIGCONT, lambda *_: supervisor.enforce_leases())
    loop.add_signal_handler(signal.SIGUSR1, lambda: logger.info("Routes:\n%s", supervisor.status()))
    if reload:
        reloader.watch(on_change)
    announcing = asyncio.create_task(announce_layer())
    try:
        await supervisor.run()
    finally:
        await cancel_and_wait(announcing)
    return status()
