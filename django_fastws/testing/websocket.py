"""Test client for WebSockets, without a server.

    async with connect("/ws/chat/lobby?username=ada", user=ada) as ws:
        await ws.send_json({"message": "hello"})
        assert (await ws.receive_json())["message"] == "hello"

It works in the async tests of Django's test case classes and of pytest plug-ins. Waiting has a time limit; one that
runs out raises ``TimeoutError`` and leaves the application running.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import channels.db
from asgiref.testing import ApplicationCommunicator
from django.db import connections

from .._core.headers import HeaderMap
from ..exceptions import WebSocketDisconnect
from ..types import ASGIApp, Headers, Message
from .client_handshake import HandshakeDenied, default_application, make_scope
from .connection_end import ConnectionEnd

__all__ = ["TestWebSocket", "connect"]


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
    scope = make_scope(path, headers, cookies, origin, subprotocols)
    if user is not None:
        scope["user"] = user
    if session is not None:
        scope["session"] = session
    ws = TestWebSocket(application or default_application(), scope, timeout)
    try:
        await ws._open()
        yield ws
    finally:
        await ws._finish()


class TestWebSocket(ConnectionEnd):
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
        super().__init__(timeout)
        self.scope = scope
        self._app: Any = ApplicationCommunicator(application, scope)  # type: ignore[no-untyped-call]

    async def _take(self, seconds: float) -> str | bytes:
        if self.closed:
            raise WebSocketDisconnect(self.close_code or 1000, self.close_reason, call="receive")
        event = await self._output(seconds)
        if event["type"] == "websocket.send":
            text: str | None = event.get("text")
            return event.get("bytes") or b"" if text is None else text
        await self._closed(event)
        raise WebSocketDisconnect(self.close_code or 1000, self.close_reason, call="receive")

    async def receive_nothing(self, timeout: float = 0.1) -> bool:
        """Whether no message comes and nothing is closed for so many seconds. What comes is kept for ``receive``."""
        queue = self._app.output_queue
        deadline = asyncio.get_running_loop().time() + timeout
        while queue.empty():
            if asyncio.get_running_loop().time() >= deadline:
                return True
            await asyncio.sleep(0.005)
        return False

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close from the client's side, and wait for the handler to end. 1006 is a cut connection."""
        if not self.closed:
            self.close_code, self.close_reason = code, reason
            await self._disconnect()
        await self._ended()

    # What follows is for connect()

    async def _open(self) -> None:
        await self._app.send_input({"type": "websocket.connect"})
        event = await self._output(self.timeout)
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
                part = await self._output(self.timeout)
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

    async def _put(self, data: str | bytes) -> None:
        if self.closed:
            raise WebSocketDisconnect(self.close_code or 1000, self.close_reason, call="send")
        kind = "text" if isinstance(data, str) else "bytes"
        await self._app.send_input({"type": "websocket.receive", kind: data})

    async def _output(self, seconds: float) -> Message:
        """The next event of the application; its exception, if it ended with one."""
        queue, application = self._app.output_queue, self._app.future
        getter = asyncio.ensure_future(queue.get())
        try:
            await asyncio.wait(
                [getter, application],
                timeout=None if seconds == math.inf else seconds,
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
            raise TimeoutError(f"the application sent nothing in {seconds:g} seconds; it goes on")
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
