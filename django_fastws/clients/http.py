"""One run of an HTTP route: URL, request, call of the handler with the response, log; succeeded or failed.

The request itself is sent by ``clients/http_client.py``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any

import httpx2

from .._core.outbound_urls import check_url, mask_secrets, mask_url
from ..conf import conf
from ..encoding import json_bytes
from ..routing import OutboundRoute
from ..tasks import is_being_cancelled
from ..threads import Threads
from .http_client import fetch
from .options import resolve

__all__ = ["send_request"]

logger = logging.getLogger("django_fastws.clients")

_LONGEST_RESULT = 1000  # characters of what a handler returned, in the log


async def send_request(route: OutboundRoute, threads: Threads, on_slow: Callable[[], None]) -> bool:
    """Send the request of a route and call its handler with the response.

    Args:
        on_slow: called when the handler has taken ``FASTWS_CLIENT_HTTP_HANDLER_SECONDS``; it goes on all the same.
    Returns:
        Whether it succeeded: it was answered with a status under 400, and the handler raised nothing. Why not is
        logged.
    """
    with threads.assigned(route.scope):
        async with AsyncExitStack() as stack:
            return await _send(route, stack, on_slow)


async def _send(route: OutboundRoute, stack: AsyncExitStack, on_slow: Callable[[], None]) -> bool:
    method, url = str(route.method), route.shown_url
    url_sent = ""
    try:
        url_sent = check_url(await resolve(route.url), ("http", "https"))
        url = mask_url(url_sent)
        response = await fetch(route, url_sent, stack)
    except (httpx2.HTTPError, httpx2.InvalidURL, ImportError, OSError, ValueError) as error:
        logger.error("✘ %s %s failed: %s", method, url, mask_secrets(str(error), url_sent) or type(error).__name__)
        return False
    except Exception:
        logger.exception("✘ %s %s failed", method, url)
        return False
    try:
        with _watched(route, on_slow):
            result = await route.handler(response)
    except httpx2.HTTPError as error:  # above all that of raise_for_status(), which repeats the URL
        logger.error("✘ %s %s failed: %s() raised %s", method, url, route.handler_name, _raised(error, url_sent))
        return False
    except asyncio.CancelledError:
        if is_being_cancelled():
            raise
        # Not the request was cancelled, but something that the handler has waited for.
        logger.exception("✘ %s %s: %s() failed", method, url, route.handler_name)
        return False
    except Exception:
        logger.exception("✘ %s %s: %s() failed", method, url, route.handler_name)
        return False
    return _log_response(method, url, response, result)


def _log_response(method: str, url: str, response: httpx2.Response, result: Any) -> bool:
    """Log a response and what its handler has returned; returns whether the status is a success."""
    shown = "" if result is None else f": {_shown(result)}"
    if response.status_code >= 400:
        phrase = mask_secrets(response.reason_phrase)
        logger.error("✘ %s %s %d %s%s", method, url, response.status_code, phrase, shown)
        return False
    logger.info("✔ %s %s %d%s", method, url, response.status_code, shown)
    return True


@contextmanager
def _watched(route: OutboundRoute, on_slow: Callable[[], None]) -> Iterator[None]:
    seconds = conf.client_http_handler_seconds

    def tell() -> None:
        logger.error(
            "%s() has taken %g seconds over the answer to %s %s: the sockets open without waiting for it any longer",
            route.handler_name,
            seconds,
            route.method,
            route.shown_url,
        )
        on_slow()

    timer = asyncio.get_running_loop().call_later(seconds, tell)
    try:
        yield
    finally:
        timer.cancel()


def _raised(error: Exception, url: str) -> str:
    return f"{type(error).__name__}: {mask_secrets(str(error), url)}"


def _shown(result: Any) -> str:
    if isinstance(result, (dict, list)):
        try:
            text = json_bytes(result).decode()
        except (TypeError, ValueError):
            text = repr(result)
    else:
        text = mask_secrets(str(result)[: _LONGEST_RESULT + 1])
    return text if len(text) <= _LONGEST_RESULT else text[:_LONGEST_RESULT] + "…"


class _MaskURLs(logging.Filter):
    """Masks the URLs in what the library logs of each request."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(mask_url(str(arg)) if isinstance(arg, httpx2.URL) else arg for arg in record.args)
        return True


logging.getLogger("httpx2").addFilter(_MaskURLs())
