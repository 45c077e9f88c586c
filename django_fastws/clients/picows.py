"""Connecting with the picows library, which the extra of that name installs.

The request, the checks of the answer and the connection itself are those of the websockets library, so that headers,
subprotocols, compression, pings and closing are the same with both. picows carries the handshake, and reads.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from importlib.metadata import version
from typing import Any
from urllib.request import getproxies, proxy_bypass

from picows import WSHandshakeError, WSInvalidURL, WSUpgradeRequest, WSUpgradeResponse, ws_connect
from websockets.client import ClientProtocol
from websockets.datastructures import Headers
from websockets.exceptions import InvalidMessage, InvalidStatus, WebSocketException
from websockets.extensions.permessage_deflate import enable_client_permessage_deflate
from websockets.http11 import USER_AGENT, Response
from websockets.uri import WebSocketURI, parse_uri

from .outcomes import PicowsUnsupported
from .picows_connection import PicowsConnection, PicowsListener
from .redirects import apply_headers

__all__ = ["connect"]

_EARLIEST = (2, 2)
if tuple(map(int, version("picows").split(".")[:2])) < _EARLIEST:
    raise ImportError(
        f"picows {version('picows')} is too old, {'.'.join(map(str, _EARLIEST))} is the first that works"
    )

# picows sends these itself.
_HANDSHAKE = frozenset({"connection", "sec-websocket-key", "sec-websocket-version", "upgrade"})
_REDIRECTS = (300, 301, 302, 303, 307, 308)
_NO_LIMIT = 2**62
_LONG_AFTER_SECONDS = 1.0


async def connect(url: str, options: dict[str, Any]) -> PicowsConnection:
    """Connect.

    Args:
        options: as websockets' ``connect`` takes them.
    Raises:
        PicowsUnsupported: it is for websockets to try.
        OSError, WebSocketException: as websockets' ``connect``.
    """
    try:
        uri = parse_uri(url)
        if isinstance(options["proxy"], str) or (options["proxy"] and not _is_direct(uri)):
            raise PicowsUnsupported("there is a proxy on the way")
        return await _connect(uri, options)
    except (OSError, WebSocketException, PicowsUnsupported):
        raise
    except Exception as error:  # of picows or what it stands on: perhaps of a version that is not known yet
        raise PicowsUnsupported(f"{type(error).__name__}: {error}") from error


async def _connect(uri: WebSocketURI, options: dict[str, Any]) -> PicowsConnection:
    connection = _prepare(uri, options)
    try:
        async with asyncio.timeout(options["open_timeout"]):
            tcp = await _open_tcp(uri.host, uri.port)
            try:
                await _handshake(connection, uri, tcp, options)
            except BaseException:
                _abort(connection, tcp)
                raise
    except TimeoutError:
        raise TimeoutError("timed out during opening handshake") from None
    connection.start()
    return connection


def _is_direct(uri: WebSocketURI) -> bool:
    """Whether the system has no proxy for this URL."""
    return not getproxies().keys() - {"no"} or bool(proxy_bypass(f"{uri.host}:{uri.port}"))


def _prepare(uri: WebSocketURI, options: dict[str, Any]) -> PicowsConnection:
    """The connection before its handshake, with the request for it."""
    protocol = ClientProtocol(
        uri,
        origin=options["origin"],
        extensions=enable_client_permessage_deflate(None) if options["compression"] else None,
        subprotocols=options["subprotocols"],
        max_size=options["max_size"],
        logger=options["logger"],
    )
    limits = ("ping_interval", "ping_timeout", "close_timeout", "max_size", "max_queue")
    connection = PicowsConnection(protocol, **{name: options[name] for name in limits})
    connection.request = apply_headers(protocol.connect(), options["additional_headers"])
    connection.request.headers.setdefault("User-Agent", USER_AGENT)
    return connection


async def _open_tcp(host: str, port: int) -> socket.socket:
    """A connected socket. One that picows had opened could not be closed before the handshake is done."""
    loop = asyncio.get_running_loop()
    errors: list[OSError] = []
    for family, kind, number, _, address in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        tcp = socket.socket(family, kind, number)
        try:
            tcp.setblocking(False)
            await loop.sock_connect(tcp, address)
        except OSError as error:
            errors.append(error)
            tcp.close()
        except BaseException:
            tcp.close()
            raise
        else:
            return tcp
    raise errors[0] if len(errors) == 1 else OSError("; ".join(map(str, errors)))


async def _handshake(
    connection: PicowsConnection, uri: WebSocketURI, tcp: socket.socket, options: dict[str, Any]
) -> None:
    assert connection.request is not None
    headers = [pair for pair in connection.request.headers.raw_items() if pair[0].lower() not in _HANDSHAKE]
    host = f"[{uri.host}]" if ":" in uri.host else uri.host
    try:
        _, listener = await ws_connect(
            lambda request, response: _accept(connection, request, response),
            f"{'wss' if uri.secure else 'ws'}://{host}:{uri.port}{uri.resource_name}",
            ssl_context=options.get("ssl"),
            socket_factory=lambda _: tcp,
            extra_headers=headers,
            max_redirects=0,
            max_frame_size=int(options["max_size"] or _NO_LIMIT),
            websocket_handshake_timeout=None,
            enable_auto_pong=False,
            logger_name=options["logger"],
        )
    except WSInvalidURL:
        raise PicowsUnsupported("picows does not understand the URL") from None
    except WSHandshakeError as error:
        raise _failure(error) from None
    if listener is None:
        raise InvalidMessage("did not receive a valid HTTP response") from EOFError("the connection was closed")


def _accept(connection: PicowsConnection, request: WSUpgradeRequest, response: WSUpgradeResponse) -> PicowsListener:
    """The server has accepted: whether that is in order, websockets says."""
    protocol = connection.protocol
    protocol.key = request.headers["Sec-WebSocket-Key"]
    headers = Headers([(name, _latin_1(value)) for name, value in response.headers.items()])
    protocol.receive_data(Response(101, response.status.phrase, headers).serialize())
    if protocol.handshake_exc is not None:
        raise protocol.handshake_exc
    for event in protocol.events_received():
        connection.process_event(event)
    return PicowsListener(connection)


def _latin_1(value: str) -> str:
    return value.encode("ascii", "surrogateescape").decode("latin-1")


def _failure(error: WSHandshakeError) -> Exception:
    """The error that websockets would raise at such an answer, if it is a plain one."""
    first, *lines = (error.raw_header or b"").decode("latin-1").split("\r\n")
    protocol, _, status = first.partition(" ")
    code, _, phrase = status.partition(" ")
    if protocol != "HTTP/1.1" or not (len(code) == 3 and code.isdecimal()) or int(code) in (101, *_REDIRECTS):
        return PicowsUnsupported(f"picows says: {error}")
    pairs = [line.partition(":")[::2] for line in lines]
    return InvalidStatus(Response(int(code), phrase, Headers([(name, value.strip()) for name, value in pairs])))


def _abort(connection: PicowsConnection, tcp: socket.socket) -> None:
    """Give up before the handshake is done, or behind it."""
    if hasattr(connection, "transport"):
        connection.transport.abort()
    else:
        # If it has a transport already, that one notices, and closes it long before this does.
        with contextlib.suppress(OSError):
            tcp.shutdown(socket.SHUT_RDWR)
        asyncio.get_running_loop().call_later(_LONG_AFTER_SECONDS, tcp.close)
