"""Command ``manage.py ws_top``: processes, sockets, rooms and outbound routes of the whole cluster, in a terminal."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Iterator
from typing import IO, Any, cast

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_fastws.console import Snapshot, read_snapshot
from django_fastws.exceptions import WebSocketConnectionError

_MOST_SECONDS = 60.0
_MOST_ROOMS, _PRINTED_ROOMS = 200, 20
_PLAIN_COLUMNS = 120  # where there is no terminal that says how wide it is


class Command(BaseCommand):
    """Command that reads snapshots of all processes, and shows them."""

    help = "Shows all processes, sockets by route, the busiest rooms, rates and outbound routes, again and again."
    # It is wanted most when something is wrong.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--interval", type=float, default=2.0, metavar="SECONDS", help="From one look to the next. Default: 2."
        )
        parser.add_argument("--once", action="store_true", help="Look twice, for the rates, print that, and end.")
        parser.add_argument(
            "-q", "--quiet", action="store_true", help="Only totals, rates and what is wrong: one line for each look."
        )
        parser.add_argument(
            "--timeout", type=float, default=1.0, metavar="SECONDS", help="How long to wait for answers. Default: 1."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        interval, timeout = options["interval"], options["timeout"]
        if not 0.1 <= interval <= 3600:
            raise CommandError("--interval takes a number of seconds from 0.1 to 3600")
        if not 0 < timeout <= _MOST_SECONDS:
            raise CommandError(f"--timeout takes a number of seconds above 0, and at most {_MOST_SECONDS:g}")
        try:
            from rich.console import Console

            from django_fastws.top_screen import top_screen, totals_line  # it has what needs rich
        except ImportError as missing:
            raise CommandError(f"ws_top needs rich ({missing}): pip install 'django-fastws[top]'") from None
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from None
        self._screen, self._line = top_screen, totals_line
        # Django's wrapper of the stream would end every control sequence with a new line.
        console = Console(
            file=None if self.stdout.isatty() else cast("IO[str]", self.stdout),
            width=None if self.stdout.isatty() else _PLAIN_COLUMNS,
            no_color=options["no_color"],
            highlight=False,
            emoji=False,
        )
        with contextlib.suppress(KeyboardInterrupt):
            if console.is_terminal and not (options["once"] or options["quiet"]):
                asyncio.run(self._watch(console, interval, timeout))
            else:
                asyncio.run(self._print(console, interval, timeout, once=options["once"], quiet=options["quiet"]))

    async def _print(self, console: Any, interval: float, timeout: float, *, once: bool, quiet: bool) -> None:
        """Print one look after the other."""
        before = await _read(timeout)
        while True:
            await asyncio.sleep(interval)
            now = await _read(timeout)
            if quiet:
                console.print(self._line(now, before), soft_wrap=True)
            else:
                console.print(self._screen(now, before, console.width, None), "", sep="\n")
            self.stdout.flush()
            if once:
                return
            before = now

    async def _watch(self, console: Any, interval: float, timeout: float) -> None:
        """Show one look after the other at the same place, until somebody presses q."""
        from rich.live import Live
        from rich.text import Text

        before: Snapshot | None = None
        key = asyncio.Queue[str]()
        is_paused = False
        with _keys(key), Live(console=console, screen=True, auto_refresh=False) as live:
            live.update(Text("asking all processes …", "dim"), refresh=True)
            while True:
                try:
                    now = await read_snapshot(rooms=_MOST_ROOMS, seconds=timeout)
                except WebSocketConnectionError as error:
                    live.update(Text(str(error), "bold red"), refresh=True)
                else:
                    note = "paused: p goes on" if is_paused else "q quit  p pause"
                    live.update(self._screen(now, before, console.width, console.height, note), refresh=True)
                    before = now
                pressed = await _pressed(key, None if is_paused else interval)
                if "q" in pressed.lower():
                    return
                is_paused = not is_paused if "p" in pressed else is_paused


async def _read(timeout: float) -> Snapshot:
    try:
        return await read_snapshot(rooms=_PRINTED_ROOMS, seconds=timeout)
    except WebSocketConnectionError as error:
        raise CommandError(str(error)) from None


async def _pressed(key: asyncio.Queue[str], seconds: float | None) -> str:
    """The keys that are pressed within so many seconds; "" for none."""
    try:
        async with asyncio.timeout(seconds):
            return await key.get()
    except TimeoutError:
        return ""


@contextlib.contextmanager
def _keys(pressed: asyncio.Queue[str]) -> Iterator[None]:
    """Context manager in which every key that is pressed is put into a queue, where the system can tell."""
    try:
        import termios
        import tty

        descriptor = sys.stdin.fileno()
        former = termios.tcgetattr(descriptor)
    except (ImportError, OSError, ValueError, AttributeError):  # no POSIX; or no terminal to read from
        yield
        return
    loop = asyncio.get_running_loop()
    try:
        tty.setcbreak(descriptor)
        # Not sys.stdin.read(): of two keys, it would keep the second to itself.
        loop.add_reader(descriptor, lambda: pressed.put_nowait(os.read(descriptor, 64).decode(errors="replace")))
        yield
    finally:
        loop.remove_reader(descriptor)
        termios.tcsetattr(descriptor, termios.TCSADRAIN, former)
