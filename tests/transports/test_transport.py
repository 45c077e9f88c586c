"""The interface of transports: every transport has what a WebSocket calls, with its parameters."""

import inspect

import pytest

from django_fastws.clients.websockets_transport import WebsocketsTransport
from django_fastws.transports import ASGITransport, InboundTransport, OutboundTransport, Transport
from django_fastws.transports.daphne import DaphneTransport
from django_fastws.transports.uvicorn import LegacyUvicornTransport, UvicornTransport

INBOUND = [ASGITransport, DaphneTransport, UvicornTransport, LegacyUvicornTransport]


def members(*protocols):
    return {
        name: member
        for protocol in protocols
        for name, member in vars(protocol).items()
        if not name.startswith("_") and (callable(member) or isinstance(member, property))
    }


TABLE = [
    *[(kind, name, member) for kind in INBOUND for name, member in members(Transport, InboundTransport).items()],
    *[(WebsocketsTransport, name, member) for name, member in members(Transport, OutboundTransport).items()],
]


@pytest.mark.parametrize(
    ("kind", "name", "member"), TABLE, ids=[f"{kind.__name__}-{name}" for kind, name, _ in TABLE]
)
def test_a_transport_has_every_member_of_its_interface(kind, name, member):
    if not callable(member):
        assert hasattr(kind, name) or name in inspect.getsource(kind.__init__)
        return
    own = getattr(kind, name)
    assert inspect.iscoroutinefunction(own) == inspect.iscoroutinefunction(member)
    inspect.signature(own).bind(*inspect.signature(member).parameters)


def test_only_a_transport_of_a_socket_that_came_in_denies():
    assert all(hasattr(kind, "deny") for kind in INBOUND)
    assert not hasattr(WebsocketsTransport, "deny")
