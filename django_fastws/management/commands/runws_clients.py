"""Command ``manage.py runws_clients``: runs the outbound routes."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
from collections.abc import Iterator
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_fastws.checks import check_eviction
from django_fastws.clients import library, reloader
from django_fastws.clients.outbound_process import run_routes
from django_fastws.clients.selection import SelectionError, parse_shard, select
from django_fastws.logs import log_to_stderr
from django_fastws.routing import OutboundRoute, registry

logger = logging.getLogger("django_fastws.clients")


@contextlib.contextmanager
def _metrics_served(host: str, port: int | None) -> Iterator[None]:
    """Context manager in which Prometheus is answered, if there is a port for it."""
    if port is None:
        yield
        return
    try:
        from django_fastws.prometheus import serve_metrics  # only those who want it have it installed

        port, close = serve_metrics(host, port)
    except (ImproperlyConfigured, OSError, OverflowError) as error:
        raise CommandError(f"--metrics-port: {error}") from None
    logger.info("Metrics: http://%s:%d/metrics", f"[{host}]" if ":" in host else host, port)
    try:
        yield
    finally:
        close()


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
        parser.add_argument("--metrics-port", type=int, metavar="N", help="Answer Prometheus at this port.")
        parser.add_argument(
            "--metrics-host",
            default="127.0.0.1",
            metavar="HOST",
            help="The address for that, such as 0.0.0.0. Default: 127.0.0.1.",
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
        with _metrics_served(options["metrics_host"], options["metrics_port"]):
            status = run_routes(routes, options["drain_seconds"], reload=options["reload"])
        if status:
            sys.exit(status)

    def _list(self, routes: list[OutboundRoute]) -> None:
        rows = [(route.method or "WS", route.key, route.shown_url, ", ".join(route.tags)) for route in routes]
        widths = [max((len(row[column]) for row in rows), default=0) for column in range(4)]
        for row in rows:
            self.stdout.write("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
