"""HTTP/1.1 channel: Twisted's, with limits for requests that come in slowly, or too large."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from daphne.server import reactor
from twisted.internet.error import ConnectionDone
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel, _GenericHTTPChannelProtocol

from .._core.request_head import RequestHead, read_request_head
from ..transports import tcp_below
from .pending import MIN_PACE, PendingRequests

__all__ = ["Channel", "NegotiatingChannel"]

_LINGER_SECONDS = 5.0  # in which a client that was rejected may read the answer, before it is cut off
_LINGER_TLS_SECONDS = 1.0  # TLS has no half-closed connections
#: Bytes of chunk headers, extensions and trailers that are taken beside the body, and for each of its bytes. A
#: chunk of one byte has five of them.
_OVERHEAD, _OVERHEAD_PER_BYTE = 64 * 1024, 8

_RAW_ANSWERS = {400: b"Bad Request", 408: b"Request Timeout"}


class Channel(HTTPChannel):  # type: ignore[misc]
    """HTTP/1.1 connection with a timeout for heads, a minimum pace for bodies and limits of size.

    Args:
        pending: where it is kept while a request comes in.
        counts_address: whether its client's address stands for one client.
    """

    requests: list[Any]
    length: int | None
    persistent: Any

    def __init__(self, pending: PendingRequests, *, counts_address: bool) -> None:
        super().__init__()
        self._pending = pending
        self._counts_address = counts_address
        self._is_arriving = self._is_in_body = self._is_rejected = False
        self._is_new = True  # nothing has come yet
        self._has_received = False  # anything of the request that comes in
        self._raw_size = 0  # bytes of its body, in whatever form they came
        self._since = 0.0  # when its head, or the present time window of its body, began
        self._body_before = 0  # bytes of the body that had come when the window began
        self._linger_call: Any = None

    # A request comes in

    def connectionMade(self) -> None:
        super().connectionMade()
        self._begin()

    def connectionLost(self, reason: Any) -> None:
        self.leave()
        if self._linger_call is not None:
            self._linger_call.cancel()
            self._linger_call = None
        super().connectionLost(reason)

    def _begin(self) -> None:
        self._is_arriving, self._is_in_body = True, False
        self._has_received, self._since = False, time.monotonic()
        host = getattr(self.transport.getPeer(), "host", None) if self._counts_address else None
        self._pending.begin(self, host)

    def leave(self) -> None:
        """End the pending request: nothing more of one comes in on this connection."""
        self._is_arriving = False
        self._pending.end(self)

    def dataReceived(self, data: bytes) -> None:
        if self._is_rejected:
            return
        if self._is_new:
            self._is_new = False
            if (head := read_request_head(data)) is not None:
                self._hand_over(head, data[head.size :])
                return
        if not self._is_arriving and not self._handlingRequest:
            self._begin()
        if not self._has_received:
            self._has_received, self._since = True, time.monotonic()
        super().dataReceived(data)

    def _hand_over(self, head: RequestHead, early: bytes) -> None:
        """Hand the connection over to a WebSocket protocol, as daphne's request does, without making one."""
        self.leave()
        self.setTimeout(None)
        transport = self.transport
        protocol = self.factory.server.ws_factory.buildProtocol(transport.getPeer())
        if isinstance(transport, ProtocolWrapper):  # as of the PROXY protocol
            transport.wrappedProtocol = protocol
        else:
            transport.protocol = protocol
        protocol.makeConnection(transport)
        protocol.begin(head, early)

    def lineReceived(self, line: bytes) -> None:
        if self._is_rejected:
            return
        if line.startswith((b" ", b"\t")):
            # A folded header (RFC 9112 section 5.2). A proxy that takes the line for a header of its own sees the
            # body end elsewhere, if it says Content-Length.
            self._answer_raw(400)
        else:
            super().lineReceived(line)

    def allHeadersReceived(self) -> None:
        request = self.requests[-1]
        codings = request.requestHeaders.getRawHeaders(b"transfer-encoding", [])
        if codings and [coding.lower() for coding in codings] != [b"chunked"]:
            # Twisted passes over "identity": beside Content-Length, and behind "chunked", which then does not say
            # where the body ends (RFC 9112 section 6.3).
            self.length = None  # or Twisted would take the request for complete
            self._answer_raw(400)
            return
        self._pending.head_ended(self)
        self._is_in_body, self._since = True, time.monotonic()
        self._raw_size = self._body_before = 0
        rejection = request.rejection_of(self.length)
        if rejection is None:
            super().allHeadersReceived()
        else:
            self.length = None  # or Twisted would take the request for complete
            self.reject(*rejection)

    def rawDataReceived(self, data: bytes) -> None:
        if self._is_rejected:
            return
        self._raw_size += len(data)
        super().rawDataReceived(data)
        if self._is_arriving and self._is_in_body and not self._is_rejected:
            body = self.requests[-1].body_size
            if self._raw_size - body > _OVERHEAD + _OVERHEAD_PER_BYTE * body:
                self.reject(400, "Bad Request: the chunks of the body are mostly headers")

    def _finishRequestBody(self, data: bytes) -> None:
        if not self._is_rejected:
            super()._finishRequestBody(data)

    def allContentReceived(self) -> None:
        self.leave()
        super().allContentReceived()

    # Giving up

    def check_pace(self, now: float, timeout: float) -> None:
        """Reject a head that is not complete after so many seconds, and a body that does not keep a minimum pace."""
        if now - self._since < timeout:
            return
        if not self._is_in_body:
            if self._has_received:
                self._answer_raw(408)
            else:
                self.evict()
            return
        body = self.requests[-1].body_size
        if body - self._body_before < MIN_PACE * timeout:
            self.reject(408, "Request Timeout: the body comes too slowly")
        else:
            self._since, self._body_before = now, body

    def evict(self) -> None:
        """Close without an answer."""
        self.leave()
        self._is_rejected = True
        self.transport.abortConnection()

    def reject(self, status: int, text: str) -> None:
        """Answer the request whose body comes in, read no more of it, and close."""
        self._give_up()
        request = self.requests[-1]
        request.method, request.uri, request.clientproto = self._command, self._path, self._version
        request.answer_rejection(status, text)  # which ends with loseConnection()

    def _respondToBadRequestAndDisconnect(self) -> None:
        self._answer_raw(400)

    def _answer_raw(self, status: int) -> None:
        """Answer a request whose head is malformed or did not come."""
        if self._is_rejected:
            return
        self._give_up()
        requests, self.requests = self.requests, []
        for request in requests:
            request.connectionLost(Failure(ConnectionDone()))
        self.transport.write(
            b"HTTP/1.1 %d %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % (status, _RAW_ANSWERS[status])
        )
        self.loseConnection()

    def _give_up(self) -> None:
        self.leave()
        self._is_rejected, self.persistent = True, 0
        self.setTimeout(None)

    def loseConnection(self) -> None:
        """Close the connection; behind a rejection so that the client gets to read it.

        Closing while the client still sends would answer it with a reset, which takes the answer with it.
        """
        if not self._is_rejected:
            super().loseConnection()
            return
        if self._linger_call is not None:
            return
        self._networkProducer.unregisterProducer()
        self._networkProducer.resumeProducing()
        is_tls = tcp_below(self.transport) is not self.transport
        if not is_tls:
            self.transport.loseWriteConnection()
        self._linger_call = reactor.callLater(_LINGER_TLS_SECONDS if is_tls else _LINGER_SECONDS, self._end_linger)

    def _end_linger(self) -> None:
        self._linger_call = None
        self.transport.abortConnection()


class NegotiatingChannel(_GenericHTTPChannelProtocol):  # type: ignore[misc]
    """HTTP channel that becomes HTTP/2 where TLS has agreed on that (ALPN); Twisted's.

    Args:
        build: makes the HTTP/1.1 channel.
    """

    def __init__(self, build: Callable[[], Channel]) -> None:
        super().__init__(build())

    def dataReceived(self, data: bytes) -> Any:
        before = self._channel
        done = super().dataReceived(data)
        if self._channel is not before:
            before.leave()
        return done
