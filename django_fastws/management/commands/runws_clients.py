"""Command ``manage.py runws_clients``: runs the outbound routes."""

from __future__ import annotations

import logging
import sys
import threading
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_fastws.checks import check_eviction
from django_fastws.clients import library, reloader
from django_fastws.clients.outbound_process import run_routes
from django_fastws.clients.selection import SelectionError, parse_shard, select
from django_fastws.logs import log_to_stderr
from django_fastws.routing import OutboundRoute, registry

logger = logging.getLogger("django_fastws.clients")


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
        status = run_routes(routes, options["drain_seconds"], reload=options["reload"])
        if status:
            sys.exit(status)

    def _list(self, routes: list[OutboundRoute]) -> None:
        rows = [(route.method or "WS", route.key, route.shown_url, ", ".join(route.tags)) for route in routes]
        widths = [max((len(row[column]) for row in rows), default=0) for column in range(4)]
        for row in rows:
            self.stdout.write("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
