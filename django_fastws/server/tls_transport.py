"""TLS transport: Python's ``ssl`` between a TCP transport of Twisted's and the protocol above it.

Twisted's own takes pyOpenSSL's way for every read and every write, which costs several times as much.
"""

from __future__ import annotations

import contextlib
import ssl
from typing import Any

from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IConsumer, INegotiated, IPushProducer
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure
from zope.interface import implementer

from ..transports import unsent_bytes

__all__ = ["TLSFactory", "TLSTransport"]

_RECORD_BYTES = 16 * 1024  # the most that a record carries (RFC 8446 section 5.1)
_CLOSE_SECONDS = 5.0  # for a client that has taken all to answer the end of TLS, before it is cut off


@implementer(INegotiated, IPushProducer, IConsumer)
class TLSTransport:
    """TLS of one connection: protocol of the TCP transport, and transport of the protocol above it.

    Once the handshake is over it holds nothing itself: what is written is encrypted at once, and lies in the TCP
    transport until the client takes it. So what limits that transport limits this one.

    Args:
        context: of the server.
        protocol: the protocol above; daphne puts another in its place.

    Attributes:
        transport: the TCP transport.
        connected: whether it is, and this one has not failed.
        disconnecting: whether it is being closed; what is written then is dropped.
    """

    __slots__ = (
        "_closing",
        "_early",
        "_has_producer",
        "_incoming",
        "_is_secure",
        "_outgoing",
        "_reason",
        "_tls",
        "connected",
        "disconnecting",
        "protocol",
        "transport",
    )

    def __init__(self, context: ssl.SSLContext, protocol: Any) -> None:
        self.protocol = protocol
        self.transport: Any = None
        self.connected = self.disconnecting = False
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._is_secure = self._has_producer = False
        #: What was written before the end of the handshake.
        self._early: list[bytes] = []
        self._reason: Failure | None = None
        self._closing: Any = None

    # The protocol of the TCP transport

    def makeConnection(self, transport: Any) -> None:
        """The TCP connection is open; the client begins the handshake."""
        self.transport, self.connected = transport, True
        self.protocol.makeConnection(self)

    def dataReceived(self, data: bytes) -> None:
        """Decrypt what has come, and hand all of it over at once."""
        self._incoming.write(data)
        if not self._is_secure and not self._shake_hands():
            return
        received, has_ended = self._decrypt()
        if received and self.connected:
            self.protocol.dataReceived(received)
        if self._outgoing.pending:  # an answer to a change of keys
            self._flush()
        if has_ended and self.connected:
            self._end()

    def connectionLost(self, reason: Failure) -> None:
        """The TCP connection is over."""
        self.connected = False
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None
        protocol, self.protocol = self.protocol, None
        protocol.connectionLost(self._reason or reason)

    def _shake_hands(self) -> bool:
        """Go on with the handshake; whether it is complete."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return False
        except ssl.SSLError as error:
            self._fail(error)
            return False
        self._is_secure = True
        self._flush()
        early, self._early = self._early, []
        for data in early:
            self._write(data)
        if self.disconnecting and not self._has_producer:
            self._close()
        return True

    def _decrypt(self) -> tuple[bytes, bool]:
        """What has come, decrypted, and whether the client has said that nothing follows."""
        read, incoming = self._tls.read, self._incoming
        pieces: list[bytes] = []
        try:
            while incoming.pending:
                piece = read(_RECORD_BYTES)
                if not piece:
                    return b"".join(pieces), True
                pieces.append(piece)
        except ssl.SSLWantReadError:  # a part of a record, or none of the application's
            pass
        except ssl.SSLZeroReturnError:  # the end, which this side had said before
            return b"".join(pieces), True
        except ssl.SSLError as error:
            self._fail(error)
        return (pieces[0] if len(pieces) == 1 else b"".join(pieces)), False

    def _flush(self) -> None:
        """Hand what is encrypted to the TCP transport."""
        sealed = self._outgoing.read()
        if sealed:
            self.transport.write(sealed)

    def _fail(self, error: ssl.SSLError) -> None:
        """Close because of an error of TLS; the client is told which."""
        self._reason = Failure(ConnectionLost(str(error)))
        self.connected = False
        self._flush()
        self.transport.loseConnection()

    # The transport of the protocol above

    def write(self, data: bytes) -> None:
        """Send, together with what else is sent in this turn of the reactor."""
        if self.connected and (not self.disconnecting or self._has_producer):
            if self._is_secure:
                self._write(data)
            else:
                self._early.append(data)

    def writeSequence(self, pieces: Any) -> None:
        """Send several pieces, as one."""
        self.write(b"".join(pieces))

    def _write(self, data: bytes) -> None:
        try:
            self._tls.write(data)
        except ssl.SSLError as error:
            self._fail(error)
        else:
            self._flush()

    def send_at_once(self, data: bytes) -> int:
        """Send at once, as far as the socket takes it; the TCP transport keeps the rest.

        For frames of a WebSocket that is open: the reactor is not asked whether the socket is ready.

        Returns:
            The size of the data, all of which is taken.
        """
        if not self.connected or self.disconnecting:
            return len(data)
        try:
            self._tls.write(data)
        except ssl.SSLError as error:
            self._fail(error)
            return len(data)
        sealed, tcp = self._outgoing.read(), self.transport
        sent = 0
        if not tcp.dataBuffer and not tcp._tempDataBuffer:
            with contextlib.suppress(OSError):  # it is full; or broken, which Twisted finds out
                sent = tcp.socket.send(sealed)
        if sent != len(sealed):
            tcp.write(sealed[sent:])
        return len(data)

    def loseConnection(self) -> None:
        """Close, after all that was written: first TLS, and the TCP connection when the client has answered that."""
        if self.disconnecting or not self.connected:
            return
        self.disconnecting = True
        if not self._is_secure:
            if not self._early:  # nobody waits for the handshake
                self.abortConnection()
        elif not self._has_producer:
            self._close()

    def loseWriteConnection(self) -> None:
        """Close: TLS has no connections that are half open."""
        self.loseConnection()

    def _close(self) -> None:
        """Say that nothing follows; the TCP connection ends when the client says so, too."""
        if self._closing is None:
            self._wait_for_end()
            if self._say_end():
                self.transport.loseConnection()

    def _end(self) -> None:
        """The client has said that nothing follows, which is answered."""
        self.disconnecting = True
        if self._closing is None:
            self._wait_for_end()
            self._say_end()
        self.connected = False
        self.transport.loseConnection()

    def _say_end(self) -> bool:
        """Say that nothing follows, once; whether the client has said so, too."""
        has_answered = False
        try:
            self._tls.unwrap()
            has_answered = True
        except ssl.SSLError:  # it has not
            pass
        self._flush()
        return has_answered

    def _wait_for_end(self) -> None:
        self._closing = self.transport.reactor.callLater(_CLOSE_SECONDS, self._give_up)

    def _give_up(self) -> None:
        """Cut the connection off, unless the client has something to take before the end of TLS."""
        if unsent_bytes(self.transport):
            self._wait_for_end()
        else:
            self._closing = None
            self.transport.abortConnection()

    def abortConnection(self) -> None:
        """Cut the connection off."""
        self.disconnecting = True
        self.transport.abortConnection()

    # Flow control, of which the TCP transport has all

    def registerProducer(self, producer: Any, streaming: bool) -> None:  # noqa: FBT001
        """Pause a producer while the TCP transport is full."""
        self._has_producer = True
        self.transport.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        """Nothing more is produced."""
        had_producer, self._has_producer = self._has_producer, False
        self.transport.unregisterProducer()
        if had_producer and self.disconnecting and self.connected and self._is_secure:
            self._close()

    def pauseProducing(self) -> None:
        """Read no more for now."""
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """Read on."""
        self.transport.resumeProducing()

    def stopProducing(self) -> None:
        """Close."""
        self.loseConnection()

    # What is asked about it

    @property
    def negotiatedProtocol(self) -> bytes | None:
        """What was agreed on by ALPN (RFC 7301); None if nothing was."""
        chosen = self._tls.selected_alpn_protocol()
        return None if chosen is None else chosen.encode()

    def getPeerCertificate(self) -> None:
        """None: clients are not asked for certificates."""

    def getHost(self) -> Any:
        """The address of this end."""
        return self.transport.getHost()

    def getPeer(self) -> Any:
        """The address of the client."""
        return self.transport.getPeer()

    def getTcpNoDelay(self) -> Any:
        """Whether small segments are sent at once."""
        return self.transport.getTcpNoDelay()

    def setTcpNoDelay(self, enabled: bool) -> None:  # noqa: FBT001
        """Send small segments at once, or not."""
        self.transport.setTcpNoDelay(enabled)

    def getTcpKeepAlive(self) -> Any:
        """Whether TCP looks if the client is there."""
        return self.transport.getTcpKeepAlive()

    def setTcpKeepAlive(self, enabled: bool) -> None:  # noqa: FBT001
        """Let TCP look if the client is there, or not."""
        self.transport.setTcpKeepAlive(enabled)


class TLSFactory(Factory):  # type: ignore[misc]
    """Factory of connections with TLS.

    Args:
        context: of the server.
        wrapped: makes the protocols above TLS.
    """

    noisy = False

    def __init__(self, context: ssl.SSLContext, wrapped: Any) -> None:
        self._context = context
        self._wrapped = wrapped

    def doStart(self) -> None:
        """A port listens."""
        self._wrapped.doStart()
        super().doStart()

    def doStop(self) -> None:
        """It does not any more."""
        super().doStop()
        self._wrapped.doStop()

    def buildProtocol(self, addr: Any) -> TLSTransport | None:
        """The TLS of one connection."""
        protocol = self._wrapped.buildProtocol(addr)
        return None if protocol is None else TLSTransport(self._context, protocol)
