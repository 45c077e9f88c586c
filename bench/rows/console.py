"""The console: pages, searches and kicks over all sockets of several servers."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial

from ..crowd import Crowd
from ..programs import PythonProgram, start
from ..row import Bench, Make, Measure, Row, Sample
from ..sizes import Scale

__all__ = ["Console"]

_SERVERS = 4
_FILES = 200  # that a process has open besides its sockets


def _sockets(scale: Scale) -> int:
    return 5 * scale.idle_sockets


class Console(Row):
    """What an operator waits for, from the question to the last answer."""

    name = "console"
    unit = "ms"
    less_is_better = True
    digits = 1

    def work(self, scale: Scale) -> str:
        return (
            f"{_sockets(scale):,} sockets on {_SERVERS} servers are looked at over Redis: a page of 100 in the order "
            "of what they were sent, one of a search, one of rooms, and 20 members kicked; runws_server"
        )

    def subject(self, scale: Scale) -> str:
        return "list"

    def prepare(self, bench: Bench, stack: ExitStack) -> Mapping[str, Make]:
        count = _sockets(bench.scale)
        if count + _FILES > bench.open_files:
            raise RuntimeError(f"needs {count + _FILES:,} open files, and {bench.open_files:,} are allowed")
        crowd = Crowd(stack, bench.redis, sockets=count, processes=_SERVERS, load_core=bench.cores.load)
        operator = PythonProgram(
            ["bench.sites.operator"], bench.cores.load, environment=crowd.environment, talks=True
        )
        start(stack, [operator])
        return {name: partial(self._made, operator, name) for name in ("list", "search", "rooms", "kick")}

    @staticmethod
    def _made(operator: PythonProgram, name: str) -> Measure:
        def measure() -> Sample:
            operator.tell(name)
            return Sample(float(operator.hear()))

        if name != "kick":
            measure()  # what is imported at first is imported now
        return measure
