"""``manage.py demo``: the whole example with one command, and without a service.

A project runs ``runserver`` (or daphne) and ``runws_clients`` as two processes, with a Redis between. Here the
outbound routes run in a thread of the server, so that the in-memory channel layer reaches from one to the other.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_fastws.clients.supervisor import Supervisor
from django_fastws.layer import expect_members
from django_fastws.routing.routes import registry

from .... import samples


class Command(BaseCommand):
    """Starts the feed, the outbound routes and the server; Ctrl+C stops them all."""

    help = "Runs the example, with a few tickets and notes: its feed server, its outbound routes, runserver."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("address", nargs="?", default="127.0.0.1:8000", help="Where the server listens.")

    def handle(self, *args: Any, **options: Any) -> None:
        expect_members()  # of this process: what is broadcast before it serves is no mistake
        samples.fill()
        with feed_server(), outbound_routes():
            try:
                call_command("runserver", options["address"], use_reloader=False)
            except SystemExit:  # it has said why
                raise CommandError("Is another server there? Name another port: make demo PORT=8001") from None


@contextlib.contextmanager
def feed_server() -> Iterator[None]:
    """The feed server, as a process of its own; it listens when the block begins."""
    port = str(urlsplit(settings.FEED_URL).port)
    # In a session of its own, Ctrl+C does not reach it: it ends last. If this process is killed, the pipe ends,
    # and the feed with it.
    with subprocess.Popen(
        [sys.executable, "-m", "example_project.feed_server", port, "--until-eof"],
        cwd=settings.ROOT_DIR,
        start_new_session=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise CommandError(
                    f"The feed server does not listen on port {port}. Is another demo there? "
                    "Name another port: FEED_URL=ws://127.0.0.1:8766 make demo PORT=8001"
                )
            print(line, end="")  # noqa: T201 (of the feed server)
            yield
        finally:
            process.terminate()


@contextlib.contextmanager
def outbound_routes() -> Iterator[None]:
    """The outbound routes, in a thread of their own."""
    loop = asyncio.new_event_loop()
    started = threading.Event()
    supervisors: list[Supervisor] = []

    async def run() -> None:
        supervisors.append(Supervisor(registry.outbound, drain_seconds=3))
        started.set()
        await supervisors[0].run()

    thread = threading.Thread(
        target=lambda: asyncio.Runner(loop_factory=lambda: loop).run(run()), name="outbound routes"
    )
    thread.start()
    started.wait()
    try:
        yield
    finally:
        with contextlib.suppress(RuntimeError):  # they have ended, and their loop with them
            loop.call_soon_threadsafe(supervisors[0].stop)
        thread.join()
