"""InboundWebSocket, on a server that is not there: its handshake, and what it tells of its request."""

import pytest

from django_fastws import WebSocketStateError
from django_fastws.transports import find_transport
from django_fastws.websocket import InboundWebSocket
from tests.transports.fakes import Server


async def asked(server, **scope):
    """A socket whose handshake is not answered."""
    server.scope |= scope
    server.inbox.put_nowait({"type": "websocket.connect"})
    transport = find_transport(server.scope, server.receive, server.send)
    await transport.receive()
    return InboundWebSocket(transport)


async def test_a_subprotocol_that_was_offered_is_agreed_on(server):
    ws = await asked(server, subprotocols=["v1", "v2"])
    await ws.accept("v2", headers={"X-Node": "a"})
    assert ws.subprotocol == server.events[0]["subprotocol"] == "v2"
    assert server.events[0]["headers"] == [(b"x-node", b"a")]


@pytest.mark.parametrize(
    "answer", [{"subprotocol": "v3"}, {"headers": {"Sec-WebSocket-Protocol": "v3"}}, {"headers": {"X": "a\nb"}}]
)
async def test_an_accept_that_cannot_be_sent_raises_and_another_one_can_be(server, answer):
    ws = await asked(server, subprotocols=["v1"])
    with pytest.raises(ValueError):  # noqa: PT011 (which one is its own test)
        await ws.accept(**answer)
    assert server.events == []
    await ws.accept("v1")
    assert server.sent == ["accept"]


async def test_a_second_accept_is_an_error_of_the_handler(ws):
    with pytest.raises(WebSocketStateError, match="accept"):
        await ws.accept()


async def test_a_send_before_the_accept_is_an_error_of_the_handler(server):
    ws = await asked(server)
    with pytest.raises(WebSocketStateError, match="accept"):
        await ws.send("x")
    assert server.sent == []


async def test_a_close_before_the_accept_denies_with_403(server):
    ws = await asked(server)
    await ws.close()
    assert server.events[0]["status"] == 403
    assert ws.closed


async def test_a_close_before_the_accept_where_the_server_sends_no_denial():
    server = Server(extensions=())
    ws = await asked(server)
    await ws.close()
    assert [event["type"] for event in server.events] == ["websocket.close"]


async def test_what_the_request_tells(server):
    ws = await asked(server, query_string=b"a=1&a=2&b=%C3%BC", headers=[(b"cookie", b"theme=dark; x=1")])
    assert (ws.query_params.getlist("a"), ws.query_params["b"]) == (["1", "2"], "ü")
    assert ws.cookies == {"theme": "dark", "x": "1"}
    assert ws.query_params is ws.query_params  # parsed once
    with pytest.raises(AttributeError):
        ws.query_params["a"] = "3"


async def test_the_parameters_and_the_tags_are_the_routes(ws):
    assert (ws.path_params, ws.tags, ws.rooms) == ({"room": "a"}, ("site",), frozenset())


@pytest.mark.parametrize(("name", "app"), [("user", "django.contrib.auth"), ("session", "django.contrib.sessions")])
async def test_without_middleware_there_is_no_user_and_the_error_says_what_sets_it(server, name, app):
    ws = await asked(server)
    with pytest.raises(WebSocketStateError, match=app):
        getattr(ws, name)
    server.scope[name] = "given"
    assert getattr(ws, name) == "given"


async def test_secrets_of_the_path_are_not_shown(server):
    ws = await asked(server, path="/ws/chat", query_string=b"token=opensesame")
    assert "/ws/chat" in repr(ws)
    assert "opensesame" not in repr(ws)
