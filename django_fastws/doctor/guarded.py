"""Guarded work: a check that ends in time, whatever it asks, and never with a traceback."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from django.db import connections

from ..exceptions import WebSocketConnectionError
from .result import CheckResult, failed

__all__ = ["in_thread", "results_of"]

T = TypeVar("T")


async def results_of(
    check: str, seconds: float, work: Callable[[], Awaitable[Sequence[CheckResult]]], late_hint: str
) -> Sequence[CheckResult]:
    """The results of a check; that it takes too long, or raises, is one, too.

    Args:
        check: its name, for such a result.
        seconds: the longest that it may take.
        late_hint: what to do where it takes too long.
    """
    try:
        async with asyncio.timeout(seconds):
            return await work()
    except TimeoutError:
        return [failed(check, f"It has not ended within {seconds:g} seconds.", late_hint)]
    except WebSocketConnectionError as error:
        return [failed(check, sentence(error), "Start what cannot be reached, or correct CHANNEL_LAYERS.")]
    except Exception as error:
        return [
            failed(
                check,
                f"It has raised {type(error).__name__}: {str(error)[:500] or 'without a word'}",
                "Correct what the error names; if it names nothing of yours, report it as a fault of ws_doctor.",
            )
        ]


def sentence(error: object) -> str:
    """An error as a sentence."""
    text = str(error).strip()[:500] or type(error).__name__
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


async def in_thread(function: Callable[[], T]) -> T:
    """Call sync code in a thread of its own, which does not keep the process from ending if it never returns."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)  # type: ignore[arg-type]
        else:
            future.set_exception(error)

    def run() -> None:
        result, problem = None, None
        try:
            result = function()
        except BaseException as error:
            problem = error if isinstance(error, Exception) else RuntimeError(repr(error))
        finally:
            connections.close_all()  # those of this thread
        try:
            loop.call_soon_threadsafe(settle, result, problem)
        except RuntimeError:  # too late: the loop is closed
            return

    threading.Thread(target=run, daemon=True, name="ws_doctor").start()
    return await future
