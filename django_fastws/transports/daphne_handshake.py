"""Handshake as the transport of daphne mends it, through autobahn's protocol: scope, headers, denial, early data.

It is used on plain daphne and on ``runws_server``, whose own protocol is in ``server/opening_handshake.py``.
"""

from __future__ import annotations

import functools
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from .._core.handshake import offered
from ..types import Message, Scope, Send

__all__ = [
    "accept_with_headers",
    "break_cycles",
    "deny",
    "feed_early_data",
    "forget_handshake",
    "is_daphnes",
    "mended_scope",
    "served_scope",
    "take_early_data",
]

# What daphne and autobahn read until the connection is open, and never again.
HANDSHAKE = frozenset(
    {
        "_raw_query_string",
        "_wskey",
        "application_deferred",
        "clean_headers",
        "http_headers",
        "http_request_data",
        "http_request_host",
        "http_request_params",
        "http_request_path",
        "http_request_uri",
        "http_response_data",
        "http_status_line",
        "is_open",
        "protocol_to_accept",
        "websocket_extensions",
        "websocket_origin",
        "websocket_protocols",
    }
)


class _HandshakeRequest:
    """The request, as far as daphne's log needs it when the connection ends."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path


# The scope


def served_scope(scope: Scope, send: Send) -> Scope:
    """The scope of an HTTP request without what any client could say: under which path the application is served."""
    if not is_daphnes(send):
        return scope
    root_path = _root_path(send.args[0], scope)  # type: ignore[attr-defined]
    return scope if root_path == scope.get("root_path") else {**scope, "root_path": root_path}


def is_daphnes(send: Send) -> bool:
    """Whether an ASGI ``send`` is one of daphne's, with the protocol object as its argument."""
    is_partial = isinstance(send, functools.partial) and len(send.args) == 1
    return is_partial and getattr(send.func, "__name__", "") == "handle_reply"  # type: ignore[attr-defined]


def _root_path(protocol: Any, scope: Scope) -> str:
    """The root path of ``--root-path``. daphne lets a Daphne-Root-Path header of any client say another."""
    told: Any = getattr(getattr(protocol, "server", None), "root_path", None)
    return told if isinstance(told, str) else scope.get("root_path") or ""


def _cut_path(protocol: Any, scope: Scope) -> str | None:
    """The path as the client has asked for it, if autobahn has cut something off; else None."""
    path = str(getattr(protocol, "http_request_uri", "")).partition("?")[0]
    # At a semicolon in its last segment, which RFC 3986 section 3.3 does not ask for.
    is_cut_behind = path.startswith((scope.get("raw_path") or b"").decode("latin-1") + ";")
    # Of //x/ws/admin it takes x for a host. A proxy that denies /ws/admin would let that pass.
    is_cut_before = path.startswith("//")
    return path if is_cut_behind or is_cut_before else None


def mended_scope(protocol: Any, scope: Scope, *, is_tls: bool) -> Scope:
    """The scope of a handshake as it should be.

    Args:
        is_tls: whether another transport stands on top of the one that holds the socket.
    """
    scope = dict(scope)
    # What ISSLTransport asks for; a wrapper of another kind, as for the PROXY protocol, makes nothing secure.
    is_secure = is_tls and hasattr(protocol.transport, "getPeerCertificate")
    scope.setdefault("scheme", "wss" if is_secure else "ws")
    scope["root_path"] = _root_path(protocol, scope)
    # daphne decodes a percent sign there, and autobahn then finds that no such subprotocol was offered.
    if getattr(protocol, "head", None) is None:
        scope["subprotocols"] = offered(vars(protocol).get("websocket_protocols", scope.get("subprotocols")))
    if (path := _cut_path(protocol, scope)) is not None:
        scope.update(path=unquote(path), raw_path=path.encode("latin-1"))
    scope.setdefault("extensions", {"websocket.http.response": {}})
    return scope


# Early data: frames that came in one read with the handshake, and lie in the HTTP channel that is over


def take_early_data(producer: Any) -> bytes:
    """Take from Twisted's HTTP channel what it has read behind a handshake.

    The channel takes it for the next request, which it keeps for after this one; and over more than 16 kB of that it
    pauses the reading. Daphne asks for none of it.

    Args:
        producer: of the transport: the channel, with TLS in a wrapper. Of another one, nothing is taken.
    """
    channel = getattr(producer, "_producer", producer)
    held = getattr(channel, "_dataBuffer", None)
    if not isinstance(held, list) or not all(isinstance(piece, bytes) for piece in held):
        return b""
    channel._dataBuffer = []
    return b"".join(held)


def break_cycles(protocol: Any, producer: Any) -> None:
    """Cut the cycles that a handshake makes, so that reference counts free what it has left, and the connection.

    Args:
        producer: of the transport: the channel of the handshake, which is over; with TLS in a wrapper.
    """
    channel = getattr(producer, "_producer", producer)
    if hasattr(channel, "_dataBuffer"):
        channel.requests = []  # which refer to it
    # autobahn's is a Deferred that nobody waits for, with the protocol for its result.
    protocol.is_closed = _UNAWAITED


class _Unawaited:
    """In the place of a Deferred, whose result nobody asks for."""

    def callback(self, result: object) -> None:
        """It is there."""


_UNAWAITED = _Unawaited()


def feed_early_data(protocol: Any, early: bytes) -> None:
    """Give autobahn the frames that came with the handshake, which it reads when it is told of the accept.

    Not before: it would look for the head of another request in them.
    """
    protocol.data = early + protocol.data
    protocol.transport.resumeProducing()


# The answer


def accept_with_headers(protocol: Any, message: Message) -> bool:
    """Accept with headers, which daphne would drop; False leaves the accept to daphne."""
    headers: dict[str, list[str]] = {}
    for name, value in message.get("headers") or ():
        headers.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
    handshake = getattr(protocol, "handshake_deferred", None)
    if not headers or handshake is None:
        return False
    del protocol.handshake_deferred
    handshake.callback((message.get("subprotocol"), headers))
    return True


def forget_handshake(protocol: Any) -> None:
    """Let go of what daphne and autobahn keep of the handshake: 5 kB for as long as the connection is open."""
    if getattr(protocol, "head", None) is not None:  # of runws_server, which keeps nothing else of it
        del protocol.head
        return
    kept = {name: value for name, value in vars(protocol).items() if name not in HANDSHAKE}
    if hasattr(protocol.request, "path"):
        kept["request"] = _HandshakeRequest(protocol.request.path)
    protocol.__dict__ = kept  # a new dictionary, because one that has shrunk takes as much memory as before


def deny(protocol: Any, start: Message | None, message: Message) -> None:
    """Answer the handshake with the status, headers and body of a denial response."""
    if start is None:
        raise ValueError("websocket.http.response.body: send websocket.http.response.start first")
    if not hasattr(protocol, "handshake_deferred"):
        return
    status, body = start["status"], message["body"]
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""
    headers = [*start["headers"], (b"connection", b"close")]
    head = b"".join(b"%s: %s\r\n" % (name, value) for name, value in headers)
    answer = b"HTTP/1.1 %d %s\r\n%s\r\n%s" % (status, phrase.encode(), head, body)
    if hasattr(protocol, "note_answer"):  # of our own server, for its log
        protocol.note_answer(status, headers, body)
    # serverReject() ends the handshake in daphne's and autobahn's own way, and only the bytes differ.
    protocol.sendHttpErrorResponse = lambda *args, **kwargs: protocol.sendData(answer)
    protocol.serverReject()
