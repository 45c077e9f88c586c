"""TLS transport: between a client's TLS and a protocol, on a TCP connection without a socket."""

from __future__ import annotations

import ssl
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IPushProducer, ISSLTransport, ITCPTransport
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from django_fastws.server.tls_transport import TLSTransport
from django_fastws.transports import tcp_below
from tests.clients.certificates import Certificates
from tests.support.processes import HOST


class Tcp:
    """What is used of twisted.internet.tcp.Server; what was written is in ``sent``, in order."""

    offset = 0

    def __init__(self) -> None:
        self.reactor = Clock()
        self.socket = SimpleNamespace(send=self._take)
        self.dataBuffer, self._tempDataBuffer, self._tempDataLen = b"", list[bytes](), 0
        self.takes = 1 << 30  # bytes that the socket has room for
        self.sent = b""
        self.calls: list[str] = []
        self.producer: Any = None

    def _take(self, data: bytes) -> int:
        if not self.takes:
            raise BlockingIOError
        taken = data[: self.takes]
        self.takes -= len(taken)
        self.sent += taken
        self.calls.append("send")
        return len(taken)

    def write(self, data: bytes) -> None:
        self._tempDataBuffer.append(data)
        self._tempDataLen += len(data)
        self.calls.append("write")

    def flush(self) -> bytes:
        """The client takes all."""
        self.sent += b"".join(self._tempDataBuffer)
        self._tempDataBuffer, self._tempDataLen = [], 0
        sent, self.sent = self.sent, b""
        return sent

    def loseConnection(self) -> None:
        self.calls.append("lose")

    def abortConnection(self) -> None:
        self.calls.append("abort")

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self.producer = (producer, streaming)

    def unregisterProducer(self) -> None:
        self.producer = None

    def pauseProducing(self) -> None:
        self.calls.append("pause")

    def resumeProducing(self) -> None:
        self.calls.append("resume")


class Above:
    """Protocol above TLS."""

    def __init__(self) -> None:
        self.transport: Any = None
        self.received: list[bytes] = []
        self.lost: Failure | None = None

    def makeConnection(self, transport: Any) -> None:
        self.transport = transport

    def dataReceived(self, data: bytes) -> None:
        self.received.append(data)

    def connectionLost(self, reason: Failure) -> None:
        self.lost = reason


class Pair:
    """A client and the server's end of one connection."""

    def __init__(self, certificates: Certificates, alpn: tuple[str, ...] = ()) -> None:
        server, client = certificates.server(), certificates.client()
        server.num_tickets = 0
        server.set_alpn_protocols(["http/1.1"])
        if alpn:
            client.set_alpn_protocols(list(alpn))
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = client.wrap_bio(self.incoming, self.outgoing, server_hostname=HOST)
        self.above, self.tcp = Above(), Tcp()
        self.tls = TLSTransport(server, self.above)
        self.tls.makeConnection(self.tcp)

    def shake_hands(self) -> Pair:
        for _ in range(4):
            try:
                self.client.do_handshake()
            except ssl.SSLWantReadError:
                pass
            else:
                self.deliver()
                break
            self.deliver()
            self.incoming.write(self.tcp.flush())
        self.tcp.calls.clear()
        return self

    def deliver(self) -> None:
        """What the client has written comes in."""
        if self.outgoing.pending:
            self.tls.dataReceived(self.outgoing.read())

    def read(self) -> bytes:
        """What the client reads of all that was sent; None stands for the end."""
        self.incoming.write(self.tcp.flush())
        found = b""
        try:
            while part := self.client.read(1 << 16):
                found += part
        except ssl.SSLWantReadError:
            return found
        except ssl.SSLZeroReturnError:
            pass
        return found + b"|end"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def pair(certificates):
    return Pair(certificates).shake_hands()


def test_what_is_asked_of_a_transport_is_there(pair):
    tls = pair.tls
    assert all(kind.providedBy(tls) for kind in (ISSLTransport, ITCPTransport, IPushProducer))
    assert (tls.getPeerCertificate(), tls.negotiatedProtocol, pair.above.transport) == (None, None, tls)
    assert tcp_below(tls) is pair.tcp


def test_a_protocol_is_agreed_on(certificates):
    assert Pair(certificates, ("h2", "http/1.1")).shake_hands().tls.negotiatedProtocol == b"http/1.1"
    assert Pair(certificates, ("spdy",)).shake_hands().tls.negotiatedProtocol is None


def test_what_comes_in_many_records_at_once_is_handed_over_at_once(pair):
    reads: list[int] = []
    real = pair.tls._tls.read
    pair.tls._tls = SimpleNamespace(read=lambda size: reads.append(size) or real(size), write=pair.tls._tls.write)
    for number in range(4):
        pair.client.write(b"%d" % number * 100)
    pair.deliver()
    assert pair.above.received == [b"".join(b"%d" % number * 100 for number in range(4))]
    assert len(reads) == 4  # one more would raise, which costs as much as a read


