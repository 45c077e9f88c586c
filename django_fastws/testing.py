"""Test client for WebSockets, without a server.

    async with connect("/ws/chat/lobby?username=ada", user=ada) as ws:
        await ws.send_json({"message": "hello"})
        assert (await ws.receive_json())["message"] == "hello"

It works in the async tests of Django's test case classes and of pytest plug-ins. Waiting has a time limit; one that
runs out raises ``TimeoutError`` and leaves the application running.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import channels.db
from asgiref.testing import ApplicationCommunicator
from channels.routing import get_default_application
from django.conf import settings
from django.db import connections

from ._core.headers import HeaderMap, encode_headers
from ._core.json import loads
from ._core.messages import WebSocketMessage
from .asgi import get_asgi_application
from .encoding import encode_json
from .exceptions import WebSocketConnectionError, WebSocketDisconnect
from .threads import TESTING
from .types import ASGIApp, Headers, Message

__all__ = ["HandshakeDenied", "TestWebSocket", "connect"]


class HandshakeDenied(WebSocketConnectionError):
    """Handshake that the application denied.

    Attributes:
        status: the HTTP status.
        headers: of the answer.
        text: the answer's body.
    """

    def __init__(self, status: int, headers: HeaderMap, text: str) -> None:
        # An OSError would take the arguments for its errno and strerror.
        super().__init__()
        self.status = status
        self.headers = headers
        self.text = text

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.status, self.headers, self.text)

    def __str__(self) -> str:
        return f"the handshake was denied with {self.status} {self.text}".rstrip()


@asynccontextmanager
async def connect(
    path: str,
    *,
    application: ASGIApp | None = None,
    user: Any = None,
    session: Any = None,
    headers: Headers | Iterable[tuple[Any, Any]] = (),
    cookies: Mapping[str, str] | None = None,
    origin: str | None = None,
    subprotocols: Iterable[str] = (),
    timeout: float = 5.0,
) -> AsyncIterator[TestWebSocket]:
    """Connect to the application; leaving the block disconnects and waits for the handler to end.

    Args:
        path: path and query string, percent-encoded or not.
        application: an ASGI application; the one of ``ASGI_APPLICATION`` where it is None, else of all routes.
        user: who is logged in (``ws.user``), without a session or a database; None leaves it to the session.
        session: what ``ws.session`` is; None leaves it to the session cookie.
        headers: of the request, str or bytes.
        cookies: go into a Cookie header; those of Django's test client fit (``client.cookies``).
        origin: an Origin header, as a browser sends it.
        subprotocols: what is offered.
        timeout: seconds that any waiting may take, unless a call says otherwise.
    Raises:
        HandshakeDenied: the application denied the handshake.
        TimeoutError: it neither accepted nor denied it in time.
    """
    scope = _scope(path, headers, cookies, origin, subprotocols)
    if user is not None:
        scope["user"] = user
    if session is not None:
        scope["session"] = session
    ws = TestWebSocket(application or _default_application(), scope, timeout)
    try:
        await ws._open()
        yield ws
    finally:
        await ws._finish()


class TestWebSocket:
    """Client's end of a connection to the application. ``connect()`` makes it.

    Attributes:
        scope: the ASGI scope that the application was called with.
        subprotocol: what was agreed on, or None.
        headers: those that the application added to its accept.
        close_code, close_reason: how the connection was closed; None and "" while it is open.
        timeout: seconds that waiting may take.
    """

    __test__ = False  # pytest would collect it

    def __init__(self, application: ASGIApp, scope: dict[str, Any], timeout: float) -> None:
        self.scope = scope
        self.subprotocol: str | None = None
        self.headers = HeaderMap()
        self.close_code: int | None = None
        self.close_reason = ""
        self.timeout = timeout
        self._app: Any = ApplicationCommunicator(application, scope)  # type: ignore[no-untyped-call]

    @property
    def closed(self) -> bool:
        """Whether either end has closed, as far as this one has seen."""
        return self.close_code is not None

    async def send(self, data: str | bytes | dict[Any, Any] | list[Any]) -> None:
        """Send a message: str as text, bytes as binary, a dict or list as JSON."""
        if isinstance(data, str):
            await self.send_text(data)
        elif isinstance(data, bytes):
            await self.send_bytes(data)
        else:
            await self.send_json(data)

    async def send_text(self, data: str) -> None:
        """Send a text message."""
        await self._input({"type": "websocket.receive", "text": data})

    async def send_bytes(self, data: bytes) -> None:
        """Send a binary message."""
        await self._input({"type": "websocket.receive", "bytes": data})

    async def send_json(self, data: Any) -> None:
        """Send a value as JSON in a text message, as a browser does."""
        await self._input({"type": "websocket.receive", "text": encode_json(data).text})

    async def receive(self, timeout: float | None = None) -> WebSocketMessage:
        """Wait for the next message.

        Raises:
            WebSocketDisconnect: the application closed the connection.
            TimeoutError: nothing came in time. The application goes on.
        """
        if self.closed:
            raise WebSocketDisconnect(self.close_code or 1000, self.close_reason, call="receive")
        event = await self._output(timeout)
        if event["type"] == "websocket.send":
            text = event.get("text")
            return WebSocketMessage(event.get("bytes") or b"" if text is None else text)
        await self._closed(event)
        raise WebSocketDisconnect(self.close_code or 1000, self.close_reason, call="receive")

    async def receive_text(self, timeout: float | None = None) -> str:
        """Wait for the next message, which must be text."""
        data = (await self.receive(timeout)).data
        if not isinstance(data, str):
            raise TypeError(f"the message is binary: {data!r}")
        return data

    async def receive_bytes(self, timeout: float | None = None) -> bytes:
        """Wait for the next message, which must be binary."""
        data = (await self.receive(timeout)).data
        if isinstance(data, str):
            raise TypeError(f"the message is text: {data!r}")
        return data

    async def receive_json(self, timeout: float | None = None) -> Any:
        """Wait for the next message and decode it as JSON."""
        return loads((await self.receive(timeout)).data, "receive_json")

    send_str = send_text
    recv = receive
    recv_str = receive_text
    recv_bytes = receive_bytes
    recv_json = receive_json

    async def receive_nothing(self, timeout: float = 0.1) -> bool:
        """Whether no message comes and nothing is closed for so many seconds. What comes is kept for ``receive``."""
        queue = self._app.output_queue
        deadline = asyncio.get_running_loop().time() + timeout
        while queue.empty():
            if asyncio.get_running_loop().time() >= deadline:
                return True
            await asyncio.sleep(0.005)
        return False

    def __aiter__(self) -> TestWebSocket:
        """Yield messages until the application closes the connection."""
        return self

    async def __anext__(self) -> WebSocketMessage:
        try:
            return await self.receive()
        except WebSocketDisconnect:
            raise StopAsyncIteration from None

    async def wait_closed(self, timeout: float | None = None) -> int:
        """Wait until the application closes, passing over messages; returns the close code."""
        while not self.closed:
            try:
                await self.receive(timeout)
            except WebSocketDisconnect:
                break
        return self.close_code or 1000

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close from the client's side, and wait for the handler to end. 1006 is a cut connection."""
        if not self.closed:
            self.close_code, self.close_reason = code, reason
            await self._disconnect()
        await self._ended()

    # What follows is for connect()

    async def _open(self) -> None:
        await self._app.send_input({"type": "websocket.connect"})
        event = await self._output(None)
        if event["type"] == "websocket.accept":
            self.subprotocol = event.get("subprotocol")
            self.headers = HeaderMap(event.get("headers") or ())
            return
        self.close_code = 1006
        status, headers, body = 403, HeaderMap(), b""
        if event["type"] == "websocket.http.response.start":
            status, headers = event["status"], HeaderMap(event.get("headers") or ())
            more = True
            while more:
                part = await self._output(None)
                body += part.get("body") or b""
                more = part.get("more_body", False)
        elif event["type"] != "websocket.close":
            raise AssertionError(f"the application answered the handshake with {event!r}")
        await self._disconnect()
        raise HandshakeDenied(status, headers, body.decode("utf-8", "replace"))

    async def _finish(self) -> None:
        try:
            await self.close()
        finally:
            self._app.stop(exceptions=False)
            await asyncio.wait([self._app.future], timeout=self.timeout)

    async def _input(self, event: Message) -> None:
        if self.closed:
            raise WebSocketDisconnect(self.close_code or 1000, self.close_reason, call="send")
        await self._app.send_input(event)

    async def _output(self, timeout: float | None) -> Message:
        """The next event of the application; its exception, if it ended with one."""
        queue, application = self._app.output_queue, self._app.future
        getter = asyncio.ensure_future(queue.get())
        try:
            await asyncio.wait(
                [getter, application],
                timeout=self.timeout if timeout is None else timeout,
                return_when=asyncio.FIRST_COMPLETED,
            )
            event: Message
            if getter.done():
                event = getter.result()
                return event
            if not queue.empty():
                event = queue.get_nowait()
                return event
            if application.done():
                application.result()
                raise AssertionError("the application ended without a word")
            raise TimeoutError("the application sent nothing in time; it goes on")
        finally:
            if not getter.done():
                getter.cancel()

    async def _closed(self, event: Message) -> None:
        if event["type"] != "websocket.close":
            raise AssertionError(f"the application sent {event!r}")
        self.close_code, self.close_reason = event.get("code") or 1000, event.get("reason") or ""
        await self._disconnect()

    async def _disconnect(self) -> None:
        if not self._app.future.done():
            code, reason = self.close_code, self.close_reason
            await self._app.send_input({"type": "websocket.disconnect", "code": code, "reason": reason})

    async def _ended(self) -> None:
        await asyncio.wait([self._app.future], timeout=self.timeout)
        if self._app.future.done() and not self._app.future.cancelled():
            self._app.future.result()


