"""Deliveries as a room grows: what the plot shows."""

from __future__ import annotations

import statistics
import time
from contextlib import ExitStack
from typing import Any

from ..programs import ASGIServer, start
from ..row import FAILURES, Bench, Row, told
from ..sizes import Scale
from .room import Room

__all__ = ["LINES", "Curve"]

#: What is drawn: for each line its name, its server and its site.
LINES = {
    "django_fastws on daphne": ("daphne", "ours"),
    "django_fastws on uvicorn": ("uvicorn", "ours"),
    "Channels on daphne": ("daphne", "channels_peer"),
    "Channels on uvicorn": ("uvicorn", "channels_peer"),
}


class Curve(Row):
    """One line after the other, for nobody's system allows 40,000 sockets at once."""

    name = "curve"
    unit = "deliveries/s"
    rounds = 3

    def work(self, scale: Scale) -> str:
        first, last = scale.curve[0], scale.curve[-1]
        return f"one room of {first:,} to {last:,} members, a burst of broadcasts by one of them"

    def run(self, bench: Bench) -> dict[str, Any]:
        """Measure each line at each size.

        Returns:
            The row of the results, with ``members`` and ``lines``; None for a size that could not be measured.
        """
        rounds = self.rounds_at(bench.scale)
        started = time.monotonic()
        members = [count for count in bench.scale.curve if count + 200 <= bench.open_files]
        lines: dict[str, list[float | None]] = {}
        problems: dict[str, str] = {}
        for line, (kind, site) in LINES.items() if members else ():
            lines[line] = [None] * len(members)
            try:
                self._measure(bench, kind, site, members, rounds, lines[line])
            except FAILURES as error:
                problems[line] = told(error)
        return self.about(bench.scale) | {
            "rounds": rounds,
            "seconds": time.monotonic() - started,
            "peers": [],
            "members": members,
            "lines": lines,
            "problems": problems,
        }

    def _measure(
        self, bench: Bench, kind: str, site: str, members: list[int], rounds: int, found: list[float | None]
    ) -> None:
        """Let a room grow, and note the median of each size."""
        with ExitStack() as stack:
            server = ASGIServer(kind, site, bench.cores.server, bench.redis)
            start(stack, [server])
            room = Room([server], [bench.redis], stack)
            for index, count in enumerate(members):
                self.say(f"{site} on {kind}, {count:,} members")
                room.join(count - len(room.members))
                room.calibrate(bench.scale.seconds / 2, least=1)
                found[index] = statistics.median(room.deliveries().value for _ in range(rounds))
