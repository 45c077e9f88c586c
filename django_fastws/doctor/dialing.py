"""Dialing: one WebSocket handshake from outside, and in words why it did not come about."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as library_connect
from websockets.exceptions import InvalidHandshake, InvalidStatus
from websockets.http11 import Response

from .target import Target

__all__ = ["Dialed", "dial"]

DIAL_SECONDS = 10.0
_CLOSE_SECONDS = 2.0

_UPGRADE = (
    "Have the proxy pass the upgrade on. nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; "
    'proxy_set_header Connection "upgrade"; Apache: mod_proxy_wstunnel. See docs/howto/deploy.md.'
)
_HINTS = {
    400: "See the log of the server: the Host is not in ALLOWED_HOSTS, or the proxy does not pass the upgrade; a "
    "port that speaks TLS wants wss://.",
    401: "The route asks who is logged in: give the URL of one that does not.",
    403: "The origin is not allowed, or the route asks who is logged in: see the log of the server, ALLOWED_HOSTS "
    "and FASTWS_ALLOWED_ORIGINS.",
    404: "Give the path of a WebSocket route (manage.py ws_routes), and have the proxy pass it on unchanged. Plain "
    "runserver, gunicorn and other WSGI servers have no WebSockets.",
    405: "What answers there serves no WebSockets: have the proxy pass the path to the ASGI server.",
    408: "The proxy or the server has waited for the handshake in vain: see whether the upgrade is passed on.",
    426: _UPGRADE,
    429: "A limit of handshakes or connections is reached: see FASTWS_HANDSHAKE_RATE and its kind.",
    500: "See the traceback in the log of the server.",
    502: "The proxy does not reach the server: start it, or correct its address in the proxy.",
    503: "The server is restarting, or full (FASTWS_MAX_CONNECTIONS), or the proxy finds none that is ready.",
    504: "The server has not answered the proxy in time: see whether it hangs.",
}
_MOST_BODY = 200  # characters that are shown


class _Dialing(library_connect):
    """The library's ``connect``, which follows no redirect, as browsers do not."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """The exception of a redirect, which is not followed."""
        return exc


@dataclass(frozen=True, slots=True)
class Dialed:
    """What became of a handshake.

    Attributes:
        connection: that is open; None where there is none.
        status: of the HTTP answer that has denied it; None where nothing has answered, or it came about.
        body: the beginning of that answer, for people.
        detail, hint: what has happened and what to do; empty where it came about.
        seconds: it has taken.
    """

    connection: ClientConnection | None = None
    status: int | None = None
    body: str = ""
    detail: str = ""
    hint: str = ""
    seconds: float = field(default=0.0, compare=False)

    @property
    def is_open(self) -> bool:
        """Whether it came about."""
        return self.connection is not None

    async def close(self) -> None:
        """Close what is open."""
        if self.connection is not None:
            await self.connection.close()


async def dial(target: Target, *, origin: str | None, headers: Sequence[tuple[str, str]] = ()) -> Dialed:
    """Open a socket as a browser would. Never raises for what the other end is or does."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        connection = await _Dialing(
            target.url,
            origin=origin,  # type: ignore[arg-type]
            additional_headers=list(headers),
            user_agent_header="django-fastws ws_doctor",
            compression=None,
            proxy=None,
            open_timeout=DIAL_SECONDS,
            close_timeout=_CLOSE_SECONDS,
            ping_interval=None,
        )
    except InvalidStatus as error:
        return _denied(error.response, target)
    except (OSError, InvalidHandshake, EOFError, UnicodeError, ValueError) as error:
        detail, hint = _unreached(error, target)
        return Dialed(detail=detail, hint=hint)
    return Dialed(connection, seconds=loop.time() - began)


def _denied(response: Response, target: Target) -> Dialed:
    status, body = response.status_code, _shown_body(response)
    location = response.headers.get("Location")
    detail = f"{target.url} has answered the handshake with {status} {response.reason_phrase}".rstrip()
    detail += f": {body}" if body else "."
    if 300 <= status < 400:
        where = f" to {location}" if location else ""
        hint = f"Browsers follow no redirect here: have pages connect{where} at once, with ws:// or wss://."
        return Dialed(status=status, body=body, detail=f"{target.url} redirects the handshake{where}.", hint=hint)
    if 200 <= status < 300:
        detail = f"{target.url} has answered {status} as to a plain request, without the upgrade to a WebSocket."
        hint = f"{_UPGRADE} If that is done, another server than the ASGI one answers this path."
        return Dialed(status=status, body=body, detail=detail, hint=hint)
    hint = _HINTS.get(status, "See the log of the server, and that of the proxy.")
    if status in (404, 405) and response.headers.get("Content-Type", "").startswith("text/html"):
        # Of Django, to which the handshake has come as a plain request; sockets are denied by a line of text.
        hint = f"A page has answered, as to a plain request. {_UPGRADE} Else: {hint[:1].lower()}{hint[1:]}"
    return Dialed(status=status, body=body, detail=detail, hint=hint)


def _shown_body(response: Response) -> str:
    """The beginning of a plain text; a page says nothing in one line."""
    text = bytes(response.body or b"")[: 4 * _MOST_BODY].decode("utf-8", "replace").strip()
    if "<" in text or not text:
        return ""
    return "".join(char if char.isprintable() else " " for char in text)[:_MOST_BODY]


def _unreached(error: BaseException, target: Target) -> tuple[str, str]:
    """What has happened, and what to do."""
    where = f"{target.host}:{target.port}"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _bad_certificate(cause, where)
        if isinstance(cause, ssl.SSLError):
            return (
                f"{where} speaks no TLS that is understood here: {cause.reason or cause}.",
                "Use ws:// if it has none; else have it speak TLS 1.2 or 1.3.",
            )
        if isinstance(cause, socket.gaierror):
            return f"The name {target.host} cannot be resolved: {cause.strerror}.", "Correct the name, or its DNS."
        if isinstance(cause, ConnectionRefusedError):
            return f"{where} refuses the connection.", "Start the server or the proxy there, or correct the port."
        if isinstance(cause, TimeoutError):
            hint = (
                "See whether the server hangs, whether a firewall drops packets, and whether the proxy passes the "
                "upgrade on."
            )
            if target.url.startswith("wss:"):
                hint += " A port that speaks no TLS does the same: runws_server's own takes ws://."
            return f"{where} has not answered the handshake within {DIAL_SECONDS:g} seconds.", hint
        cause = cause.__cause__
    if isinstance(error, (ConnectionResetError, EOFError)) or isinstance(error.__cause__, EOFError):
        return (
            f"{where} has closed the connection without an answer.",
            "See the log of the server and of the proxy; of a port that speaks TLS, the URL begins with wss://.",
        )
    if isinstance(error, InvalidHandshake):
        return (
            f"What {where} has answered is no WebSocket handshake: {str(error)[:_MOST_BODY]}.",
            "See what listens there, and whether the proxy passes the upgrade and its headers on unchanged.",
        )
    return f"{where} cannot be reached: {str(error)[:_MOST_BODY]}.", "Correct the URL, or the way there."


def _bad_certificate(error: ssl.SSLCertVerificationError, where: str) -> tuple[str, str]:
    why = getattr(error, "verify_message", "") or str(error)
    hint = "Install a certificate that browsers trust, with all intermediate ones (fullchain.pem of Let's Encrypt)."
    if "expired" in why:
        hint = "Renew the certificate, and have the proxy load it."
    elif "Hostname mismatch" in why or "IP address mismatch" in why:
        hint = "Use the name that the certificate is for, or get one for this name."
    return f"The certificate of {where} is not trusted: {why}.", hint
