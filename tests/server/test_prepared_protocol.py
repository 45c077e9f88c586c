"""The class of WebSocket protocols with autobahn's state in it: what it stands for, and when it is the plain one."""

from __future__ import annotations

import gc
from collections import deque
from types import SimpleNamespace

import pytest
from daphne.ws_protocol import WebSocketFactory
from twisted.internet.address import IPv4Address
from twisted.internet.testing import StringTransport

from django_fastws._core.request_head import read_request_head
from django_fastws.server.prepared_protocol import prepared
from django_fastws.server.protocol import WebSocketProtocol
from tests.core.test_request_head import head

PEER = IPv4Address("TCP", "192.0.2.1", 4711)


class Transport(StringTransport):
    """Takes what is written, and producers of HTTP channels."""

    def unregisterProducer(self):
        self.producer = None

    def setTcpNoDelay(self, enabled):
        pass


@pytest.fixture
def server():
    """As much of a server as a handshake needs."""
    found = SimpleNamespace(root_path="", per_message_deflate=False, proxy_forwarded_address_header=None)
    found.scopes, found.lines = [], []
    found.protocol_connected = found.protocol_disconnected = lambda protocol: None
    found.log_action = lambda protocol, action, details: found.lines.append((action, details["path"]))

    def create_application(protocol, scope):
        protocol.complete_scope(scope)
        found.scopes.append(scope)
        events = []
        return SimpleNamespace(put_nowait=events.append, events=events)

    found.create_application = create_application
    return found


@pytest.fixture
def factory(server):
    made = WebSocketFactory(server, server=None)
    made.setProtocolOptions(autoPingTimeout=7, maxMessagePayloadSize=1234, openHandshakeTimeout=3)
    return made


def opened(factory, kind):
    factory.protocol = kind
    protocol = factory.buildProtocol(PEER)
    transport = Transport(peerAddress=PEER)
    protocol.makeConnection(transport)
    return protocol, transport


def test_a_connection_has_what_autobahn_would_have_set(factory):
    plain, _ = opened(factory, WebSocketProtocol)
    ours, _ = opened(factory, prepared(factory))
    unlike = {
        "peer",
        "is_open",
        "is_closed",
        "openHandshakeTimeoutCall",
        "_results",
        "_valid_events",
        "_transport_details",
    }
    alike = vars(plain).keys() - unlike - {"send_queue", "trafficStats", "utf8validator", "transport", "factory"}
    assert len(alike) > 50
    assert {name: getattr(ours, name) for name in alike} == {name: getattr(plain, name) for name in alike}
    assert {name: getattr(ours.trafficStats, name) for name in vars(plain.trafficStats)} == vars(plain.trafficStats)
    assert type(ours.utf8validator) is type(plain.utf8validator)
    assert not ours.send_queue
    assert factory.countConnections == 2
    plain.openHandshakeTimeoutCall.cancel()


HEADS = [
    head(b"/ws/gr%C3%B6%C3%9Fe;a=1/b;c?q=1;2"),
    head(b"/?", b"Origin: http://127.0.0.1:80", b"Sec-WebSocket-Protocol: one, two", b"X-Own: \xc3\xb6", b"X-Empty:"),
    head(b"/a", b"Cookie: a=1", b"Cookie: b=2", Host=b"[::1]:8000", Connection=b"keep-alive, Upgrade"),
]


@pytest.mark.parametrize(
    ("data", "answer"),
    list(zip(HEADS, [(None, {}), ("one", {}), (None, {"x-own": ["a", "b"]})], strict=True)),
    ids=range(3),
)
def test_a_head_that_is_read_at_once_opens_what_autobahn_opens(factory, server, data, answer):
    plain, their_transport = opened(factory, WebSocketProtocol)
    found = read_request_head(data)
    factory.received_headers = found.headers
    plain._raw_query_string = found.target.partition("?")[2].encode()
    plain.dataReceived(data)
    plain.handshake_deferred.callback(answer)
    ours, our_transport = opened(factory, prepared(factory))
    ours.begin(found, b"")
    ours.handshake_deferred.callback(answer)
    assert server.scopes[1] == server.scopes[0]
    assert our_transport.value() == their_transport.value()
    assert (ours.state, ours.client_addr) == (plain.STATE_OPEN, plain.client_addr)
    assert server.lines[2:] == server.lines[:2]
    assert ours.application_queue.events == plain.application_queue.events
    assert ours.websocket_protocol_in_use == plain.websocket_protocol_in_use


def test_an_autobahn_that_sets_something_else_has_the_plain_class(factory, monkeypatch):
    original = WebSocketProtocol._connectionMade

    def sets_more(self):
        original(self)
        self.something = []

    monkeypatch.setattr(WebSocketProtocol, "_connectionMade", sets_more, raising=False)
    assert prepared(factory) is WebSocketProtocol


def test_a_connection_has_no_dictionary_of_its_own(factory):
    kind, found = prepared(factory), read_request_head(HEADS[0])
    protocols = [opened(factory, kind)[0] for _ in range(50)]  # all of them before the first is open
    for protocol in protocols:
        protocol.begin(found, b"")
    for protocol in protocols:
        protocol.handshake_deferred.callback((None, {}))
    assert [one for one in gc.get_referents(protocols[-1]) if isinstance(one, dict) and "factory" in one] == []
    assert len(vars(protocols[-1])) < 25


def test_what_is_sent_in_pieces_has_a_queue_of_its_own(factory):
    kind = prepared(factory)
    (one, _), (other, _) = opened(factory, kind), opened(factory, kind)
    one.sendData(b"abcdef", chopsize=2)
    assert isinstance(one.send_queue, deque)
    assert not other.send_queue
