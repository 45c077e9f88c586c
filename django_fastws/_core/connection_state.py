"""State of one WebSocket: what each call may do in each state, and which close code and reason the connection has.

    CONNECTING ──accept()──▶ CONNECTED ──close()──▶ CLOSING ──▶ DISCONNECTED
        │                        │                                  ▲
        └── close() denies ──────┴── the peer closes, or is lost ───┘

The numbers are those of the browser's ``readyState``.
"""

from __future__ import annotations

import uuid
from enum import Enum, IntEnum

from ..exceptions import WebSocketDisconnect, WebSocketStateError, check_close

__all__ = ["ClientState", "Closing", "ConnectionState"]


class ClientState(IntEnum):
    """The state of a WebSocket, with the numbers of the browser's ``readyState``."""

    CONNECTING = 0
    CONNECTED = 1
    CLOSING = 2
    DISCONNECTED = 3


class Closing(Enum):
    """Action that a call of ``close()`` asks of the transport."""

    NOTHING = 0
    DENY = 1
    CLOSE = 2


_WORDS = {
    ClientState.CONNECTING: "connecting",
    ClientState.CONNECTED: "open",
    ClientState.CLOSING: "closing",
    ClientState.DISCONNECTED: "closed",
}


#: With which servers close by themselves: broken frames, bad UTF-8, too large a message, a restart.
_CODES_OF_SERVERS = frozenset({1002, 1007, 1009, 1012})


class ConnectionState:
    """State of one WebSocket connection and how it was closed: the one owner, whichever side finds out first.

    It does no I/O: callers ask it, then act, then tell it what happened. The close code and reason are those of
    the end that closed first; what is told later changes nothing.

    A connection has two ends in time. Once ``is_over``, nothing can be sent any more; yet there may be messages that
    the handler has not received, and only behind them it is ``DISCONNECTED``.

    Attributes:
        client_state: where the connection stands for its handler.
        close_code: the close code once the connection is closed or closing, or that is decided; else None.
        close_reason: the reason that came with it, else "".
        is_over: whether it is closed, or this end's close was sent: nothing can be sent any more.
        closed_here: whether this end has closed it while it was open.
        is_accepted: whether the handshake was accepted, as far as the transport knows.
        is_denied: whether it was denied by what this transport was given to send.
        is_answered: whether it was accepted or denied.
        is_receiving: whether a task waits for a message.
        send_error: what the server raised when it was given something to send, and the connection was closed already.
        close_error: why the server did not close, though it was told to: that is left to the end of the application.
        route: the route that serves it, as metrics and the log have it; "" before that is known.
    """

    __slots__ = (
        "client_state",
        "close_code",
        "close_error",
        "close_reason",
        "closed_here",
        "id",
        "is_accepted",
        "is_answered",
        "is_denied",
        "is_over",
        "is_receiving",
        "route",
        "send_error",
    )

    def __init__(self, client_state: ClientState = ClientState.CONNECTING, *, is_answered: bool = False) -> None:
        self.client_state = client_state
        self.close_code: int | None = None
        self.close_reason = ""
        self.is_over = False
        self.closed_here = False
        self.is_accepted = False
        self.is_denied = False
        self.is_answered = is_answered
        self.is_receiving = False
        self.send_error: OSError | None = None
        self.close_error: Exception | None = None
        self.id: str | None = None
        self.route = ""

    def made_id(self) -> str:
        """Id of the connection, unique in the whole cluster and not to be guessed; made when it is asked for."""
        if self.id is None:
            self.id = uuid.uuid4().hex
        return self.id

    @property
    def is_closed(self) -> bool:
        """Whether the connection is closed for its handler, or its close frame is on its way."""
        return self.client_state >= ClientState.CLOSING

    @property
    def closed_by(self) -> str:
        """Which end has closed a connection that came in: "client", also of one that was cut, or "server".

        What a server closes by itself, its application learns as if the client had done it; but for the codes.
        """
        return "server" if self.closed_here or self.close_code in _CODES_OF_SERVERS else "client"

    @property
    def status(self) -> tuple[int, str] | None:
        """Close code and reason of a connection that ``is_over``; None before."""
        return (1006 if self.close_code is None else self.close_code, self.close_reason) if self.is_over else None

    # What a handler calls

    def accept(self) -> None:
        """The handler accepts the handshake.

        Raises:
            WebSocketStateError: it was accepted or denied before.
            WebSocketDisconnect: the peer went away meanwhile.
        """
        if self.client_state is ClientState.CONNECTED:
            raise WebSocketStateError(
                "cannot call accept(): the connection is open already; call accept() once, before anything else"
            )
        if self.is_closed:
            raise self.disconnect("accept")
        self.client_state = ClientState.CONNECTED

    def send(self, call: str) -> None:
        """The handler sends, pings, or joins a room; ``call`` is the name of what it called.

        Raises:
            WebSocketStateError: the connection was not accepted.
            WebSocketDisconnect: it is closed.
        """
        if self.client_state is not ClientState.CONNECTED:
            raise self._not_open(call)

    def start_receive(self, call: str) -> None:
        """The handler waits for a message; ``is_receiving`` is for the caller to reset when the wait is over.

        Raises:
            WebSocketStateError: the connection was not accepted, or another task is receiving.
            WebSocketDisconnect: it is closed.
        """
        if self.client_state is not ClientState.CONNECTED:
            raise self._not_open(call)
        if self.is_receiving:
            raise WebSocketStateError(
                f"cannot call {call}(): another task is receiving on this connection already; "
                "receive in one task and hand the messages on"
            )
        self.is_receiving = True

    def close(self, code: int, reason: str) -> Closing:
        """The handler closes. Closing twice, or after the peer, does nothing, as in a browser.

        Raises:
            TypeError, ValueError: the code or the reason cannot be sent.
        """
        check_close(code, reason)
        if self.is_closed:
            return Closing.NOTHING
        denies = self.client_state is ClientState.CONNECTING
        self.client_state = ClientState.CLOSING
        self.decide(code, reason)
        return Closing.DENY if denies else Closing.CLOSE

    # What happened

    def decide(self, code: int, reason: str) -> None:
        """Set the close status, unless there is one: somebody closes the connection with it, now or soon."""
        if self.close_code is None:
            self.close_code, self.close_reason = code, reason

    def finished(self) -> None:
        """The close that the handler asked for was carried out."""
        self.client_state = ClientState.DISCONNECTED

    def end(self, code: int, reason: str) -> None:
        """End of the connection: nothing can be sent any more. A close status that was set before stays."""
        self.decide(code, reason)
        self.is_over = True

    def end_here(self, code: int, reason: str) -> None:
        """This end has closed the connection, unless it had ended before."""
        self.closed_here = self.closed_here or not self.is_over
        self.end(code, reason)

    def received_all(self, code: int, reason: str) -> None:
        """The connection has ended with this status (1006: it was cut), and its handler has received all of it."""
        self.end(code, reason)
        self.client_state = ClientState.DISCONNECTED

    def disconnect(self, call: str = "") -> WebSocketDisconnect:
        """The error that tells a caller how the connection was closed."""
        code = 1006 if self.close_code is None else self.close_code
        return WebSocketDisconnect(code, self.close_reason, call=call)

    def _not_open(self, call: str) -> WebSocketDisconnect | WebSocketStateError:
        if self.is_closed:
            return self.disconnect(call)
        return WebSocketStateError(
            f"cannot call {call}(): the connection is {_WORDS[self.client_state]}, not open; call accept() first"
        )
