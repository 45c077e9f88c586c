"""Asks: questions of the server to one client, and the answers that are waited for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from .. import tracing
from .._core import live_frames
from .._core.live_frames import AnswerFrame
from ..exceptions import LiveError, WebSocketDisconnect
from .live_errors import NotAnswered
from .live_traces import begin_ask

if TYPE_CHECKING:
    from .session import LiveSession

__all__ = ["Asks"]


class Asks:
    """Questions to the client of one session that are not answered yet."""

    __slots__ = ("_number", "_session", "_waiting")

    def __init__(self, session: LiveSession) -> None:
        self._session = session
        self._number = 0
        self._waiting: dict[int, asyncio.Future[Any]] = {}

    async def ask(self, event: str, data: bytes, timeout: float | None) -> Any:
        """Ask, and wait for the answer.

        Raises:
            TimeoutError: it did not come in time.
            LiveError: the client has answered with an error.
            WebSocketDisconnect: the connection is closed.
        """
        if self._session.is_over:
            raise WebSocketDisconnect(self._session.ws.close_code or 1006, self._session.ws.close_reason, call="ask")
        self._number = number = self._number + 1
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        observed = begin_ask(self._session, event) if tracing.observers else None
        code = "cancelled"
        try:
            async with asyncio.timeout(timeout):
                await self._session.send(live_frames.ask(number, event, data))
                answer = await future
            code = ""
            return answer
        except TimeoutError:
            code = "timeout"
            raise NotAnswered(f"the client did not answer {event!r} in {timeout} seconds") from None
        except LiveError as error:
            code = error.code
            raise
        except WebSocketDisconnect:
            code = "disconnected"
            raise
        finally:
            if observed is not None:
                observed.end(code=code)
            self._waiting.pop(number, None)
            future.cancel()

    def answer(self, frame: AnswerFrame) -> None:
        """An answer has come; one that nobody waits for is late, and ignored."""
        future = self._waiting.get(frame.ask)
        if future is None or future.done():
            return
        if frame.error is None:
            future.set_result(frame.value)
        else:
            future.set_exception(_error(frame.error))

    def over(self) -> None:
        """The connection is closed: nobody answers any more."""
        ws = self._session.ws
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(WebSocketDisconnect(ws.close_code or 1006, ws.close_reason, call="ask"))


def _error(told: Any) -> LiveError:
    """The client's error, however much of it makes sense."""
    code, message, fields = told.get("code"), told.get("message"), told.get("fields")
    return LiveError(
        code if isinstance(code, str) and code else "failed",
        message if isinstance(message, str) else "",
        fields={
            str(name): [str(text) for text in texts] if isinstance(texts, list) else [str(texts)]
            for name, texts in (fields.items() if isinstance(fields, dict) else ())
        },
    )
