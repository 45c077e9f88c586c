"""Members of only one end: each raises on a socket of the other end, and says which end has it."""

import inspect

import pytest

from django_fastws import WebSocketStateError
from django_fastws.websocket import InboundWebSocket, OutboundWebSocket
from django_fastws.websocket.one_end import OneEndMembers
from tests.websocket.outgoing import OutgoingTransport

CAME_IN = ["scope", "path_params", "query_params", "cookies", "user", "session", "client", "rooms", "dropped"]
CAME_IN_CALLS = {"join": ("room",), "leave": ("room",), "broadcast": ("room", "x")}
WENT_OUT = ["attempt", "latency", "fencing_token"]


def test_these_are_all_there_are():
    declared = {name for name in vars(OneEndMembers) if not name.startswith("__")}
    assert declared == {"accept", *CAME_IN, *CAME_IN_CALLS, *WENT_OUT}


@pytest.fixture
def went_out():
    return OutboundWebSocket(OutgoingTransport())


@pytest.mark.parametrize("name", CAME_IN)
async def test_names_of_sockets_that_come_in_raise_a_clear_error_on_one_that_went_out(went_out, name):
    with pytest.raises(WebSocketStateError, match=f"^{name} is for sockets that come in, .* went out$"):
        getattr(went_out, name)
    assert not went_out.closed


@pytest.mark.parametrize("name", CAME_IN_CALLS)
async def test_calls_of_sockets_that_come_in_raise_a_clear_error_on_one_that_went_out(went_out, name):
    with pytest.raises(WebSocketStateError, match=rf"^{name}\(\) is for sockets that come in, .* went out$"):
        await getattr(went_out, name)(*CAME_IN_CALLS[name])
    assert not went_out.closed


async def test_a_socket_that_went_out_is_open_without_accept(went_out):
    with pytest.raises(WebSocketStateError, match=r"cannot call accept\(\): .* open already"):
        await went_out.accept()
    assert not went_out.closed


@pytest.mark.parametrize("name", WENT_OUT)
async def test_names_of_sockets_that_go_out_raise_a_clear_error_on_one_that_came_in(ws, name):
    with pytest.raises(WebSocketStateError, match=f"^{name} is for sockets that go out, .* came in$"):
        getattr(ws, name)
    assert not ws.closed


@pytest.mark.parametrize("kind", [InboundWebSocket, OutboundWebSocket])
def test_users_see_the_documentation_and_the_signature_at_either_end(kind):
    assert "Join a room" in inspect.getdoc(kind.join)
    assert "round trip" in inspect.getdoc(kind.latency)
    assert inspect.iscoroutinefunction(kind.broadcast)
