"""Fake peer of outbound routes: the test plays the server that a handler connects to, without a network.

    async with peer(feed) as remote:
        await remote.send_json({"price": 5})
        assert await remote.receive_json() == {"heard": 5}
        await remote.close(1012)
        await remote.reconnected()

The route runs as ``manage.py runws_clients`` runs it, with its options and retries; but no time passes between them.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from .._core.exception_groups import significant
from ..clients.runner import Runner
from ..exceptions import WebSocketConnectionError, WebSocketDisconnect, WebSocketException
from ..routing import OutboundRoute, registry
from ..tasks import cancel_and_wait
from ..threads import TESTING, Assignment, Threads
from ..types import CallScope
from ..websocket import WebSocket
from .connection_end import ConnectionEnd
from .server_end import LocalConnector, ServerEnd

__all__ = ["Peer", "peer"]


@asynccontextmanager
async def peer(
    handler: Callable[[WebSocket[Any]], Coroutine[Any, Any, Any]] | str,
    *,
    denials: Iterable[int] = (),
    subprotocol: str | None = None,
    raise_errors: bool = True,
    timeout: float = 5.0,
) -> AsyncIterator[Peer]:
    """Run an outbound route against this test; leaving the block stops it with 1001 and waits for its handler.

    Args:
        handler: of the route (``@app.ws(url=...)``), or the route's name where the handler has several.
        denials: HTTP statuses that answer the first attempts, one each.
        subprotocol: what is agreed on if it is offered; None takes the first that is.
        raise_errors: raise what the handler has raised, if that failed the route, when the block is left.
        timeout: seconds that any waiting may take, unless a call says otherwise.
    Raises:
        LookupError: there is no such route, or several.
        WebSocketConnectionError: the route ended without a connection.
        TimeoutError: it did not connect in time.
        Exception: what the handler has raised.
    """
    remote = Peer(_route_of(handler), denials, subprotocol, timeout)
    try:
        await remote._start()
        yield remote
    finally:
        await remote._stop()
    if raise_errors and remote.error is not None:
        raise remote.error


class Peer(ConnectionEnd):
    """Server that an outbound route connects to, as its test plays it. ``peer()`` makes it.

    Its messages are those of the present connection, or the last one.

    Attributes:
        subprotocol: what was agreed on, or None.
        headers: those that the route sent with the handshake.
        path: of the handshake, with the query string.
        denials: HTTP statuses that answer the next attempts; more can be appended.
        delays: seconds that the route would have waited before each further attempt.
        connections: number of connections so far.
        error: what the handler has raised last, if that failed the connection; else None.
        close_code, close_reason: how the connection was closed; None and "" while it is open.
        timeout: seconds that waiting may take.
    """

    def __init__(self, route: OutboundRoute, denials: Iterable[int], subprotocol: str | None, timeout: float) -> None:
        super().__init__(timeout)
        self.denials = list(denials)
        self.delays: list[float] = []
        self.connections = 0
        self.path = ""
        self.error: Exception | None = None
        self._subprotocol = subprotocol
        self._end: ServerEnd | None = None
        self._ends: list[ServerEnd] = []
        self._opened = asyncio.Event()
        #: The test wants another attempt; until then the route waits.
        self._wanted = asyncio.Event()
        #: The route waits, or is over.
        self._resting = asyncio.Event()
        self._connector = LocalConnector(route, self._accept)
        self._runner = Runner(
            replace(route, handler=self._recorded(route.handler)),
            _TestThreads(),
            connector=self._connector,
            sleep=self._sleep,
        )
        self._running: asyncio.Task[None] | None = None

    # Messages

    async def _put(self, data: str | bytes) -> None:
        if self._end is None or not self._end.is_open:
            self._note_close()
            raise self._described(WebSocketDisconnect(self.close_code or 1006, self.close_reason, call="send"))
        self._end.send(data)

    async def _take(self, seconds: float) -> str | bytes:
        assert self._end is not None
        try:
            return await self._end.messages.take(lambda message: True, seconds)
        except WebSocketDisconnect as end:
            self._note_close()
            raise self._described(end) from None
        except TimeoutError:
            raise TimeoutError(f"the handler sent nothing in {seconds:g} seconds; {self._told()}") from None

    async def receive_nothing(self, timeout: float = 0.1) -> bool:
        """Whether no message comes and nothing is closed for so many seconds. What comes is kept for ``receive``."""
        return self._end is None or await self._end.messages.is_silent(timeout)

    @property
    def closed(self) -> bool:
        """Whether either end has closed the connection."""
        self._note_close()
        return self.close_code is not None

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close from the server's side, and wait until the route rests. 1006 is a cut connection. Idempotent."""
        if self._end is not None:
            self._end.close(code, reason)
            self._note_close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._resting.wait(), self.timeout)

    # The route

    @property
    def url(self) -> str:
        """The URL of the latest attempt."""
        return self._connector.url

    @property
    def state(self) -> str:
        """The state of the route: "connected", "waiting" for its next attempt, "done", "failed" or "stopped"."""
        return self._runner.state

    @property
    def last_error(self) -> str:
        """The error with which the last connection ended that was not wanted to end, in words; else empty."""
        return self._runner.last_error

    async def reconnected(self, timeout: float | None = None) -> float:
        """Wait for the next connection, whose messages come from now on; the delay before it is left out.

        Returns:
            The seconds that the route would have waited since the last attempt.
        Raises:
            WebSocketConnectionError: the route ended instead.
            TimeoutError: it did not connect in time.
        """
        await self._next(self.timeout if timeout is None else timeout)
        return self.delays[-1] if self.delays else 0.0

    async def wait_ended(self, timeout: float | None = None) -> str:
        """Wait until the route is over; returns its state: "done" or "failed".

        Raises:
            TimeoutError: it goes on.
        """
        assert self._running is not None
        seconds = self.timeout if timeout is None else timeout
        await asyncio.wait([self._running], timeout=seconds)
        self._note_close()
        if not self._running.done():
            raise TimeoutError(f"the route did not end in {seconds:g} seconds; {self._told()}")
        return self.state

    # For peer()

    async def _start(self) -> None:
        self._running = asyncio.create_task(self._run(), name=f"outbound route {self._runner.route.key}")
        await self._next(self.timeout)

    async def _run(self) -> None:
        try:
            await self._runner.run()
        finally:
            self._resting.set()

    async def _next(self, seconds: float) -> None:
        assert self._running is not None
        self._wanted.set()
        opening = asyncio.ensure_future(self._opened.wait())
        try:
            await asyncio.wait([opening, self._running], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            opening.cancel()
            self._wanted.clear()
        if not self._opened.is_set():
            if self._running.done():
                raise WebSocketConnectionError(f"the route does not connect; {self._told()}")
            raise TimeoutError(f"the route did not connect in {seconds:g} seconds; {self._told()}")
        self._opened.clear()
        self._end = end = self._ends[-1]
        self.headers, self.path, self.subprotocol = end.headers, end.path, end.subprotocol
        self.close_code, self.close_reason = None, ""

    async def _stop(self) -> None:
        try:
            if self._running is not None:
                stopping = asyncio.ensure_future(self._runner.stop())
                await asyncio.wait([self._running], timeout=self.timeout)
                if not self._running.done():
                    await cancel_and_wait(self._running)
                await cancel_and_wait(stopping)
        finally:
            for end in self._ends:
                end.abort()
            self._note_close()

    def _accept(self) -> ServerEnd:
        self._resting.clear()
        denial = self.denials.pop(0) if self.denials else None
        self._ends.append(ServerEnd(self._subprotocol, denial, self._on_open))
        return self._ends[-1]

    def _on_open(self) -> None:
        self.connections += 1
        self._wanted.clear()

    async def _sleep(self, seconds: float) -> None:
        self.delays.append(seconds)
        self._resting.set()
        await self._wanted.wait()

    def _recorded(self, handler: Any) -> Any:
        """The handler, whose errors are kept."""

        @functools.wraps(handler)
        async def recorded(ws: WebSocket) -> Any:
            self._opened.set()
            try:
                return await handler(ws)
            except Exception as raised:
                error = significant(raised, ConnectionError, lambda one: isinstance(one, WebSocketException))
                if isinstance(error, Exception) and not isinstance(error, (ConnectionError, WebSocketException)):
                    self.error = error
                raise

        return recorded

    def _note_close(self) -> None:
        if self._end is not None and self._end.status is not None:
            self.close_code, self.close_reason = self._end.status

    def _described(self, end: WebSocketDisconnect) -> WebSocketDisconnect:
        end.add_note(self._told())
        return end

    def _told(self) -> str:
        """Description of the route, for the text of an error."""
        why = f" ({self.last_error})" if self.last_error else ""
        raised = f"; the handler has raised {self.error!r}" if self.error is not None else ""
        return f"the route is {self.state}{why}{raised}"


class _TestThreads(Threads):
    """Threads of a route in a test: sync code runs in the thread of the test's own, which has its database."""

    def assigned(self, scope: CallScope | None = None) -> Assignment:
        return super().assigned({**(scope or {}), "extensions": {TESTING: {}}})


def _route_of(handler: Any) -> OutboundRoute:
    """The route of a handler, or with a name."""
    found = [route for route in registry.outbound if handler in (route.handler, route.name, route.key)]
    found = [route for route in found if route.method is None]
    name = handler if isinstance(handler, str) else getattr(handler, "__qualname__", repr(handler))
    if not found:
        raise LookupError(f"peer(): no outbound route has the handler {name}; declare one with @app.ws(url=...)")
    if len(found) > 1:
        names = ", ".join(repr(route.name) for route in found)
        raise LookupError(f"peer(): {name} has several routes; give the name of one, of {names}")
    return found[0]
