"""Lifespan protocol of ASGI (spec version 2.0): the application is told when serving begins and ends."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from ..tasks import cancel_and_wait, wait_unless
from ..types import ASGIApp, Message

__all__ = ["MODES", "Lifespan"]

logger = logging.getLogger("django_fastws.server")

MODES = ("auto", "on", "off")


class Lifespan:
    """Lifespan of one application: its startup and its shutdown.

    Args:
        application: the ASGI application.
        mode: "auto" goes on without a lifespan if the application has none, which it shows by an error or by
            returning; "on" takes that for a failure; "off" asks for none.

    Attributes:
        state: what the application has put into the state of its lifespan; each connection gets a shallow copy.
    """

    def __init__(self, application: ASGIApp, mode: str = "auto") -> None:
        self._application = application
        self._mode = mode
        self._events: asyncio.Queue[Message] = asyncio.Queue()
        self._answered = asyncio.Event()
        self._answer: Message = {}
        self._task: asyncio.Task[None] | None = None
        self.state: dict[str, Any] = {}

    async def startup(self) -> bool:
        """Tell the application that serving begins; False if it may not begin, which is logged."""
        if self._mode == "off":
            return True
        self._task = asyncio.get_running_loop().create_task(self._run())
        answer = await self._ask("startup")
        if answer is None:
            error = None if self._task.cancelled() else self._task.exception()
            self._task = None
            if self._mode == "on":
                logger.error(
                    "The application has no lifespan, or it failed: mend it, or leave out --lifespan on",
                    exc_info=error,
                )
                return False
            logger.debug("The application has no lifespan", exc_info=error)
            return True
        if answer["type"] == "lifespan.startup.failed":
            logger.error("The application could not start: %s", answer.get("message") or "it does not say why")
            await self._end()
            return False
        return True

    async def shutdown(self, seconds: float) -> None:
        """Tell the application that serving has ended, and wait for it, at most so many seconds. Never raises."""
        if self._task is None:
            return
        try:
            async with asyncio.timeout(seconds):
                answer = await self._ask("shutdown")
        except TimeoutError:
            logger.error("The application's lifespan did not end within %g seconds", seconds)
        else:
            if answer is not None and answer["type"] == "lifespan.shutdown.failed":
                logger.error("The application could not stop: %s", answer.get("message") or "it does not say why")
        await self._end()

    async def _ask(self, what: str) -> Message | None:
        """Send an event; returns the answer, or None if the application ended without one."""
        task = self._task
        assert task is not None
        self._answered.clear()
        self._events.put_nowait({"type": f"lifespan.{what}"})
        await wait_unless(self._answered, task)
        return self._answer if self._answered.is_set() else None

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        await self._application(scope, self._events.get, self._send)

    async def _send(self, message: Message) -> None:
        self._answer = message
        self._answered.set()

    async def _end(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            await cancel_and_wait(task)
