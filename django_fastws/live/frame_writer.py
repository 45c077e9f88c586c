"""Writing of a live socket: one frame at a time, or the answers to what was read together in one write."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Coroutine
from typing import Any

from .._core.messages import Payload
from ..conf import conf
from ..exceptions import MessageTooBig, WebSocketDisconnect
from ..websocket import InboundWebSocket

__all__ = ["FrameWriter"]

_MOST_BYTES = 16 * 1024  # of answers that wait for the next one


class FrameWriter:
    """Writer of the frames of one live socket, in the order of the calls.

    A client that has several calls under way sends them together, and they are read together. Each write costs a call
    of the system, and may wake the client: so the answers of one turn of the event loop go out in one. They wait for
    nothing: whoever sends something else sends it behind what is held, and the end of the turn sends the rest.

    Args:
        ws: the socket, accepted.

    Attributes:
        spoke: when the client was told something, by ``time.perf_counter()``; of broadcasts, its rooms know that.
        holds: whether another frame was read already, whose answer comes in this turn.
    """

    __slots__ = ("_held", "_held_bytes", "holds", "spoke", "ws")

    def __init__(self, ws: InboundWebSocket) -> None:
        self.ws = ws
        self.spoke = time.perf_counter()
        self.holds = False
        self._held: list[Payload] | None = None
        self._held_bytes = 0

    def start_task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task of this socket, which ends with it."""
        raise NotImplementedError

    async def send(self, frame: bytes) -> None:
        """Send a frame in its turn; waits while the client does not read.

        Raises:
            WebSocketDisconnect: the connection is closed.
        """
        sending = self.sending(frame)
        if sending is not None:
            await sending

    def sending(self, frame: bytes) -> Coroutine[Any, Any, None] | None:
        """Send a frame at once, if that is possible; else returns what sends it in its turn.

        Raises:
            WebSocketDisconnect: the connection is closed.
        """
        payload = Payload(frame, is_text=True)
        self.spoke = time.perf_counter()
        if self._held is not None:
            self._held.append(payload)
            return self.flush()
        return None if self.ws.try_send(payload, "send") else self.ws.send_payload(payload, "send")

    def answering(self, frame: bytes) -> Coroutine[Any, Any, None] | None:
        """Send an answer behind which nothing has to follow; as ``sending()``, but it may wait for the next one."""
        if not self.holds or self._held_bytes > _MOST_BYTES:
            return self.sending(frame)
        self._held_bytes += len(frame)
        payload = Payload(frame, is_text=True)
        if self._held is None:
            self._held = [payload]
            asyncio.get_running_loop().call_soon(self.flush_soon)
        else:
            self._held.append(payload)
        return None

    def flush(self) -> Coroutine[Any, Any, None] | None:
        """Send what is held; as ``sending()``."""
        held, self._held, self._held_bytes = self._held, None, 0
        if held is None or self.ws.try_send_all(held, "send"):
            return None
        return self._send_each(held)

    async def _send_each(self, payloads: list[Payload]) -> None:
        for payload in payloads:
            await self.ws.send_payload(payload, "send")

    def flush_soon(self) -> None:
        """Send what is held, without waiting; nothing if the connection is closed."""
        if self._held is not None:
            try:
                sending = self.flush()
            except WebSocketDisconnect:
                return
            if sending is not None:
                self.start_task(self._send_late(sending))

    async def _send_late(self, sending: Coroutine[Any, Any, None]) -> None:
        with contextlib.suppress(WebSocketDisconnect):  # nobody is left to be told
            await sending

    def post(self, frame: bytes) -> None:
        """Send a frame without waiting, as broadcasts are."""
        self.spoke = time.perf_counter()
        self.flush_soon()
        self.ws.post(Payload(frame, is_text=True))

    def checked(self, value: bytes) -> bytes:
        """Check the size of what is to be sent, and return it.

        Raises:
            MessageTooBig: it is over ``FASTWS_MAX_MESSAGE_BYTES``.
        """
        limit = conf.max_message_bytes
        if len(value) > limit:
            raise MessageTooBig(len(value), limit)
        return value
