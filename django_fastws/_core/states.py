"""The states of one WebSocket, and what each call does in each of them.

    CONNECTING ──accept()──▶ CONNECTED ──close()──▶ CLOSING ──▶ DISCONNECTED
        │                        │                                  ▲
        └── close() denies ──────┴── the peer closes, or is lost ───┘

The numbers are those of the browser's ``readyState``.
"""

from __future__ import annotations

from enum import Enum, IntEnum

from ..exceptions import WebSocketDisconnect, WebSocketStateError, check_close

__all__ = ["ClientState", "Closing", "Connection"]


class ClientState(IntEnum):
    """The state of a WebSocket, with the numbers of the browser's ``readyState``."""

    CONNECTING = 0
    CONNECTED = 1
    CLOSING = 2
    DISCONNECTED = 3


class Closing(Enum):
    """What a call of ``close()`` asks the transport to do."""

    NOTHING = 0
    DENY = 1
    CLOSE = 2


_WORDS = {
    ClientState.CONNECTING: "connecting",
    ClientState.CONNECTED: "open",
    ClientState.CLOSING: "closing",
    ClientState.DISCONNECTED: "closed",
}


class Connection:
    """The state of one WebSocket. It does no I/O: callers ask it, then act, then tell it what happened.

    Attributes:
        state: where the connection stands.
        close_code: the close code once the connection is closed or closing, else None.
        close_reason: the reason that came with it, else "".
        receiving: a task waits for a message.
    """

    __slots__ = ("close_code", "close_reason", "receiving", "state")

    def __init__(self, state: ClientState = ClientState.CONNECTING) -> None:
        self.state = state
        self.close_code: int | None = None
        self.close_reason = ""
        self.receiving = False

    @property
    def closed(self) -> bool:
        """Whether the connection is closed, or its close frame is on its way."""
        return self.state >= ClientState.CLOSING

    # What a handler calls

    def accept(self) -> None:
        """The handler accepts the handshake.

        Raises:
            WebSocketStateError: it was accepted or denied before.
            WebSocketDisconnect: the peer went away meanwhile.
        """
        if self.state is ClientState.CONNECTED:
            raise WebSocketStateError(
                "cannot call accept(): the connection is open already; call accept() once, before anything else"
            )
        if self.closed:
            raise self.disconnect("accept")
        self.state = ClientState.CONNECTED

    def send(self, call: str) -> None:
        """The handler sends, pings, or joins a room; ``call`` is the name of what it called.

        Raises:
            WebSocketStateError: the connection was not accepted.
            WebSocketDisconnect: it is closed.
        """
        if self.state is not ClientState.CONNECTED:
            raise self._refusal(call)

    def start_receive(self, call: str) -> None:
        """The handler waits for a message; ``receiving`` is for the caller to reset when the wait is over.

        Raises:
            WebSocketStateError: the connection was not accepted, or another task is receiving.
            WebSocketDisconnect: it is closed.
        """
        if self.state is not ClientState.CONNECTED:
            raise self._refusal(call)
        if self.receiving:
            raise WebSocketStateError(
                f"cannot call {call}(): another task is receiving on this connection already; "
                "receive in one task and hand the messages on"
            )
        self.receiving = True

    def close(self, code: int, reason: str) -> Closing:
        """The handler closes. Closing twice, or after the peer, does nothing, as in a browser.

        Raises:
            TypeError, ValueError: the code or the reason cannot be sent.
        """
        check_close(code, reason)
        if self.closed:
            return Closing.NOTHING
        denies = self.state is ClientState.CONNECTING
        self.state = ClientState.CLOSING
        self.close_code, self.close_reason = code, reason
        return Closing.DENY if denies else Closing.CLOSE

    # What happened

    def finished(self) -> None:
        """The close that the handler asked for was carried out."""
        self.state = ClientState.DISCONNECTED

    def peer_closed(self, code: int, reason: str) -> None:
        """The peer closed the connection (1006: it was cut). What this end closed before keeps its code."""
        if self.close_code is None:
            self.close_code, self.close_reason = code, reason
        self.state = ClientState.DISCONNECTED

    def disconnect(self, call: str = "") -> WebSocketDisconnect:
        """The error that tells a caller how the connection was closed."""
        code = 1006 if self.close_code is None else self.close_code
        return WebSocketDisconnect(code, self.close_reason, call=call)

    def _refusal(self, call: str) -> WebSocketDisconnect | WebSocketStateError:
        if self.closed:
            return self.disconnect(call)
        return WebSocketStateError(
            f"cannot call {call}(): the connection is {_WORDS[self.state]}, not open; call accept() first"
        )
