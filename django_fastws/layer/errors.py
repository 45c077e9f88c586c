"""The errors of the libraries underneath, as ours."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from ..conf import conf
from ..exceptions import WebSocketConnectionError, WebSocketError

__all__ = [
    "CutOff",
    "closure",
    "confusion",
    "cut_off",
    "is_timeout",
    "out_of_reach",
    "silence",
    "translated",
    "unanswered",
]


def out_of_reach(doing: str, error: BaseException | str | None) -> WebSocketConnectionError:
    """The error of a caller whose layer cannot be reached."""
    return WebSocketConnectionError(f"cannot {doing}: the channel layer is out of reach: {error}")


def unanswered(doing: str, seconds: float) -> WebSocketConnectionError:
    """The error of a caller whose layer says nothing."""
    return WebSocketConnectionError(f"cannot {doing}: the channel layer did not answer within {seconds:g} seconds")


def silence(name: str) -> TimeoutError:
    """The error of a connection to a Redis that says nothing."""
    return TimeoutError(f"Redis at {name} does not answer")


def closure(name: str) -> ConnectionResetError:
    """The error of a connection that a Redis has closed."""
    return ConnectionResetError(f"Redis at {name} has closed the connection")


class CutOff(ConnectionResetError):
    """A Redis has closed the connection of a process that did not read as fast as messages came."""


def cut_off(name: str) -> CutOff:
    """The error of a connection that a Redis has closed when it was far behind."""
    return CutOff(
        f"Redis at {name} has closed the connection, from which this process did not read as fast as messages came "
        "(client-output-buffer-limit pubsub); what was in it is missing here"
    )


def confusion(name: str, what: object) -> ConnectionError:
    """The error of a connection to what seems to be something else."""
    return ConnectionError(f"what answers at {name} is no Redis: {what}")


@contextlib.asynccontextmanager
async def translated(doing: str, seconds: float | None = None) -> AsyncIterator[None]:
    """Bound the time, by ``FASTWS_PUBLISH_TIMEOUT_SECONDS`` if not said, and turn a library's errors into ours."""
    seconds = conf.publish_timeout_seconds if seconds is None else seconds
    try:
        async with asyncio.timeout(seconds):
            yield
    except WebSocketError:
        raise
    except TimeoutError as error:
        raise unanswered(doing, seconds) from error
    except Exception as error:
        if isinstance(error, OSError) or _is_redis_error(error) or _comes_from_redis(error):
            raise out_of_reach(doing, error) from error
        raise


def is_timeout(error: BaseException) -> bool:
    """Whether this says that nothing came for a while."""
    return isinstance(error, TimeoutError) or (_is_redis_error(error) and type(error).__name__ == "TimeoutError")


def _is_redis_error(error: BaseException) -> bool:
    return any(cls.__module__.startswith("redis.") for cls in type(error).__mro__)


def _comes_from_redis(error: BaseException) -> bool:
    """Whether redis-py stumbled over a connection that broke under it."""
    traceback, module = error.__traceback__, ""
    while traceback is not None:
        module = traceback.tb_frame.f_globals.get("__name__", "")
        traceback = traceback.tb_next
    return module.startswith("redis.")
