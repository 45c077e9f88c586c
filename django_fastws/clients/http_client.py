"""HTTP client of one request: headers, redirects, timeout, and size limit of the response.

The handler and the log are the affair of ``clients/http.py``, decompression that of ``clients/http_body.py``.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import httpx2

from .._core.outbound_headers import harmless_headers, request_headers
from ..encoding import json_bytes
from ..routing import OutboundRoute
from .http_body import ENCODINGS, decompress
from .options import resolve
from .ssl_contexts import http_context

__all__ = ["fetch"]

_MOST_REDIRECTS = 20


async def fetch(route: OutboundRoute, url: str, stack: AsyncExitStack) -> httpx2.Response:
    """Send the request of a route.

    Args:
        stack: closes the response and its connection.
    Returns:
        The response: with its body, or open if the route is to stream it.
    Raises:
        httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError: there is no answer that could be taken.
    """
    options = route.options
    proxy, timeout, is_streamed = options["proxy"], options["timeout"], options["stream"]
    client = httpx2.AsyncClient(
        verify=options["ssl"] or http_context(),
        proxy=proxy if isinstance(proxy, str) else None,
        trust_env=proxy is True,
        follow_redirects=False,  # see _follow
        timeout=timeout if is_streamed else None,
        headers={"Accept-Encoding": ENCODINGS},
    )
    await stack.enter_async_context(client)
    request = _request(client, route, url, _headers(await resolve(options["headers"])))
    try:
        async with asyncio.timeout(timeout):
            response = await _follow(client, request, is_followed=options["follow_redirects"])
            stack.push_async_callback(response.aclose)
            encoding = response.headers.get("content-encoding")
            decompress(response, None if is_streamed else options["max_size"])
            if not is_streamed:
                await response.aread()
                if encoding is not None:
                    response.headers["content-encoding"] = encoding
    except TimeoutError:
        raise httpx2.TimeoutException(f"no answer within {timeout:g} seconds") from None
    return response


def _request(client: httpx2.AsyncClient, route: OutboundRoute, url: str, headers: httpx2.Headers) -> httpx2.Request:
    json, data, params = (route.options[name] for name in ("json", "data", "params"))
    body = {"content": data} if isinstance(data, (str, bytes)) else {"data": data}
    if json is not None:
        body = {"content": json_bytes(json)}
        headers.setdefault("content-type", "application/json")
    # Given to the client they would replace the query of the URL.
    target = httpx2.URL(url) if params is None else httpx2.URL(url).copy_merge_params(params)
    return client.build_request(str(route.method), target, headers=headers, **body)


async def _follow(client: httpx2.AsyncClient, request: httpx2.Request, *, is_followed: bool) -> httpx2.Response:
    """Send a request, and follow where the answers lead; the library would take secrets along."""
    # An Authorization header of one's own comes before what the URL holds; the library would have it the other way.
    auth: Any = httpx2.Auth() if "authorization" in request.headers else httpx2.USE_CLIENT_DEFAULT
    history: list[httpx2.Response] = []
    while True:
        response = await client.send(request, stream=True, auth=auth)
        response.history = list(history)
        if not (is_followed and response.has_redirect_location):
            return response
        await response.aclose()
        history.append(response)
        if len(history) > _MOST_REDIRECTS:
            raise httpx2.TooManyRedirects(f"more than {_MOST_REDIRECTS} redirects", request=request)
        if response.next_request is None:
            raise httpx2.RemoteProtocolError("the server redirects to what is no URL", request=request)
        request, auth = _redirected(request, response.next_request), httpx2.Auth()


def _redirected(before: httpx2.Request, after: httpx2.Request) -> httpx2.Request:
    """A request after a redirect, without what another origin must not get."""
    if before.url.scheme == "https" and after.url.scheme == "http":
        raise httpx2.UnsupportedProtocol("the server redirects from https:// to http://", request=before)
    if _origin(before.url) != _origin(after.url):
        pairs = after.headers.multi_items()
        # Host is the new one's, and cookies are those that the servers on the way have set.
        kept = [pair for pair in pairs if pair[0].lower() in ("host", "cookie")]
        after.headers = httpx2.Headers([*kept, *harmless_headers(pairs)])
    return after


def _origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    """Scheme, host and port (RFC 6454); the library leaves out a scheme's own port."""
    return url.scheme, url.host, url.port


def _headers(headers: Any) -> httpx2.Headers:
    # The library would take ASCII only.
    return httpx2.Headers([(name.encode(), value.encode("latin-1")) for name, value in request_headers(headers)])
