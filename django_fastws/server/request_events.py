"""Events of one HTTP request on their way to the application: its body in pieces, then the disconnect."""

from __future__ import annotations

import asyncio
from typing import Any

from ..types import Message

__all__ = ["RequestEvents"]

_PIECE = 64 * 1024  # bytes


class RequestEvents:
    """Receive queue of one HTTP request: its body is read from the spool piece by piece, nothing ahead.

    It has the place of daphne's queue of events.

    Args:
        content: the file with the body, at its beginning.
        size: of the body, in bytes.
    """

    def __init__(self, content: Any, size: int) -> None:
        self._content = content
        self._left = size
        self._has_begun = self._has_body_ended = False
        self._is_gone = False
        self._is_abandoned = False
        self._waiting: set[asyncio.Future[None]] = set()

    @property
    def is_waited_for(self) -> bool:
        """Whether the application waits for the disconnect."""
        return bool(self._waiting)

    async def receive(self) -> Message:
        """The next piece of the body; behind its end, the disconnect, as soon as there is one."""
        if self._has_begun and not self._has_body_ended:
            await asyncio.sleep(0)  # reading from a file never waits: others have their turn between the pieces
        if not self._is_gone and not self._has_body_ended:
            return self._next_piece()
        if not self._is_gone:
            await self._wait()
        return {"type": "http.disconnect"}

    def _next_piece(self) -> Message:
        self._has_begun = True
        piece = self._content.read(min(_PIECE, self._left)) if self._left else b""
        self._left -= len(piece)
        more = bool(self._left and piece)
        if not more:
            self._has_body_ended = True
            self._content.close()
        return {"type": "http.request", "body": piece, "more_body": more}

    async def _wait(self) -> None:
        gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._is_abandoned:
            gone.cancel()
        self._waiting.add(gone)
        try:
            await gone
        finally:
            self._waiting.discard(gone)

    def put_nowait(self, message: Message) -> None:
        """Take daphne's event that the client has gone, or that the answer is complete."""
        self._is_gone = True
        for gone in self._waiting:
            if not gone.done():
                gone.set_result(None)

    def abandon(self) -> None:
        """Cancel what the application, which has ended, has left behind waiting for the disconnect.

        Django has a task that waits for it and raises RequestAborted; with nobody left to retrieve that, it would be
        logged as an error.
        """
        self._is_abandoned = True
        for gone in self._waiting:
            gone.cancel()
