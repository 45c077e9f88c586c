"""One run of an HTTP route: URL, request, call of the handler with the response, log; succeeded or failed.

The request itself is sent by ``clients/http_client.py``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager, nullcontext
from typing import Any

import httpx2

from .. import tracing
from .._core.outbound_urls import check_url, mask_secrets, mask_url
from ..conf import conf
from ..encoding import json_bytes
from ..log_fields import outbound_fields
from ..routing import OutboundRoute
from ..tasks import is_being_cancelled
from ..threads import Threads
from ..tracing import REQUEST, Observed, Work
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
            with _observed(route) as observed:
                is_right = await _send(route, stack, on_slow, observed)
                if observed is not None:
                    observed.end(code="" if is_right else "failed")
                return is_right


def _observed(route: OutboundRoute) -> Observed | nullcontext[None]:
    if not tracing.observers:
        return nullcontext()
    return tracing.begin(Work(REQUEST, route.key, attributes={"http.request.method": str(route.method)}))


async def _send(
    route: OutboundRoute, stack: AsyncExitStack, on_slow: Callable[[], None], observed: Observed | None
) -> bool:
    method, url = str(route.method), route.shown_url
    url_sent = ""
    try:
        url_sent = check_url(await resolve(route.url), ("http", "https"))
        url = mask_url(url_sent)
        response = await fetch(route, url_sent, stack)
        if observed is not None:
            observed.note(http__response__status_code=response.status_code)
    except (httpx2.HTTPError, httpx2.InvalidURL, ImportError, OSError, ValueError) as error:
        why, fields = mask_secrets(str(error), url_sent) or type(error).__name__, outbound_fields(route.key, url)
        logger.error("✘ %s %s failed: %s", method, url, why, extra=fields)
        return False
    except Exception:
        logger.exception("✘ %s %s failed", method, url, extra=outbound_fields(route.key, url))
        return False
    fields = outbound_fields(route.key, url, code=response.status_code)
    try:
        with _watched(route, on_slow):
            result = await route.handler(response)
    except httpx2.HTTPError as error:  # above all that of raise_for_status(), which repeats the URL
        why = _raised(error, url_sent)
        logger.error("✘ %s %s failed: %s() raised %s", method, url, route.handler_name, why, extra=fields)
        return False
    except asyncio.CancelledError:
        if is_being_cancelled():
            raise
        # Not the request was cancelled, but something that the handler has waited for.
        logger.exception("✘ %s %s: %s() failed", method, url, route.handler_name, extra=fields)
        return False
    except Exception:
        logger.exception("✘ %s %s: %s() failed", method, url, route.handler_name, extra=fields)
        return False
    return _log_response(method, response, result, fields)


def _log_response(method: str, response: httpx2.Response, result: Any, fields: dict[str, Any]) -> bool:
    """Log a response and what its handler has returned; returns whether the status is a success."""
    url = fields["url"]
    shown = "" if result is None else f": {_shown(result)}"
    if response.status_code >= 400:
        phrase = mask_secrets(response.reason_phrase)
        logger.error("✘ %s %s %d %s%s", method, url, response.status_code, phrase, shown, extra=fields)
        return False
    logger.info("✔ %s %s %d%s", method, url, response.status_code, shown, extra=fields)
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
            extra=outbound_fields(route.key, route.shown_url),
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
