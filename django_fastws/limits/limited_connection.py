"""Connection under limits: what it is counted for, its timeouts, and how it is closed from outside its handler."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from .._core.counts import Counts
from ..log_fields import connection_fields
from ..tasks import BackgroundTasks
from ..transports import ASGITransport
from ..types import Message, Scope
from ..users import Identity
from .recording import record_close
from .table import IDLE_TIMEOUT, MAX_LIFETIME

if TYPE_CHECKING:
    from .receive_limiter import ReceiveLimiter

__all__ = ["LimitedConnection"]

logger = logging.getLogger("django_fastws.limits")

_CLOSE_TIMEOUT = 1.0  # seconds for a client to take its close frame
_NOBODY = Identity()
_closing = BackgroundTasks(logger)


class LimitedConnection:
    """Connection under limits, from its admission to the end of its handler.

    One timer serves the idle timeout and the lifetime together. Messages do not move it: when it is due, it looks at
    when the last one came, and is set anew.

    Args:
        transport: of the connection.
        close: closes it as its handler would, with a code and a reason.
        identity: its user and session; None where there is neither.
        began: when the handshake came, in the loop's time.

    Attributes:
        last_message_at: when the last message came, in the loop's time.
        is_ended: whether it was closed from outside; with which status, its state knows.
        receive_limiter: of its messages, if they are limited.
    """

    __slots__ = (
        "_close",
        "_expires_at",
        "_held",
        "_idle_timeout",
        "_inbox",
        "_is_started",
        "_is_told",
        "_timer",
        "_transport",
        "began",
        "identity",
        "is_ended",
        "last_message_at",
        "receive_limiter",
    )

    def __init__(
        self,
        transport: ASGITransport,
        close: Callable[[int, str], Awaitable[None]],
        *,
        identity: Identity | None = None,
        began: float = 0.0,
    ) -> None:
        self._transport = transport
        self._close = close
        self._inbox = transport.inbox
        self._held: tuple[tuple[Counts, str], ...] = ()
        self._is_started = self._is_told = False
        self._timer: asyncio.TimerHandle | None = None
        self._idle_timeout: float | None = None
        self._expires_at: float | None = None
        self.identity = identity or _NOBODY
        self.began = began
        self.last_message_at = began
        self.is_ended = False
        self.receive_limiter: ReceiveLimiter | None = None

    def acquire(self, counts: Counts, key: str, limit: int | None) -> bool:
        """Count the connection until ``release()``, unless that were over the limit; whether it was counted."""
        if not counts.take(key, limit):
            return False
        self._held += ((counts, key),)
        return True

    def release(self) -> None:
        """The connection is over, or was not let in: give back all that it was counted for."""
        held, self._held = self._held, ()
        for counts, key in held:
            counts.give(key)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # Time

    def start(self, idle_timeout: float | None, max_lifetime: float | None) -> None:
        """The connection is let in. From now on it ends by itself, and is closed by ``end()``.

        Args:
            idle_timeout: seconds without a message after which it ends; None is without end.
            max_lifetime: seconds after which it ends in any case; None is without end.
        """
        self._is_started = True
        if idle_timeout is None and max_lifetime is None:
            return
        now = asyncio.get_running_loop().time()
        self.last_message_at = now
        self._idle_timeout = idle_timeout
        self._expires_at = None if max_lifetime is None else now + max_lifetime
        self._set_timer()

    def _set_timer(self) -> None:
        idle_until = None if self._idle_timeout is None else self.last_message_at + self._idle_timeout
        due = min(until for until in (idle_until, self._expires_at) if until is not None)
        self._timer = asyncio.get_running_loop().call_at(due, self._check_time)

    def _check_time(self) -> None:
        if self._transport.state.is_over:
            return  # it is over, and its handler has not ended yet
        now = asyncio.get_running_loop().time()
        if self._expires_at is not None and now >= self._expires_at:
            self.end(*MAX_LIFETIME.closing())
            return
        if self._idle_timeout is not None:
            if not self._transport.state.is_answered or not self.is_drained:
                # The client is not to blame: it could not send yet, or what it sent was not received.
                self.last_message_at = now
            elif now >= self.last_message_at + self._idle_timeout:
                self.end(*IDLE_TIMEOUT.closing())
                return
        self._set_timer()

    @property
    def is_needed(self) -> bool:
        """Whether there is anything to do when the connection is over, or to end it before."""
        return bool(self.identity.is_known or self._held or self._timer)

    @property
    def scope(self) -> Scope:
        """ASGI scope of the connection."""
        return self._transport.scope

    @property
    def has_inbox(self) -> bool:
        """Whether the server's queue of received messages can be seen, so that the end can be put into it."""
        return self._inbox is not None

    @property
    def is_drained(self) -> bool:
        """Whether all that has come was received, as far as the server lets it be seen."""
        return self._inbox is None or self._inbox.empty()

    # Its end

    def end(self, kind: str, code: int, reason: str) -> None:
        """Close the connection from outside its handler, soon. The first call counts.

        Before ``start()`` it is only remembered, for the decision whether to let it in.
        """
        if not self._is_started:
            self._transport.state.decide(code, reason)
            self.is_ended = True
        elif not self.is_ended:
            _closing.start(self.aend(kind, code, reason))

    async def aend(self, kind: str, code: int, reason: str) -> None:
        """Close it, and wake a task that waits for a message; returns after a second at the latest.

        Nothing happens if it is closed, or its handler closes it just now.

        Args:
            kind: of what it is counted as: the limit that it is over, "disconnect", "kick" or "session".
        """
        state = self._transport.state
        if self.is_ended or state.is_over or state.is_closed:
            return
        state.decide(code, reason)
        self.is_ended = True
        record_close(kind, self._transport.scope, code, reason)
        closing = _closing.start(self._close_now(code, reason))
        try:
            # Not asyncio.timeout(): there is a server whose close swallows a cancellation.
            await asyncio.wait([closing], timeout=_CLOSE_TIMEOUT)
            if not closing.done():  # the client does not even take its close frame
                closing.cancel()
                self._transport.terminate(code, reason)
        finally:
            if self.receive_limiter is not None:
                self.receive_limiter.resume()
            self._tell(code, reason)

    async def _close_now(self, code: int, reason: str) -> None:
        try:
            if self.receive_limiter is not None:
                await self.receive_limiter.interrupt()
            await self._close(code, reason)
            self._tell(code, reason)  # at once: in the next turn of the loop, there may be what comes too late
        except Exception:
            logger.exception(
                "A WebSocket could not be closed", extra=connection_fields(self._transport.scope, code=code)
            )

    def _tell(self, code: int, reason: str) -> None:
        """Tell the handler, behind what has come before the close frame went out.

        The server's own event comes when the client has answered: too late, and behind what it still sends.
        """
        if self._inbox is not None and not self._is_told:
            with contextlib.suppress(asyncio.QueueFull):
                self._inbox.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
                self._is_told = True

    def disconnect_event(self) -> Message | None:
        """The event that tells of the end; None before it was closed from outside."""
        if not self.is_ended:
            return None
        state = self._transport.state
        return {"type": "websocket.disconnect", "code": state.close_code, "reason": state.close_reason}
