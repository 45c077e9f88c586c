"""Table of the options of outbound routes (``@app.ws``, ``@app.get``), with their defaults and checks.

Those that are callables are called in ``clients/options.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from ssl import SSLContext
from typing import Any, TypedDict

from .._core.authority import split_url
from .._core.headers import is_token
from .._core.outbound_headers import handshake_headers, request_headers
from ..exceptions import RouteError

__all__ = [
    "SOCKET_OPTIONS",
    "RequestOptions",
    "check_request",
    "check_socket",
    "checked_statuses",
    "request_options",
    "reusable",
    "socket_options",
]

_SOCKET_LIMITS = ("open_timeout", "ping_interval", "ping_timeout", "close_timeout", "max_size", "max_queue")
#: The options of a socket that go to the library.
SOCKET_OPTIONS = ("headers", "subprotocols", "ssl", "proxy", "compression", "origin", *_SOCKET_LIMITS)


class RequestOptions(TypedDict, total=False):
    """Options of ``FastWS.get`` and the other HTTP methods, besides the URL."""

    tags: Iterable[str] | None
    name: str | None
    params: Any
    headers: Any
    json: Any
    data: Any
    timeout: float | None
    ssl: SSLContext | None
    proxy: str | bool | None
    follow_redirects: bool
    max_size: int | None
    stream: bool


#: The options of a request that the sending needs, with their defaults.
_REQUEST_DEFAULTS: dict[str, Any] = {
    "params": None,
    "headers": None,
    "json": None,
    "data": None,
    "timeout": 10,
    "ssl": None,
    "proxy": True,
    "follow_redirects": True,
    "max_size": 10 * 1024 * 1024,
    "stream": False,
}


def reusable(option: Any) -> Any:
    """An option that could be read only once, as a list, for each attempt reads it."""
    return list(option) if isinstance(option, Iterator) else option


def request_options(options: RequestOptions) -> dict[str, Any]:
    """The options of a request as the route keeps them."""
    given: dict[str, Any] = dict(options)
    chosen = {name: given.get(name, default) for name, default in _REQUEST_DEFAULTS.items()}
    return {**chosen, "headers": reusable(chosen["headers"]), "proxy": chosen["proxy"] or None}


def socket_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a socket as the route keeps them, for the library.

    Args:
        given: the arguments of ``FastWS.ws``, by name.
    """
    chosen = {name: given[name] for name in SOCKET_OPTIONS}
    subprotocols = chosen["subprotocols"]
    return {
        **chosen,
        "headers": reusable(chosen["headers"]),
        "proxy": chosen["proxy"] or None,
        "subprotocols": subprotocols if isinstance(subprotocols, str) else list(subprotocols or ()) or None,
    }


def check_request(label: str, options: Mapping[str, Any]) -> None:
    """Check what ``request_options`` has made.

    Raises:
        RouteError: an option cannot be.
    """
    for name in ("timeout", "max_size"):
        _check_positive(label, name, options[name])
    for name in ("follow_redirects", "stream"):
        _check_flag(label, name, options[name])
    _check_ssl(label, options["ssl"])
    _check_proxy(label, options["proxy"])
    _check_headers(label, options["headers"], request_headers)


def check_socket(label: str, options: Mapping[str, Any]) -> None:
    """Check the options of a socket that go to the library.

    Raises:
        RouteError: an option cannot be.
    """
    for name in _SOCKET_LIMITS:
        _check_positive(label, name, options[name])
    if options["compression"] not in (None, "deflate"):
        raise RouteError(f'{label}: compression={options["compression"]!r} is neither "deflate" nor None')
    _check_ssl(label, options["ssl"])
    _check_headers(label, options["headers"], handshake_headers)
    _check_subprotocols(label, options["subprotocols"])


def checked_statuses(label: str, given: Iterable[int] | None) -> frozenset[int] | None:
    """The HTTP statuses of ``retry_on_status``; None if there are none given.

    Raises:
        RouteError: one is no status of a denial.
    """
    if given is None:
        return None
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise RouteError(f"{label}: retry_on_status={given!r} is not a list of HTTP statuses such as [401, 403]")
    found = list(given)
    for status in found:
        if type(status) is not int or not 300 <= status <= 599:
            raise RouteError(f"{label}: retry_on_status has {status!r}, which is no HTTP status from 300 to 599")
    return frozenset(found)


def _check_positive(label: str, option: str, value: Any) -> None:
    if value is not None and (type(value) not in (int, float) or not value > 0):
        raise RouteError(f"{label}: {option}={value!r} is neither a positive number nor None")


def _check_flag(label: str, option: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise RouteError(f"{label}: {option}={value!r} is neither True nor False")


def _check_ssl(label: str, context: Any) -> None:
    if context is not None and not isinstance(context, SSLContext):
        raise RouteError(f"{label}: ssl={context!r} is neither an ssl.SSLContext nor None")


def _check_proxy(label: str, proxy: Any) -> None:
    if proxy is None or proxy is True:
        return
    try:
        is_right = isinstance(proxy, str) and bool(split_url(proxy).hostname)
    except ValueError:
        is_right = False
    if not is_right:  # without its value, which may hold a password
        raise RouteError(f"{label}: proxy= is neither a URL such as 'http://proxy.example:3128' nor True or None")


def _check_headers(label: str, headers: Any, check: Callable[[Any], object]) -> None:
    if not callable(headers):
        try:
            check(headers)
        except (TypeError, ValueError) as error:
            raise RouteError(f"{label}: {error}") from None


def _check_subprotocols(label: str, subprotocols: Any) -> None:
    if isinstance(subprotocols, str):
        raise RouteError(f"{label}: subprotocols={subprotocols!r} is one str: write subprotocols=[{subprotocols!r}]")
    for subprotocol in subprotocols or ():
        if not is_token(subprotocol):
            raise RouteError(f"{label}: subprotocol {subprotocol!r} is not a str such as 'chat.v1', without spaces")
