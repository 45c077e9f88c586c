"""An event loop whose time goes on only when a test says so: nothing in it depends on the machine."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

__all__ = ["VirtualLoop"]

_MOST_TURNS = 10_000


class VirtualLoop(asyncio.SelectorEventLoop):
    """Event loop that runs turn by turn, at a time that stands still between ``advance()``; it must not do I/O.

    Attributes:
        problems: what was raised where nobody could catch it.
    """

    def __init__(self) -> None:
        self._now = 1000.0
        super().__init__()
        self.problems: list[str] = []
        self.set_exception_handler(self._failed)

    def time(self) -> float:
        return self._now

    def _failed(self, loop: Any, context: dict[str, Any]) -> None:
        self.problems.append(f"{context.get('message')}: {context.get('exception')!r}")

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run what does not have to wait for anything."""
        return self.run_until_complete(work)

    def turns(self, count: int) -> None:
        """Let so many turns pass."""

        async def pass_by() -> None:
            for _ in range(count):
                await asyncio.sleep(0)

        self.run_until_complete(pass_by())

    def settle(self) -> None:
        """Let turns pass until nothing is left to do but to wait."""

        async def pass_by() -> None:
            for _ in range(_MOST_TURNS):
                await asyncio.sleep(0)
                if not self._ready:  # type: ignore[attr-defined]
                    return
            raise AssertionError("it goes on for ever")

        self.run_until_complete(pass_by())

    def advance(self, seconds: float) -> None:
        """Let time pass: what is due by then happens, in its order and at its time."""
        end = self._now + seconds
        self.settle()
        while True:
            due = [timer.when() for timer in self._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]
            if not due or min(due) > end:
                break
            self._now = max(self._now, min(due))
            self.settle()
        self._now = end
        self.settle()

    def end(self) -> None:
        """Cancel what still runs, and close it."""
        for task in asyncio.all_tasks(self):
            task.cancel()
        self.turns(20)
        self.close()
