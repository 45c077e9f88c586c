"""HTTP requests: daphne's, with bodies that are bounded and fed to the application in pieces."""

from __future__ import annotations

import logging
import time
from io import BytesIO
from typing import Any

from daphne.http_protocol import WebRequest
from twisted.internet.error import ConnectionAborted
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers

from .._core.headers import is_token
from ..conf import conf
from ..masking import mask_path
from ..transports import release_senders
from ..types import Message, Scope
from .pending import MIN_PACE
from .protocol import WebSocketProtocol
from .request_events import RequestEvents
from .request_headers import take_headers
from .spool import Spool, SpoolFull

__all__ = ["Request"]

logger = logging.getLogger("django_fastws.server")

_HANDSHAKE_BYTES = 64 * 1024  # of the body of a handshake, which has none (RFC 6455 section 4.1)
_NO_ROOM = "Service Unavailable: there is no room for the body"

#: Content types of answers that have no end of their own.
_ENDLESS_TYPES = (b"text/event-stream", b"multipart/x-mixed-replace")

Rejection = tuple[int, str]


class Request(WebRequest):  # type: ignore[misc]
    """HTTP request, or the handshake of a WebSocket; the size and the pace of its body are limited.

    Attributes:
        body_size: how many bytes of the body have come.
        events: what the application receives; None before it runs.
        received_headers: those of its scope.
        is_event_stream: whether the answer is of a kind that has no end of its own.
        has_end: whether it has said that it has one.
        was_told: whether the application was told to end before its client has gone.
    """

    application_queue: Any
    client_addr: list[Any] | None
    content: Any
    events: RequestEvents | None = None
    body_size = 0
    received_headers: list[tuple[bytes, bytes]]
    is_event_stream = has_end = was_told = False
    _is_streaming = False

    _limit: int | None = None
    _rejection: Rejection | None = None
    _since, _body_before = 0.0, 0  # when the present time window of the body began, and what had come then

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._parsePOSTFormSubmission = False  # Twisted would read the whole of a form into memory

    # The body comes in

    def rejection_of(self, length: int | None) -> Rejection | None:
        """The rejection of a body, as status and text; None if it is taken.

        Args:
            length: as the client has declared it; None for chunks.
        """
        self._limit = limit = self._body_limit()
        if not length:
            return None
        if limit is not None and length > limit:
            return _too_large(limit)
        try:
            self.server.spools.check(length)
        except SpoolFull as full:
            return _no_room(full)
        return None

    def _body_limit(self) -> int | None:
        limit = conf.max_body_bytes
        upgrades = self.requestHeaders.getRawHeaders(b"Upgrade") or [b""]
        if upgrades[0].lower() == b"websocket":
            limit = _HANDSHAKE_BYTES if limit is None else min(limit, _HANDSHAKE_BYTES)
        return limit

    def gotLength(self, length: int | None) -> None:
        """Make the spool for a body of that length."""
        if self.content is not None:
            self.content.close()
        self.content = BytesIO() if length == 0 else Spool(self.server.spools)
        if self._is_multiplexed:
            self._rejection = self.rejection_of(length)
            self._since = time.monotonic()
            self.server.pending.begin(self, None)

    def handleContentChunk(self, data: bytes) -> None:
        """Take a part of the body, or reject the request."""
        if self._rejection is not None or self.finished:
            return
        if self._limit is not None and self.body_size + len(data) > self._limit:
            self._reject(_too_large(self._limit))
            return
        try:
            self.content.write(data)
        except SpoolFull as full:
            self._reject(_no_room(full))
        except OSError as error:
            logger.error("Could not keep the body of a request: %s", error)
            self._reject((503, _NO_ROOM))
        else:
            self.body_size += len(data)

    @property
    def _is_multiplexed(self) -> bool:
        """Whether this is HTTP/2, where a request shares its connection with others."""
        return not hasattr(self.channel, "reject")

    def _reject(self, rejection: Rejection) -> None:
        self._rejection = rejection
        self.content.close()
        self.content = BytesIO()  # of HTTP/2, which is answered when the client is done
        if not self._is_multiplexed:
            self.channel.reject(*rejection)

    def answer_rejection(self, status: int, text: str) -> None:
        """Reject the request: answer in place of the application, which is not asked."""
        if self.content is not None:
            self.content.close()
        self.request_start = getattr(self, "request_start", None) or time.time()
        if self.client_addr is None and hasattr(self.client, "host"):
            self.client_addr = [str(self.client.host), self.client.port]
        body = text.encode()
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body))]
        if status == 503:
            headers.append((b"retry-after", b"10"))
        if not self._is_multiplexed:
            headers.append((b"connection", b"close"))
        self.handle_reply({"type": "http.response.start", "status": status, "headers": headers})
        self.code_message = text.partition(":")[0].encode()  # Twisted's phrases are those of 1999
        self.handle_reply({"type": "http.response.body", "body": body})

    def check_pace(self, now: float, timeout: float) -> None:
        """End a request of HTTP/2 whose body does not keep a minimum pace."""
        if now - self._since >= timeout:
            if self.body_size - self._body_before < MIN_PACE * timeout:
                self.evict()
            else:
                self._since, self._body_before = now, self.body_size

    def evict(self) -> None:
        """End a request of HTTP/2, without an answer."""
        self.server.pending.end(self)
        self.channel.abortConnection()  # which is its stream, and tells it nothing
        if not self._disconnected:
            self.connectionLost(Failure(ConnectionAborted()))

    # The request is complete

    def process(self) -> Any:
        """Hand it to the application, or over to a WebSocket protocol."""
        self.server.pending.end(self)
        if self._is_multiplexed and not is_token(self.method.decode("latin-1")):
            # Twisted looks at methods of HTTP/1 alone.
            self._rejection = 400, "Bad Request: the method is malformed"
        if self._rejection is not None:
            return self.answer_rejection(*self._rejection)
        channel, transport = self.channel, self.transport  # which are gone afterwards
        self.received_headers = take_headers(self.requestHeaders)
        factory = self.server.ws_factory
        factory.received_headers = self.received_headers  # for the protocol that is made in here, if one is
        done = super().process()
        factory.received_headers = ()
        if self.events is not None:
            self.application_queue = self.events
        protocol = getattr(transport, "wrappedProtocol", None) or getattr(transport, "protocol", None)
        if isinstance(protocol, WebSocketProtocol):
            # The channel would keep what has come together with the handshake for the next request.
            channel.rawDataReceived = protocol.dataReceived
            channel.requests.clear()  # a cycle, which reference counts do not free
        return done

    def complete_scope(self, scope: Scope) -> None:
        """Put into daphne's scope the headers as they came, and a path without scheme and host."""
        scope["headers"] = self.received_headers
        if not scope["path"].startswith("/"):
            # A request may be for a whole URL (RFC 9112 section 3.2.2).
            for name, colon, slash in (("path", "://", "/"), ("raw_path", b"://", b"/")):
                value: Any = scope.get(name)
                if value and colon in value:
                    scope[name] = slash + value.partition(colon)[2].partition(slash)[2]

    def open_events(self) -> RequestEvents:
        """Make the queue that the application receives from.

        The caller gives daphne no queue: it would read the body into that.
        """
        self.events = RequestEvents(self.content, self.body_size)
        return self.events

    # The answer

    def handle_reply(self, message: Message) -> None:
        """Take one message of the application."""
        super().handle_reply(message)
        if message["type"] == "http.response.start":
            self._note_headers(message.get("headers") or ())
        elif message.get("more_body"):
            self._is_streaming = True

    def _note_headers(self, headers: Any) -> None:
        values = {bytes(name).lower(): bytes(value) for name, value in headers}
        self.is_event_stream = values.get(b"content-type", b"").lower().startswith(_ENDLESS_TYPES)
        self.has_end = b"content-length" in values or b"content-disposition" in values

    @property
    def can_be_told(self) -> bool:
        """Whether the answer is streamed, and the application waits for the disconnect, which it was not told yet."""
        return (
            self._is_streaming
            and not self.was_told
            and not self.finished
            and self.events is not None
            and self.events.is_waited_for
        )

    def tell_disconnect(self) -> None:
        """Tell the application that its client has gone, so that it ends."""
        if self.events is not None and not self.was_told:
            self.was_told = True
            self.events.put_nowait({"type": "http.disconnect"})

    def application_ended(self, *, failed: bool) -> None:
        """Answer for an application that has returned, or failed, before its answer was complete."""
        if self.startedWriting:
            if not self.finished:
                self._end_answer()
            return
        if not failed:
            logger.error("The application has returned without an answer on %.200r", mask_path(self.path))
        self._response_started = False  # nothing of it was sent
        self.responseHeaders = Headers()
        self.basic_error(500, b"Internal Server Error", "Exception inside application.")

    def _end_answer(self) -> None:
        """Complete or cut an answer that its application has begun and left."""
        if self.was_told and self.is_event_stream:
            self.handle_reply({"type": "http.response.body"})  # any event may be the last
        else:
            # Half of an answer must not look like the whole.
            self.transport.abortConnection()

    def connectionLost(self, reason: Any) -> None:
        self.server.pending.end(self)
        super().connectionLost(reason)

    def finish(self) -> None:
        release_senders(self)
        super().finish()


def _too_large(limit: int) -> Rejection:
    return 413, f"Content Too Large: the body is over {limit} bytes"


def _no_room(full: SpoolFull) -> Rejection:
    return (413, "Content Too Large: there is no room for the body") if full.is_alone else (503, _NO_ROOM)
