"""Test client of live rooms, without a server.

    async with live(user=ada) as client:
        room = await client.join("tickets/5")
        assert await room.call("say", text="hi") == 1
        said = await room.next("said")
        assert said.data == {"who": "ada", "text": "hi"}

It speaks what the browser client speaks, over one socket. Waiting has a time limit; one that runs out raises
``TimeoutError``, whose text has what was received instead.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from .._core.live_frames import SUBPROTOCOL
from ..conf import conf
from ..exceptions import LiveError
from ..rooms import Position, Room
from ..types import ASGIApp, Headers
from .client_handshake import HandshakeDenied
from .joined_room import JoinedRoom
from .live_connection import LiveConnection
from .matching import Where
from .received_event import ReceivedEvent
from .websocket import TestWebSocket, connect

__all__ = ["LiveClient", "live"]


@asynccontextmanager
async def live(
    *,
    user: Any = None,
    session: Any = None,
    token: str | None = None,
    client: str | None = None,
    path: str | None = None,
    application: ASGIApp | None = None,
    headers: Headers | Iterable[tuple[Any, Any]] = (),
    cookies: Mapping[str, str] | None = None,
    origin: str | None = None,
    timeout: float = 5.0,
) -> AsyncIterator[LiveClient]:
    """Connect to the live rooms; leaving the block disconnects, and waits until every room is left.

    Args:
        user: who is logged in (``ws.user``), without a session or a database; None leaves it to the session.
        session: what ``ws.session`` is; None leaves it to the session cookie.
        token: is sent in the hello, for ``FASTWS_LIVE_AUTHENTICATE``.
        client: the client's own id, which a reconnect keeps; None makes one.
        path: None is ``FASTWS_LIVE_PATH``; with a query string, if the application wants one.
        application: an ASGI application; the one of ``ASGI_APPLICATION`` where it is None, else of all routes.
        headers: of the request, str or bytes.
        cookies: go into a Cookie header; those of Django's test client fit (``client.cookies``).
        origin: an Origin header, as a browser sends it.
        timeout: seconds that any waiting may take, unless a call says otherwise.
    Raises:
        HandshakeDenied: the application denied the handshake.
        LiveError: it refused the token or the client id.
        TimeoutError: it did not answer in time.
        ValueError: there is no path: live rooms are not served.
        Exception: what a function of ``answer()`` has raised.
    """
    path = path or conf.live_path
    if path is None:
        raise ValueError("live(): FASTWS_LIVE_PATH is None, so live rooms are not served; set it, or give path=")
    where: str = path

    @asynccontextmanager
    async def connected() -> AsyncIterator[TestWebSocket]:
        try:
            opening = connect(
                where,
                application=application,
                user=user,
                session=session,
                headers=headers,
                cookies=cookies,
                origin=origin,
                subprotocols=[SUBPROTOCOL],
                timeout=timeout,
            )
            async with opening as ws:
                yield ws
        except HandshakeDenied as denied:
            if denied.status == 404:
                denied.add_note("Is a live room declared, in a consumers.py of an installed app?")
            raise

    one = LiveClient(LiveConnection(connected, timeout), client or f"c-{secrets.token_hex(8)}", token)
    try:
        await one._open()
        yield one
    finally:
        await one.close()
    one._connection.check_answers()


class LiveClient:
    """Client of live rooms. ``live()`` makes it.

    Attributes:
        client_id: its own id, which a reconnect keeps (``ws.client_id`` on the server).
        rooms: those that it has joined, by name; also those that it was taken out of.
    """

    def __init__(self, connection: LiveConnection, client_id: str, token: str | None) -> None:
        self.client_id = client_id
        self.rooms: dict[str, JoinedRoom] = {}
        self._connection = connection
        self._token = token

    async def _open(self) -> None:
        await self._connection.open()
        await self._hello()

    async def _hello(self) -> None:
        hello = {"client": self.client_id}
        if self._token is not None:
            hello["token"] = self._token
        await self._connection.request({"hello": hello}, "the hello")

    # Rooms

    async def join(self, room: str | Room, *, since: Position | str | None = None) -> JoinedRoom:
        """Join a room, or join it again; there is one ``JoinedRoom`` for each name.

        Args:
            room: its name, or the room: ``tickets(pk=5)``.
            since: the position at which the client goes on: a ``Position``, or its text, as a page has it.
        Raises:
            LiveError: the join is refused.
            TimeoutError: it is not answered in time.
            WebSocketDisconnect: the connection is closed.
        """
        name = room.name if isinstance(room, Room) else room
        at = None if since is None else str(since)
        joined = self.rooms.get(name)
        if joined is not None:
            await joined._join(at)
            return joined
        joined = JoinedRoom(self._connection, name)
        try:
            await joined._join(at)
        except BaseException:
            self._connection.rooms.pop(name, None)
            raise
        self.rooms[name] = joined
        return joined

    # To this client alone

    async def next(
        self, event: str | None = None, *, where: Where | None = None, timeout: float | None = None
    ) -> ReceivedEvent:
        """Wait for an event to this client alone (``ws.emit``) that was not taken yet, and take it. Others stay.

        Args:
            event: its name; None takes the first of any.
            where: what its data must be like: a dict that it has in it, or a function that says whether it is.
            timeout: seconds; None is the client's.
        Raises:
            TimeoutError: it did not come in time. The text has what came and was not taken.
            WebSocketDisconnect: the connection is closed.
        """
        connection = self._connection
        return await connection.take_event(connection.events, event, where, timeout, to=" to this client")

    async def receive_nothing(self, timeout: float = 0.1) -> bool:
        """Whether no event to this client alone waits to be taken, and none comes for so many seconds."""
        return await self._connection.events.is_silent(timeout)

    def answer(self, event: str, function: Callable[[Any], Any | Awaitable[Any]]) -> None:
        """Answer what the server asks (``ws.ask``) by what a function returns, from now on.

        Args:
            event: what is asked.
            function: sync or async, called with the data. A ``LiveError`` that it raises is the answer; what else it
                raises is answered with ``failed``, and raised when the block of ``live()`` is left.
        """
        self._connection.answers[event] = function

    # The protocol

    async def authenticate(self, token: str) -> None:
        """Tell the server a token, in a hello; a reconnect tells it, too.

        Raises:
            LiveError: it is refused.
        """
        former, self._token = self._token, token
        try:
            await self._hello()
        except BaseException:
            self._token = former
            raise

    async def request(self, frame: Mapping[str, Any]) -> Any:
        """Say a frame of the protocol as it is, and wait for its answer. One without an id gets one.

        Raises:
            LiveError: it is answered with an error.
            TimeoutError: it is not answered in time.
            WebSocketDisconnect: the connection is closed.
        """
        return await self._connection.request(dict(frame), f"the frame {dict(frame)!r}")

    # The connection

    @property
    def ws(self) -> TestWebSocket:
        """The present connection, or the last one: to send what is no frame. What comes is read by this client."""
        return self._connection.ws

    @property
    def timeout(self) -> float:
        """Seconds that waiting may take, unless a call says otherwise. It can be set."""
        return self._connection.timeout

    @timeout.setter
    def timeout(self, seconds: float) -> None:
        self._connection.timeout = seconds

    @property
    def closed(self) -> bool:
        """Whether the connection is closed, by either end."""
        return self.ws.closed

    @property
    def close_code(self) -> int | None:
        """The close code of the connection; None while it is open."""
        return self.ws.close_code

    @property
    def close_reason(self) -> str:
        """The reason that came with the close code, or ""."""
        return self.ws.close_reason

    async def wait_closed(self, timeout: float | None = None) -> int:
        """Wait until the server closes the connection; returns the close code.

        Raises:
            TimeoutError: it did not, within so many seconds.
        """
        await self._connection.closed_by_server(self.timeout if timeout is None else timeout)
        return self.ws.close_code or 1006

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close from the client's side, and wait until every room is left. 1006 is a cut connection. Idempotent."""
        await self._connection.close(code, reason)

    async def reconnect(self, code: int = 1006) -> None:
        """Lose the connection, open another with the same handshake, and join the rooms again, as a page does.

        A room with history is joined with its position: what was missed comes as events, behind those that were not
        taken yet; ``room.recovered`` says whether, for else there is the state. ``room.present`` is what it is now.
        Calls that are under way raise ``WebSocketDisconnect``.

        Args:
            code: how the present connection ends, if it is open.
        Raises:
            LiveError: a room was refused; all others are joined.
            HandshakeDenied, TimeoutError: as ``live()``.
        """
        wanted = [room for room in self.rooms.values() if room._is_wanted]
        await self.close(code)
        await self._open()
        refused: LiveError | None = None
        for room in wanted:
            try:
                await room._join(room.at, comes_back=True)
            except LiveError as error:
                refused = refused or error
        if refused is not None:
            raise refused
