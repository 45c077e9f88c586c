"""The answer of a handshake, and of an HTTP request, as an application gives it: checked before any of it is sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .headers import HANDSHAKE_HEADERS, MESSAGE_HEADERS, encode_headers

__all__ = ["MAX_DENIAL_BYTES", "DenialResponse", "checked_accept", "checked_body", "checked_response"]

#: The largest body of a denial. It is an error's text or page, and is sent as a whole.
MAX_DENIAL_BYTES = 1024 * 1024

Headers = list[tuple[bytes, bytes]]


def checked_accept(message: Mapping[str, Any], offered: Iterable[str]) -> dict[str, Any]:
    """Check a ``websocket.accept`` event.

    Args:
        message: the event of the application.
        offered: the subprotocols that the client offered.
    Returns:
        The event as it may be sent.
    Raises:
        TypeError, ValueError: a header cannot be sent, or the subprotocol was not offered (RFC 6455 section 4.2.2).
    """
    subprotocol = message.get("subprotocol")
    offered = list(offered)
    if subprotocol is not None and (not isinstance(subprotocol, str) or subprotocol not in offered):
        listed = ", ".join(repr(name) for name in offered if name) or "none"
        raise ValueError(
            f"websocket.accept: the client offered {listed} and not the subprotocol {subprotocol!r}; "
            "accept one that was offered, or None"
        )
    headers = encode_headers(message.get("headers") or (), forbidden=HANDSHAKE_HEADERS)
    return {"type": "websocket.accept", "subprotocol": subprotocol, "headers": headers}


class DenialResponse:
    """A denial response: its start, and the body as it comes in one or several events.

    The server frames it: a Content-Length, Transfer-Encoding or Connection of the application's is left out, so that
    nothing of the body can be taken for another response.

    Args:
        start: the ``websocket.http.response.start`` event.
    Raises:
        TypeError, ValueError: the status or a header cannot be sent.
    """

    __slots__ = ("_body", "_headers", "_status")

    def __init__(self, start: Mapping[str, Any]) -> None:
        self._status = _checked_status(start, least=200)
        headers = encode_headers(start.get("headers") or ())
        self._headers = [pair for pair in headers if pair[0] not in MESSAGE_HEADERS]
        self._body = b""

    def add(self, message: Mapping[str, Any]) -> bool:
        """Take a ``websocket.http.response.body`` event; True if it was the last.

        Raises:
            TypeError: the body is not bytes.
            ValueError: it is over ``MAX_DENIAL_BYTES``.
        """
        body = checked_body(message)
        if len(self._body) + len(body) > MAX_DENIAL_BYTES:
            raise ValueError(f"{message['type']}: the body of a denial is over {MAX_DENIAL_BYTES} bytes")
        self._body += body
        return not message.get("more_body")

    @property
    def parts(self) -> tuple[int, Headers, bytes]:
        """Status, headers and body, without a Content-Length. A status that forbids a body has none."""
        body = b"" if self._status in (204, 205, 304) else self._body
        return self._status, self._headers, body

    @property
    def events(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The two events that send it."""
        status, headers, body = self.parts
        headers = [*headers, (b"content-length", b"%d" % len(body))]
        kind = "websocket.http.response"
        return (
            {"type": f"{kind}.start", "status": status, "headers": headers},
            {"type": f"{kind}.body", "body": body},
        )


def checked_response(message: Mapping[str, Any]) -> dict[str, Any]:
    """Check an ``http.response.start`` event.

    Returns:
        The event as it may be sent; without a Transfer-Encoding, which is the server's to choose.
    Raises:
        TypeError, ValueError: the status or a header cannot be sent, or there are several lengths.
    """
    status = _checked_status(message, least=100)
    headers = encode_headers(message.get("headers") or (), allows_controls=True)
    headers = [pair for pair in headers if pair[0] != b"transfer-encoding"]
    lengths = {value for name, value in headers if name == b"content-length"}
    if len(lengths) > 1 or not all(value.isdigit() for value in lengths):
        raise ValueError("http.response.start: the Content-Length is one number")  # RFC 9110 section 8.6
    return {**message, "status": status, "headers": headers}


def _checked_status(message: Mapping[str, Any], *, least: int) -> int:
    status = message.get("status")
    if isinstance(status, bool) or not isinstance(status, int) or not least <= status <= 599:
        raise ValueError(f"{message['type']}: {status!r} is no HTTP status of a response")
    return int(status)


def checked_body(message: Mapping[str, Any]) -> bytes:
    """The body of an event, b"" if it has none.

    Raises:
        TypeError: it is not bytes.
    """
    body = message.get("body")
    if body is None:
        return b""
    if not isinstance(body, (bytes, bytearray, memoryview)):
        raise TypeError(f"{message['type']}: the body is bytes, not {type(body).__name__}")
    return bytes(body)