def _close_old_connections() -> None:
    """Django's ``close_old_connections``, but for connections in a transaction, such as that of a ``TestCase``."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()


# database_sync_to_async and consumers close connections all the time. Django's test client keeps its requests from
# doing so, for they run in the test's own thread and would end its transaction. Sockets of a test do, too.
channels.db.close_old_connections = _close_old_connections


def _default_application() -> ASGIApp:
    if getattr(settings, "ASGI_APPLICATION", None):
        application: ASGIApp = get_default_application()
        return application
    return get_asgi_application()


def _scope(
    path: str,
    headers: Headers | Iterable[tuple[Any, Any]],
    cookies: Mapping[str, Any] | None,
    origin: str | None,
    subprotocols: Iterable[str],
) -> dict[str, Any]:
    parts = urlsplit(path)
    host = parts.netloc or "testserver"
    return {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": parts.scheme or "ws",
        "path": unquote(parts.path),
        "raw_path": quote(unquote(parts.path), safe="/!$&'()*+,;=:@~").encode(),
        "query_string": parts.query.encode(),
        "root_path": "",
        "headers": _handshake_headers(host, headers, cookies, origin),
        "client": ("127.0.0.1", 50000),
        "server": ("testserver", 80),
        "subprotocols": list(subprotocols),
        "state": {},
        "extensions": {"websocket.http.response": {}, TESTING: {}},
    }


def _handshake_headers(
    host: str,
    headers: Headers | Iterable[tuple[Any, Any]],
    cookies: Mapping[str, Any] | None,
    origin: str | None,
) -> list[tuple[bytes, bytes]]:
    """The headers of a handshake as a browser sends them; a Host that is given stays."""
    raw = encode_headers(headers)
    if b"host" not in {name for name, _ in raw}:
        raw.append((b"host", host.encode()))
    if origin is not None:
        raw.append((b"origin", origin.encode()))
    if cookies:
        jar: SimpleCookie = SimpleCookie()
        for name, value in cookies.items():
            jar[name] = getattr(value, "value", value)
        header = jar.output(header="", sep=";").strip()
        raw.append((b"cookie", header.encode("latin-1" if header.isascii() else "utf-8")))
    return raw
