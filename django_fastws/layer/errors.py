"""Errors of the channel layer, and those of the libraries underneath translated into ours."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

from ..conf import conf
from ..exceptions import WebSocketConnectionError, WebSocketError

__all__ = [
    "OutputBufferLimitError",
    "cluster_down",
    "connection_closed",
    "doing",
    "done_instead",
    "loading",
    "not_redis",
    "output_buffer_limit",
    "is_replica",
    "is_timeout",
    "unreachable",
    "not_answering",
    "translated",
    "timed_out",
]


def unreachable(doing: str, error: BaseException | str | None) -> WebSocketConnectionError:
    """Error of a caller whose layer cannot be reached."""
    return WebSocketConnectionError(f"cannot {doing}: the channel layer is out of reach: {error}")


def timed_out(doing: str, seconds: float) -> WebSocketConnectionError:
    """Error of a caller whose layer does not answer before the timeout."""
    return WebSocketConnectionError(f"cannot {doing}: the channel layer did not answer within {seconds:g} seconds")


def not_answering(name: str) -> TimeoutError:
    """Error of a connection to a Redis that does not answer before the timeout."""
    return TimeoutError(f"Redis at {name} does not answer")


def connection_closed(name: str) -> ConnectionResetError:
    """Error of a connection that a Redis has closed."""
    return ConnectionResetError(f"Redis at {name} has closed the connection")


def loading(name: str) -> ConnectionError:
    """Error of a connection to a Redis that has started, and still reads its data."""
    return ConnectionError(f"Redis at {name} is loading its data")


def is_replica(name: str) -> ConnectionError:
    """Error of a connection to a Redis that follows another one: the other may have taken over."""
    return ConnectionError(f"Redis at {name} is a replica, and takes nothing; connect to its master")


def cluster_down(name: str, what: str) -> ConnectionError:
    """Error of a connection to a node whose cluster serves nothing just now."""
    return ConnectionError(f"Redis at {name} says that its cluster is down: {what}")


class OutputBufferLimitError(ConnectionResetError):
    """Redis has closed a connection that was not read as fast as messages came, by its output buffer limit."""


def output_buffer_limit(name: str) -> OutputBufferLimitError:
    """Error of a subscribed connection that a Redis has closed when it was far behind."""
    return OutputBufferLimitError(
        f"Redis at {name} has closed the connection, from which this process did not read as fast as messages came "
        "(client-output-buffer-limit pubsub); what was in it is missing here"
    )


def not_redis(name: str, what: object) -> ConnectionError:
    """Error of a connection to what does not speak Redis' protocol."""
    return ConnectionError(f"what answers at {name} is no Redis: {what}")


def done_instead(error: WebSocketConnectionError, what: str) -> WebSocketConnectionError:
    """Error of a caller who has not broadcast, of one that says so: all commands go the way of broadcasts."""
    return WebSocketConnectionError(str(error).replace("cannot broadcast:", f"cannot {what}:", 1))


@contextlib.contextmanager
def doing(what: str) -> Iterator[None]:
    """Say what could not be done within, which is no broadcast."""
    try:
        yield
    except WebSocketConnectionError as error:
        raise done_instead(error, what) from (error.__cause__ or error)


@contextlib.asynccontextmanager
async def translated(doing: str, seconds: float | None = None) -> AsyncIterator[None]:
    """Translate a library's errors into ours, within a timeout: ``FASTWS_PUBLISH_TIMEOUT_SECONDS`` if not said."""
    seconds = conf.publish_timeout_seconds if seconds is None else seconds
    try:
        async with asyncio.timeout(seconds):
            yield
    except WebSocketError:
        raise
    except TimeoutError as error:
        raise timed_out(doing, seconds) from error
    except Exception as error:
        if isinstance(error, OSError) or _is_redis_error(error) or _comes_from_redis(error):
            raise unreachable(doing, error) from error
        raise


def is_timeout(error: BaseException) -> bool:
    """Whether an error is a timeout, of Python's or of redis-py."""
    return isinstance(error, TimeoutError) or (_is_redis_error(error) and type(error).__name__ == "TimeoutError")


def _is_redis_error(error: BaseException) -> bool:
    return any(cls.__module__.startswith("redis.") for cls in type(error).__mro__)


def _comes_from_redis(error: BaseException) -> bool:
    """Whether an error was raised in redis-py, as when a connection breaks under it."""
    traceback, module = error.__traceback__, ""
    while traceback is not None:
        module = traceback.tb_frame.f_globals.get("__name__", "")
        traceback = traceback.tb_next
    return module.startswith("redis.")
