"""Pongs of one connection of daphne's: they count as unsent bytes, and at most one is owed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from .framing import room_bytes
from .twisted import unsent_bytes, until_drained

__all__ = ["Pongs"]

_GLANCE = 0.5  # seconds between two looks at whether the connection is still there


class Pongs:
    """Answers to the pings of one client.

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
        elif unsent_bytes(self._tcp) <= room_bytes():
            self._protocol.sendPong(payload)
        else:
            self._owed = payload
            self._task = asyncio.get_running_loop().create_task(self._answer_later())

    def close(self) -> None:
        """Nothing is answered any more, because the connection or its handler has ended."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if self._is_paused:
            self._is_paused = False
            self._resume()  # a close frame may be behind the pings

    async def _answer_later(self) -> None:
        protocol = self._protocol
        while protocol.state == protocol.STATE_OPEN and unsent_bytes(self._tcp):
            # A connection that is closed meanwhile does not wake everyone.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_GLANCE):
                    await until_drained(self._tcp)
                break  # without another look: those who send would have filled it again
        self._task = None
        owed, self._owed = self._owed, None
        protocol.sendPong(owed)  # only if it is open
        if self._is_paused:
            self._is_paused = False
            self._resume()