@settings(max_examples=40)
@given(
    st.lists(st.binary(max_size=40_000), max_size=4),
    st.lists(st.binary(max_size=40_000), max_size=4),
    st.lists(st.integers(1, 20_000), min_size=1, max_size=8),
    st.lists(st.booleans(), min_size=4, max_size=4),
    st.integers(0, 50_000),
)
def test_all_passes_whole_and_in_order_however_it_is_cut(certificates, said, answered, cuts, at_once, room):
    pair = Pair(certificates).shake_hands()
    for data in said:
        pair.client.write(data)
    come, place = pair.outgoing.read(), 0
    while place < len(come):
        pair.tls.dataReceived(come[place : place + cuts[0]])
        place += cuts[0]
        cuts = cuts[1:] + cuts[:1]
    assert b"".join(pair.above.received) == b"".join(said)
    pair.tcp.takes = room
    for data, is_at_once in zip(answered, at_once, strict=False):
        if is_at_once:
            assert pair.tls.send_at_once(data) == len(data)
        else:
            pair.tls.write(data)
    assert pair.read() == b"".join(answered)


def test_a_message_is_one_record_and_one_write(pair):
    pair.tls.send_at_once(b"x" * 1000)
    assert (pair.tcp.calls, len(pair.tcp.sent)) == (["send"], 1000 + 22)
    assert pair.read() == b"x" * 1000
    pair.tls.writeSequence([b"a", b"b" * 998, b"c"])
    assert (pair.tcp.calls, pair.tcp._tempDataLen) == (["send", "write"], 1000 + 22)


def test_what_the_socket_does_not_take_waits_in_the_tcp_transport_encrypted(pair):
    pair.tcp.takes = 500
    pair.tls.send_at_once(b"secret" * 1000)
    pair.tls.send_at_once(b"more")
    assert pair.tcp.calls == ["send", "write", "write"]
    assert b"secret" not in b"".join(pair.tcp._tempDataBuffer)
    assert pair.read() == b"secret" * 1000 + b"more"


def test_a_socket_that_is_full_takes_nothing_and_nothing_is_lost(pair):
    pair.tcp.takes = 0
    pair.tls.send_at_once(b"x")
    assert pair.tcp.calls == ["write"]
    assert pair.read() == b"x"


# The beginning


def test_what_is_written_before_the_handshake_follows_it(certificates):
    pair = Pair(certificates)
    pair.tls.write(b"early ")
    pair.tls.write(b"words")
    pair.tls.loseConnection()
    pair.tls.write(b"late")
    assert pair.tcp.calls == []
    pair.shake_hands()
    assert pair.read() == b"early words|end"


def test_a_connection_that_is_closed_before_the_handshake_is_cut_off(certificates):
    pair = Pair(certificates)
    pair.tls.loseConnection()
    assert pair.tcp.calls == ["abort"]


def test_who_does_not_speak_tls_is_told_and_closed(certificates):
    pair = Pair(certificates)
    pair.tls.dataReceived(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert pair.tcp.calls[-1] == "lose"
    assert (pair.above.received, pair.tls.connected) == ([], False)
    pair.tls.write(b"secret")
    pair.tls.send_at_once(b"secret")
    assert b"secret" not in pair.tcp.flush()
    pair.tls.connectionLost(Failure(ConnectionDone()))
    assert pair.above.lost is not None
    assert pair.above.lost.check(ConnectionLost)


# The end


def test_a_record_that_was_changed_on_the_way_closes(pair):
    pair.client.write(b"x" * 100)
    record = bytearray(pair.outgoing.read())
    record[50] ^= 1
    pair.tls.dataReceived(bytes(record))
    assert (pair.above.received, pair.tcp.calls) == ([], ["write", "lose"])


def test_a_close_says_so_after_all_that_was_written_and_waits_for_the_answer(pair):
    pair.tls.write(b"last words")
    pair.tls.loseConnection()
    pair.tls.write(b"too late")
    pair.tls.send_at_once(b"too late")
    assert "lose" not in pair.tcp.calls
    assert pair.read() == b"last words|end"
    pair.client.unwrap()
    pair.deliver()
    assert pair.tcp.calls[-1] == "lose"
    pair.tls.connectionLost(Failure(ConnectionDone()))
    assert pair.tcp.reactor.getDelayedCalls() == []


def test_a_client_that_does_not_answer_the_end_is_cut_off_once_it_has_taken_all(pair):
    pair.tls.write(b"x" * 100_000)
    pair.tls.loseConnection()
    pair.tcp.reactor.advance(100)
    assert "abort" not in pair.tcp.calls
    pair.tcp.flush()
    pair.tcp.reactor.advance(5)
    assert pair.tcp.calls[-1] == "abort"


def test_a_client_that_ends_is_answered(pair):
    pair.client.write(b"bye")
    with pytest.raises(ssl.SSLWantReadError):
        pair.client.unwrap()
    pair.deliver()
    assert (pair.above.received, pair.tcp.calls, pair.tls.connected) == ([b"bye"], ["write", "lose"], False)
    assert pair.read() == b"|end"


def test_while_something_is_produced_a_close_waits(pair):
    pair.tls.registerProducer("producer", True)
    assert pair.tcp.producer == ("producer", True)
    pair.tls.loseConnection()
    pair.tls.write(b"the rest")
    pair.tls.unregisterProducer()
    assert pair.read() == b"the rest|end"


def test_pauses_are_the_tcp_transports(pair):
    pair.tls.pauseProducing()
    pair.tls.resumeProducing()
    assert pair.tcp.calls == ["pause", "resume"]


def test_an_end_of_tcp_is_told_once(pair):
    reason = Failure(ConnectionDone())
    pair.tls.connectionLost(reason)
    assert (pair.above.lost, pair.tls.connected) == (reason, False)
    pair.tls.send_at_once(b"x")
    assert pair.tcp.calls == []
