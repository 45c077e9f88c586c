"""The event loop of a whole run of tests: ``FASTWS_TESTS_LOOP`` is ``asyncio`` or ``uvloop``.

With it, servers that tests start, and tests themselves, are on that loop. Without it, servers choose themselves, and
that is uvloop where it is installed; tests are on asyncio's. What names a loop of its own keeps that.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence

__all__ = ["KINDS", "VARIABLE", "TestsOnLoop", "chosen_kind", "on_chosen_loop"]

VARIABLE = "FASTWS_TESTS_LOOP"
KINDS = ("asyncio", "uvloop")

_TAKE_IT = {"runws_server", "uvicorn"}


def chosen_kind() -> str | None:
    """The loop that the environment names; None for whichever each chooses.

    Raises:
        ValueError: it is none of them.
    """
    kind = os.environ.get(VARIABLE) or None
    if kind is not None and kind not in KINDS:
        raise ValueError(f"{VARIABLE} is {kind!r}, and may be {' or '.join(KINDS)}")
    return kind


def on_chosen_loop(command: Sequence[str]) -> list[str]:
    """The command line of a server, with the loop, if it takes one and names none."""
    kind = chosen_kind()
    if kind is None or "--loop" in command or _TAKE_IT.isdisjoint(command):
        return [*command]
    return [*command, "--loop", kind]


class TestsOnLoop:
    """Plugin of pytest that has tests run on a loop; without it, that is for pytest-asyncio to choose."""

    __test__ = False

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def pytest_asyncio_loop_factories(self) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
        """What makes the loop of every test, by its name."""
        if self._kind == "uvloop":
            import uvloop

            return {self._kind: uvloop.new_event_loop}
        return {self._kind: asyncio.SelectorEventLoop}
