"""Pings and pongs on one connection: round trips, and on daphne's bounded answers to a client's pings."""

from __future__ import annotations

import asyncio
import functools
import secrets
import time
from collections.abc import Callable
from typing import Any

from ..exceptions import WebSocketDisconnect
from .framing import high_water_bytes
from .polling import wait_while
from .twisted import unsent_bytes, until_drained

__all__ = ["Pings", "Pongs"]


class Pings:
    """Pings to one client, of which each waits for its own pong.

    Args:
        protocol: the server's protocol object.
        hears: the name of its method that is called with each pong; it is listened to until ``close()``.
        send: sends a ping with a payload.
        is_open: whether the connection is open.
    """

    __slots__ = ("_hears", "_is_open", "_protocol", "_send", "_waiting")

    def __init__(
        self, protocol: Any, hears: str, send: Callable[[bytes], object], is_open: Callable[[], bool]
    ) -> None:
        self._protocol = protocol
        self._hears = hears
        self._send = send
        self._is_open = is_open
        self._waiting: dict[bytes, asyncio.Future[float]] = {}
        setattr(protocol, hears, functools.partial(self._pong_came, getattr(type(protocol), hears)))

    def __len__(self) -> int:
        return len(self._waiting)

    async def ping(self, closed_error: Callable[[], WebSocketDisconnect]) -> float:
        """Ping the client; returns the round trip in seconds.

        Args:
            closed_error: makes the error for a connection that is closed meanwhile.
        """
        payload = secrets.token_bytes(8)
        pong: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._waiting[payload] = pong
        sent = time.perf_counter()
        self._send(payload)
        try:
            await wait_while(self._is_open, lambda: asyncio.wait([pong]))
            if not pong.done():
                raise closed_error()
            return pong.result() - sent
        finally:
            self._waiting.pop(payload, None)

    def _pong_came(self, original: Callable[[Any, Any], None], pong: Any) -> None:
        waiting = self._waiting.get(_payload_of(pong))
        if waiting is not None and not waiting.done():
            waiting.set_result(time.perf_counter())
        original(self._protocol, pong)

    def close(self, error: WebSocketDisconnect) -> None:
        """Stop waiting for pongs, with an error: the connection or its handler has ended."""
        vars(self._protocol).pop(self._hears, None)
        for pong in self._waiting.values():
            if not pong.done():
                pong.set_exception(error)
        self._waiting.clear()


def _payload_of(pong: Any) -> bytes:
    """The payload of a pong: autobahn's is that itself, those of websockets and wsproto have it."""
    for name in ("data", "payload"):
        pong = getattr(pong, name, pong)
    return bytes(pong)


class Pongs:
    """Bounded answering of one client's pings with pongs.

    As long as the client takes what it is sent, every ping is answered at once. One that comes when the transport is
    full is answered when that has been sent; and if another comes meanwhile, nothing more is read from the client,
    and only the last ping is answered (RFC 6455 section 5.5.3).

    Args:
        protocol: autobahn's.
        tcp: Twisted's transport that holds the socket.
        pause: stops the reading from the client.
        resume: ends that.
    """

    __slots__ = ("_is_paused", "_owed", "_pause", "_protocol", "_resume", "_task", "_tcp")

    def __init__(self, protocol: Any, tcp: Any, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        self._protocol = protocol
        self._tcp = tcp
        self._pause = pause
        self._resume = resume
        self._owed: bytes | None = None
        self._is_paused = False
        self._task: asyncio.Task[None] | None = None

    def answer(self, payload: bytes) -> None:
        """Answer a ping, now or as soon as there is room."""
        if self._owed is not None:
            self._owed = payload
            if not self._is_paused:
                self._is_paused = True
                self._pause()
        elif unsent_bytes(self._tcp) <= high_water_bytes():
            self._protocol.sendPong(payload)
        else:
            self._owed = payload
            self._task = asyncio.get_running_loop().create_task(self._answer_later())

    def close(self) -> None:
        """Stop answering: the connection or its handler has ended."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if self._is_paused:
            self._is_paused = False
            self._resume()  # a close frame may be behind the pings

    async def _answer_later(self) -> None:
        protocol = self._protocol
        # Without another look when it is drained: those who send would have filled it again.
        await wait_while(
            lambda: protocol.state == protocol.STATE_OPEN and unsent_bytes(self._tcp) > 0,
            lambda: until_drained(self._tcp),
        )
        self._task = None
        owed, self._owed = self._owed, None
        protocol.sendPong(owed)  # only if it is open
        if self._is_paused:
            self._is_paused = False
            self._resume()
