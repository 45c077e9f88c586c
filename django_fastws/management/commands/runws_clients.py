"""``manage.py runws_clients``: runs the outbound routes."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import autoreload

from django_fastws.clients.selection import SelectionError, parse_shard, select
from django_fastws.clients.supervisor import Supervisor
from django_fastws.routes import OutboundRoute, registry

logger = logging.getLogger("django_fastws.clients")

_RELOAD = 3  # the exit status by which Django's reloader knows that it shall start anew


class Command(BaseCommand):
    """Parses, selects, and runs a supervisor."""

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
        if options["drain_seconds"] is not None and options["drain_seconds"] < 0:
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
        _log_to_stderr()
        if options["reload"] and os.environ.get(autoreload.DJANGO_AUTORELOAD_ENV) != "true":
            sys.exit(autoreload.restart_with_reloader())
        status = asyncio.run(_run(routes, options["drain_seconds"], reload=options["reload"]))
        if status:
            sys.exit(status)

    def _list(self, routes: list[OutboundRoute]) -> None:
        rows = [(route.method or "WS", route.key, route.shown_url, ", ".join(route.tags)) for route in routes]
        widths = [max((len(row[column]) for row in rows), default=0) for column in range(4)]
        for row in rows:
            self.stdout.write("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


async def _run(routes: list[OutboundRoute], drain_seconds: float | None, *, reload: bool) -> int:
    loop = asyncio.get_running_loop()
    supervisor = Supervisor(routes, drain_seconds)
    stopped: list[int] = []

    def stop(signum: int) -> None:
        if stopped:
            # Somebody insists: end at once, as the signal would have.
            signal.signal(signum, signal.SIG_DFL)
            os.kill(os.getpid(), signum)
        stopped.append(signum)
        supervisor.stop()

    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, stop, signum)
    loop.add_signal_handler(signal.SIGUSR1, lambda: logger.info("Routes:\n%s", supervisor.status()))
    # Not through the loop: it might serve a socket before it comes to its signal handlers.
    signal.signal(signal.SIGCONT, lambda *_: supervisor.enforce_leases())
    changed = _watch(loop, supervisor) if reload else []
    all_well = await supervisor.run()
    if changed:
        return _RELOAD
    return 0 if all_well else 1


def _watch(loop: asyncio.AbstractEventLoop, supervisor: Supervisor) -> list[Path]:
    """Watch the code from a thread; a change stops the supervisor in order. Returns a list of what has changed."""
    changed: list[Path] = []

    def on_change(sender: Any, file_path: Path, **kwargs: Any) -> bool:
        logger.info("%s has changed, starting anew", file_path)
        changed.append(file_path)
        loop.call_soon_threadsafe(supervisor.stop)
        return True  # or Django would end the process at once

    autoreload.file_changed.connect(on_change, weak=False)
    reloader = autoreload.get_reloader()
    thread = threading.Thread(target=reloader.run, args=[threading.main_thread()], daemon=True, name="reloader")
    thread.start()
    return changed


def _log_to_stderr() -> None:
    """Show what is logged at INFO, unless the project's LOGGING says where it goes."""
    package = logging.getLogger("django_fastws")
    if not package.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(levelname)-7s | %(name)s | %(message)s"))
        package.addHandler(handler)
        if package.level == logging.NOTSET:
            package.setLevel(logging.INFO)
