"""OutboundWebSocket, to a peer that is not there: receiving ahead, and what it tells of its route's attempt."""

import pytest

from django_fastws import WebSocketStateError
from django_fastws._core.connection_state import ClientState
from django_fastws.websocket import OutboundWebSocket
from tests.websocket.outgoing import OutgoingTransport


async def test_what_has_come_is_received_without_waiting_and_then_the_end():
    transport = OutgoingTransport("one", b"two")
    ws = OutboundWebSocket(transport)
    assert [message.data async for message in ws] == ["one", b"two"]
    assert transport.waited == 1  # for the end alone
    assert (ws.client_state, ws.close_code, ws.close_reason) == (ClientState.DISCONNECTED, 4000, "bye")


@pytest.mark.parametrize(("is_paused", "resumed_at"), [(True, [1]), (False, [])])
async def test_what_is_in_the_inbox_comes_first_and_reading_goes_on_when_little_is_left(is_paused, resumed_at):
    transport = OutgoingTransport("last")
    transport.inbox.messages.extend(["one", b"two", "größe"])
    transport.inbox.is_paused = is_paused
    ws = OutboundWebSocket(transport)
    assert [message.data async for message in ws] == ["one", b"two", "größe", "last"]
    assert transport.inbox.resumed_at == resumed_at
    assert (transport.traffic.messages_received, transport.traffic.bytes_received) == (4, 3 + 3 + 7 + 4)


async def test_a_task_that_receives_keeps_others_from_what_has_come():
    transport = OutgoingTransport("one")
    ws = OutboundWebSocket(transport)
    transport.state.start_receive("recv")
    with pytest.raises(WebSocketStateError):
        await anext(ws)
    assert transport.came == ["one"]


async def test_a_closed_socket_yields_nothing_of_what_came_later():
    ws = OutboundWebSocket(OutgoingTransport("late"))
    ws.release()
    assert [message async for message in ws] == []


async def test_it_is_open_before_anybody_holds_it():
    ws = OutboundWebSocket(OutgoingTransport())
    assert not ws.closed
    with pytest.raises(WebSocketStateError, match="open already"):
        await ws.accept()


async def test_it_tells_of_the_attempt_and_the_lease_of_its_route():
    ws = OutboundWebSocket(OutgoingTransport(), tags=["market"])
    assert (ws.attempt, ws.latency, ws.fencing_token, ws.tags) == (3, 0.25, 17, ("market",))


async def test_secrets_of_the_url_are_not_shown():
    shown = repr(OutboundWebSocket(OutgoingTransport()))
    assert "feed.example/quotes" in shown
    assert "opensesame" not in shown
