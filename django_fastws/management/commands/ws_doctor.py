"""Command ``manage.py ws_doctor``: proves an installation, and says what is wrong and what to do."""

from __future__ import annotations

import asyncio
import json
import math
import sys
import textwrap
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_fastws.doctor import CheckResult, examine, exit_status, summary

_LONGEST_IDLE_SECONDS = 3600.0
_COLUMNS = 100
_STYLES = {"ok": "SUCCESS", "warning": "WARNING", "failed": "ERROR", "skipped": "HTTP_INFO"}


class Command(BaseCommand):
    """Command that examines the installation."""

    help = (
        "Proves an installation: settings and checks, the channel layer, every process that serves on it, clocks, a "
        "room with history, presence, the browser client, limits of the machine; with --url from outside, through "
        "the proxy. The exit status is 1 if something has failed."
    )
    # They are among what it looks at.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="Print JSON: a list with one object for each result.")
        parser.add_argument(
            "--url",
            help="Look from outside, too, as a browser does: the URL of a WebSocket, wss://example.org/ws/live.",
        )
        parser.add_argument(
            "--idle",
            type=float,
            metavar="SECONDS",
            help="With --url: watch for so long whether a silent socket lives. Default: it is not watched.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        url, idle = options["url"], options["idle"]
        if idle is not None and not (math.isfinite(idle) and 0 < idle <= _LONGEST_IDLE_SECONDS):
            raise CommandError(f"--idle takes a number of seconds above 0, and at most {_LONGEST_IDLE_SECONDS:g}.")
        if idle is not None and url is None:
            raise CommandError("--idle watches a socket at --url: give that, too.")
        results: list[CheckResult] = []

        def report(result: CheckResult) -> None:
            results.append(result)
            if not options["json"]:
                self._show(result)

        try:
            asyncio.run(examine(report, url=url, idle_seconds=idle))
        except KeyboardInterrupt:
            raise CommandError("Interrupted: what has not been looked at is not shown.", returncode=130) from None
        if options["json"]:
            rows = [result.as_dict() for result in results]
            self.stdout.write(json.dumps(rows, indent=2, ensure_ascii=False))
        else:
            self.stdout.write(f"\n{summary(results)}.")
        if status := exit_status(results):
            sys.exit(status)

    def _show(self, result: CheckResult) -> None:
        style = getattr(self.style, _STYLES[result.status])
        first, *others = textwrap.wrap(f"{result.check}: {result.detail}", _COLUMNS - 9, break_long_words=False)
        self.stdout.write(f"{style(result.status.ljust(7))}  {first}")
        for line in others:
            self.stdout.write(f"{'':9}{line}")
        for line in textwrap.wrap(f"→ {result.hint}" if result.hint else "", _COLUMNS - 11, break_long_words=False):
            self.stdout.write(f"{'':9}{line}" if line.startswith("→") else f"{'':11}{line}")
