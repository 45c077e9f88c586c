"""Command ``manage.py ws_stats``: what the processes count, for people."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from http.client import HTTPException
from typing import Any, NamedTuple

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_fastws._core.stats_text import Readings, added, stats_text
from django_fastws.exceptions import WebSocketConnectionError
from django_fastws.metrics import all_metrics
from django_fastws.processes import METRICS_TOPIC, ask_processes

_MOST_SECONDS = 60.0


class _Reading(NamedTuple):
    """What the processes have answered.

    Attributes:
        processes: the metrics of each, by its name.
        missing: how many are known not to have answered.
        errors: what those have said who could not.
        at: when it was read, by ``time.monotonic()``.
    """

    processes: dict[str, dict[str, Any]]
    missing: int
    errors: list[str]
    at: float


class Command(BaseCommand):
    """Command that reads the metrics of every process, adds them up, and shows them."""

    help = "Shows what all processes have counted: sockets, messages, rooms, calls, the channel layer, routes."
    # Numbers are wanted most when something is wrong.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--watch", type=float, metavar="SECONDS", help="Again every so many seconds, with rates.")
        parser.add_argument("--json", action="store_true", help="JSON: the metrics of each process by its name.")
        parser.add_argument(
            "--url",
            action="append",
            default=[],
            metavar="URL",
            help="Read FASTWS_METRICS_PATH of this server, and ask nobody over the channel layer; may be repeated.",
        )
        parser.add_argument(
            "--timeout", type=float, default=2.0, metavar="SECONDS", help="How long to wait for answers. Default: 2."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        watch, timeout = options["watch"], options["timeout"]
        if not 0 < timeout <= _MOST_SECONDS:
            raise CommandError(f"--timeout takes a number of seconds above 0, and at most {_MOST_SECONDS:g}")
        if watch is not None and not 0 < watch <= 86_400:
            raise CommandError("--watch takes a number of seconds above 0")
        before = None
        try:
            while True:
                reading = _read(options["url"], timeout)
                self._show(reading, before, as_json=options["json"])
                if watch is None:
                    return
                before = reading
                self.stdout.flush()
                time.sleep(watch)
        except KeyboardInterrupt:
            pass

    def _show(self, reading: _Reading, before: _Reading | None, *, as_json: bool) -> None:
        for error in reading.errors:
            self.stderr.write(error)
        if as_json:
            if reading.missing:
                self.stderr.write(f"{reading.missing} did not answer, and are missing.")
            self.stdout.write(json.dumps(reading.processes, ensure_ascii=False))
            return
        count = len(reading.processes)
        missing = f", and {reading.missing} that did not answer" if reading.missing else ""
        names = ", ".join(sorted(reading.processes)) or "is anything served, over this channel layer?"
        self.stdout.write(f"{count} process{'' if count == 1 else 'es'}{missing}: {names}")
        earlier, seconds = None, 0.0
        if before is not None and before.processes.keys() == reading.processes.keys():
            earlier, seconds = _added(before), reading.at - before.at
        self.stdout.write(stats_text(all_metrics(), _added(reading), earlier, seconds) + "\n")


def _added(reading: _Reading) -> Readings:
    return added(reading.processes.values())


def _read(urls: list[str], timeout: float) -> _Reading:
    if urls:
        return _Reading({url: _page(url, timeout) for url in urls}, 0, [], time.monotonic())
    try:
        survey = asyncio.run(ask_processes(METRICS_TOPIC, seconds=timeout))
    except WebSocketConnectionError as error:
        raise CommandError(str(error)) from None
    answers = survey.answers.values()
    found = {answer.process: answer.data["metrics"] for answer in answers if not answer.error}
    errors = [f"{answer.process}: {answer.error}" for answer in answers if answer.error]
    return _Reading(found, survey.missing, errors, time.monotonic())


def _page(url: str, timeout: float) -> dict[str, Any]:
    if not url.startswith(("http://", "https://")):
        raise CommandError(f"--url {url}: that is no http:// or https:// URL, such as http://127.0.0.1:8000/metrics")
    try:
        from django_fastws.prometheus import readings_of_page  # only those who want it have what it needs

        with urllib.request.urlopen(url, timeout=timeout) as answer:
            return readings_of_page(answer.read().decode())
    except (ImproperlyConfigured, OSError, HTTPException, ValueError) as error:
        raise CommandError(f"--url {url}: {str(error).strip() or type(error).__name__}") from None
