"""The HTTP requests of outbound routes."""

from __future__ import annotations

import logging
from typing import Any

import httpx2

from .._core.urls import check_url, mask, mask_in
from ..encoding import encode_json
from ..routes import OutboundRoute
from ..threads import Threads
from .options import asked

__all__ = ["send_request"]

logger = logging.getLogger("django_fastws.clients")

_LONGEST_RESULT = 1000  # characters of what a handler returned, in the log


async def send_request(route: OutboundRoute, threads: Threads) -> bool:
    """Send the request of a route and call its handler with the response.

    Returns:
        Whether it succeeded: it was answered with a status under 400, and the handler raised nothing. Why not is
        logged.
    """
    method, url = str(route.method), route.shown_url
    with threads.assigned():
        try:
            url_text = check_url(await asked(route.url), ("http", "https"))
            url = mask(url_text)
            response = await _response(route, url_text)
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
            reason = mask_in(str(error), url_text) if "url_text" in locals() else str(error)
            logger.error("✘ %s %s failed: %s", method, url, reason or type(error).__name__)
            return False
        except Exception:
            logger.exception("✘ %s %s failed", method, url)
            return False
        try:
            result = await route.handler(response)
        except Exception:
            logger.exception("✘ %s %s: %s() failed", method, url, route.handler_name)
            return False
    shown = "" if result is None else f": {_shown(result)}"
    if response.status_code >= 400:
        logger.error("✘ %s %s %d %s%s", method, url, response.status_code, response.reason_phrase, shown)
        return False
    logger.info("✔ %s %s %d%s", method, url, response.status_code, shown)
    return True


async def _response(route: OutboundRoute, url: str) -> httpx2.Response:
    options = dict(route.options)
    headers, data = await asked(options.pop("headers")), options.pop("data")
    body = {"content": data} if isinstance(data, (str, bytes)) else {"data": data}
    json = options.pop("json")
    if json is not None:
        body = {"content": encode_json(json).raw}
        headers = httpx2.Headers(headers)
        headers.setdefault("content-type", "application/json")
    async with httpx2.AsyncClient(follow_redirects=True) as client:
        return await client.request(str(route.method), url, headers=headers, **body, **options)


def _shown(result: Any) -> str:
    if isinstance(result, (dict, list)):
        try:
            text = encode_json(result).text
        except (TypeError, ValueError):
            text = repr(result)
    else:
        text = str(result)
    return text if len(text) <= _LONGEST_RESULT else text[:_LONGEST_RESULT] + "…"
