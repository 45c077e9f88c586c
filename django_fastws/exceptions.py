"""Every error that a handler or a caller of this package may see.

    WebSocketError(Exception)
    ├── WebSocketConnectionError(WebSocketError, ConnectionError)  refused, lost, timed out; on either end
    │   └── WebSocketDisconnect                                    .code .reason
    ├── WebSocketException                                         .code .reason: raised, it closes the socket
    │   └── Reconnect                                              .delay: and an outbound route connects again
    ├── WebSocketStateError(WebSocketError, RuntimeError)          a call in the wrong state; says the remedy
    ├── MessageTooBig(WebSocketError, ValueError)                  .size .limit, in bytes
    ├── InvalidMessage(WebSocketError, ValueError)                 .errors .fields: a message that does not fit
    ├── HistoryUnavailable(WebSocketError, LookupError)            a room whose history is asked for keeps none
    ├── PresenceUnavailable(WebSocketError, LookupError)           the channel layer keeps nothing of who is present
    └── LiveError                                                  .code .message .fields .retry_after: of an event
    RouteError(TypeError, ValueError)                              .kind: a route that cannot be, where it is declared

Errors of the libraries underneath never reach a handler: they arrive as one of these, with the original as
``__cause__`` where there is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

__all__ = [
    "HistoryUnavailable",
    "InvalidMessage",
    "LiveError",
    "MessageTooBig",
    "PresenceUnavailable",
    "Reconnect",
    "RouteError",
    "WebSocketConnectionError",
    "WebSocketDisconnect",
    "WebSocketError",
    "WebSocketException",
    "WebSocketStateError",
]


class WebSocketError(Exception):
    """The root of every error of this package."""


class WebSocketConnectionError(WebSocketError, ConnectionError):
    """A connection was refused, lost or timed out: a peer's, or that of the channel layer."""


class WebSocketDisconnect(WebSocketConnectionError):
    """The socket is closed, by either end.

    A handler need not catch it: one that gets out of the handler ends it quietly.

    Args:
        code: the close code (RFC 6455 section 7.4); 1005 where the peer gave none, 1006 for a cut connection.
        reason: the close reason, empty where there is none.
        call: the call that found the socket closed, for the text of the error.
    """

    def __init__(self, code: int = 1000, reason: str = "", *, call: str = "") -> None:
        # ConnectionError is an OSError: two positional arguments would become its errno and strerror.
        super().__init__()
        self.code = code
        self.reason = reason
        self.call = call

    def __str__(self) -> str:
        closed = f"the connection is closed ({self.code}{' ' + self.reason if self.reason else ''})"
        return f"cannot call {self.call}(): {closed}" if self.call else closed

    def __repr__(self) -> str:
        return f"WebSocketDisconnect(code={self.code}, reason={self.reason!r})"


class WebSocketException(WebSocketError):
    """Raise it in a handler, and the socket closes with its code and reason.

    Raised before ``accept()``, it denies the handshake with HTTP 403.

    Args:
        code: a close code that a server may send: 1000-1003, 1007-1014 or 3000-4999.
        reason: at most 123 bytes of UTF-8 (RFC 6455 section 5.5.1).
    Raises:
        ValueError: the code or the reason cannot be sent.
    """

    def __init__(self, code: int = 1008, reason: str | None = "") -> None:
        check_close(code, reason or "")
        super().__init__(code, reason or "")
        self.code = code
        self.reason = reason or ""

    def __str__(self) -> str:
        return f"{self.code} {self.reason}".rstrip()


class Reconnect(WebSocketException):
    """Raise it in the handler of an outbound route, and the connection is closed and made again.

    It is planned, so it is no failure: it needs no ``reconnect=True``, and ``max_retries`` does not count it. In the
    handler of a socket that came in it closes the socket, as any ``WebSocketException``.

    Args:
        delay: seconds until the next attempt; None waits as after a lost connection, longer each time.
        code: what the connection is closed with, if it is open.
        reason: at most 123 bytes of UTF-8.
    Raises:
        ValueError: the delay is no number of seconds from 0, or the code or the reason cannot be sent.
    """

    def __init__(self, delay: float | None = None, *, code: int = 1000, reason: str = "") -> None:
        is_number = isinstance(delay, (int, float)) and not isinstance(delay, bool)
        if delay is not None and not (is_number and 0 <= delay < float("inf")):
            raise ValueError(f"delay={delay!r} is neither a number of seconds from 0 nor None")
        super().__init__(code, reason)
        self.delay = delay


class WebSocketStateError(WebSocketError, RuntimeError):
    """A call that the connection's state does not allow; the text says what to do instead."""


class MessageTooBig(WebSocketError, ValueError):
    """A message is over ``FASTWS_MAX_MESSAGE_BYTES``. Nothing was sent.

    Args:
        size: of the encoded message, in bytes.
        limit: the largest allowed size, in bytes.
    """

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(size, limit)
        self.size = size
        self.limit = limit

    def __str__(self) -> str:
        return (
            f"the message has {self.size} bytes, and the limit is {self.limit}: "
            "send less at a time, or raise FASTWS_MAX_MESSAGE_BYTES"
        )


class InvalidMessage(WebSocketError, ValueError):
    """A message that does not fit the type it was asked for as; it is gone, and the socket stays usable.

    Attributes:
        errors: the first hundred, as pydantic lists them: each a dict with "type", "loc", "msg" and "input". "input"
            is left out where there are more, and of messages over 16 KiB, which it may hold as a whole.
        fields: the same by dotted path: ``{"author.name": ["Field required"]}``; "" for the message as a whole.
    """

    def __init__(
        self, message: str, errors: Sequence[Mapping[str, Any]] = (), fields: Mapping[str, list[str]] | None = None
    ) -> None:
        super().__init__(message)
        self.errors = [dict(error) for error in errors]
        self.fields = dict(fields or {})


class HistoryUnavailable(WebSocketError, LookupError):
    """A history that is asked for and is not there: the room or the channel layer has none, or it began anew."""


class PresenceUnavailable(WebSocketError, LookupError):
    """Who is present is asked for, and the channel layer keeps nothing of that."""


class LiveError(WebSocketError):
    """Error of an event in a live room: what a call is answered with, or was answered with by the other side.

    Raised by a handler or a hook, it is the answer's error, with its code and message as they are: so they are for
    the client. Raised by ``ask()`` and by the test client, the other side has answered with it.

    Args:
        code: a word for programs: one of the protocol's, such as "forbidden" or "not_found", or one of your own.
        message: for people; it may be lazy, and is evaluated here.
        fields: messages by field: ``{"text": ["too long"]}``; nested ones by a dotted path. They may be lazy, too.
        retry_after: seconds after which it makes sense to try again.
    Raises:
        TypeError, ValueError: the code is no str or empty, the message no str, the messages of a field no list, or
            the seconds no number.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        fields: Mapping[str, Sequence[str]] | None = None,
        retry_after: float | None = None,
    ) -> None:
        if not isinstance(code, str):
            raise TypeError(f"LiveError(code={code!r}): a code is a str")
        if not hasattr(message, "encode"):  # which lazy texts have, as all methods of a str
            raise TypeError(f"LiveError(message={message!r}): a message is a str")
        if not code:
            raise ValueError("LiveError(code=''): a code is a word such as 'forbidden'")
        seconds: object = retry_after
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float, type(None))):
            raise TypeError(f"LiveError(retry_after={retry_after!r}): it is a number of seconds, or None")
        self.code, self.message = _sendable(code), _sendable(message)
        super().__init__(self.code, self.message)
        self.fields = {_sendable(name): _texts(name, messages) for name, messages in (fields or {}).items()}
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"{self.code}: {self.message}" if self.message else self.code


def _texts(name: object, messages: object) -> list[str]:
    if isinstance(messages, str) or not isinstance(messages, Iterable):
        raise TypeError(f"LiveError(fields={{{name!r}: {messages!r}}}): write a list of messages, [{messages!r}]")
    return [_sendable(message) for message in messages]


def _sendable(text: object) -> str:
    """Text as a frame can hold it: lazy ones evaluated, "?" for half of a surrogate pair, which has no UTF-8."""
    return str(text).encode("utf-8", "replace").decode()


class RouteError(TypeError, ValueError):
    """A route that cannot be: raised where it is declared, with what to write instead.

    Attributes:
        kind: the kind of mistake, by which the system check finds its id: "not-async", or "route" for any other.
    """

    def __init__(self, message: str, kind: str = "route") -> None:
        super().__init__(message)
        self.kind = kind


Error = TypeVar("Error", bound=Exception)


class PeersMistake(NamedTuple):
    """Close code and reason for what a peer has sent and the handler does not take (RFC 6455 section 7.4.1).

    Attributes:
        code: 1003 for the wrong kind, text or binary; 1007 for what is not UTF-8 or not JSON; 1008 for what does not
            fit otherwise.
        reason: which mistake it was, for the peer.
    """

    code: int
    reason: str


def peers_mistake(error: Error, code: int, reason: str) -> Error:
    """Mark an error as the peer's mistake: it has sent what the handler does not take.

    Those who catch it see an ordinary error. A handler that lets it out closes the socket with this code and reason,
    and without a traceback in the log.
    """
    vars(error)["peers_mistake"] = PeersMistake(code, reason)
    return error


def mistake_in(error: BaseException) -> PeersMistake | None:
    """The close code and reason of an error that was marked as the peer's mistake; None for any other."""
    mistake: PeersMistake | None = vars(error).get("peers_mistake")
    return mistake


_SENDABLE = frozenset({1000, 1001, 1002, 1003, *range(1007, 1015)})
#: What a close frame carries (RFC 6455 section 5.5.1).
MAX_REASON_BYTES = 123


def check_close(code: int, reason: str) -> None:
    """Check that a close frame may carry this code and reason (RFC 6455 sections 5.5.1 and 7.4).

    Raises:
        TypeError: the code is not an int, or the reason not a str.
        ValueError: the code is reserved or unknown, or the reason is longer than 123 bytes.
    """
    if type(code) is bool or not isinstance(code, int):
        raise TypeError(f"a close code is an int, not {type(code).__name__}")
    if not isinstance(reason, str):
        raise TypeError(f"a close reason is a str, not {type(reason).__name__}")
    if code not in _SENDABLE and not 3000 <= code <= 4999:
        raise ValueError(
            f"close code {code} cannot be sent: use 1000, 1001, 1002, 1003, 1007 to 1014, "
            "or 3000 to 4999 for codes of your own"
        )
    try:
        size = len(reason.encode())
    except UnicodeEncodeError as error:
        raise ValueError(f"the close reason has no UTF-8: {error}") from None
    if size > MAX_REASON_BYTES:
        raise ValueError(
            f"the close reason has {size} bytes, and a close frame carries {MAX_REASON_BYTES}: shorten it"
        )
