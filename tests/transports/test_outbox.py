"""The outbox: the order of what is sent, slow clients, sends that are given up; on a server that is not there."""

import asyncio
import logging

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from django_fastws import WebSocketDisconnect, metrics
from django_fastws._core.messages import Batch, Payload, StoredPayload, VolatilePayload
from django_fastws._core.positions import Position
from django_fastws.transports.find import find_transport
from tests.transports.fakes import Server, blocked, limits, start, turns, waiting

# Order


async def test_a_message_that_was_sent_has_been_sent_when_the_call_returns(server, transport):
    await transport.send_payload(Payload("one"))
    assert server.sent == ["one"]
    await transport.send_payload(Payload(b"two"))
    assert server.sent == ["one", b"two"]


async def test_a_post_does_not_wait_and_comes_in_its_turn(server, transport):
    transport.post(Payload("one"))
    transport.post(Payload("two"))
    assert server.sent == []
    await transport.send_payload(Payload("three"))
    assert server.sent == ["one", "two", "three"]


async def test_a_batch_is_an_event_for_each_message(server, transport):
    transport.post(Batch([Payload("one"), Payload(b""), Payload("three")]))
    await transport.send_payload(Payload("four"))
    assert server.sent == ["one", b"", "three", "four"]


async def test_a_transport_that_has_sent_all_holds_no_backlog(server, transport):
    first = await blocked(server, transport)
    transport.post(Batch([Payload("one"), Payload("two")]))
    assert waiting(transport)[0] == 2
    server.gate.set()
    await first
    await turns()
    assert waiting(transport) == (0, 0)
    assert not transport.is_sending


async def test_what_is_sent_while_the_server_is_busy_comes_in_the_order_of_the_calls(server, transport):
    first = await blocked(server, transport)
    transport.post(Payload("second"))
    third = start(transport.send_payload(Payload("third")))
    await turns()
    transport.post(Payload("fourth"))
    closing = start(transport.close(4000, "bye"))
    await turns()
    assert server.sent == []
    server.gate.set()
    await asyncio.gather(first, third, closing)
    assert server.sent == ["first", "second", "third", "fourth", 4000]


OPERATIONS = st.lists(
    st.tuples(st.sampled_from(["send", "post", "turn", "hold", "go"]), st.integers(0, 3)), max_size=30
)


@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(OPERATIONS)
def test_whatever_is_mixed_comes_in_the_order_of_the_calls(operations):
    async def run():
        server = Server()
        transport = find_transport(server.scope, server.receive, server.send)
        tasks, called = [], []

        async def send(text):
            called.append(text)
            await transport.send_payload(Payload(text))

        for number, (operation, count) in enumerate(operations):
            if operation == "send":
                tasks.append(asyncio.create_task(send(str(number))))
            elif operation == "post":
                called.append(str(number))
                transport.post(Payload(str(number)))
            elif operation == "hold":
                server.gate.clear()
            elif operation == "go":
                server.gate.set()
            await turns(count)
        server.gate.set()
        await asyncio.gather(*tasks)
        await transport.close(1000, "")
        assert server.sent == [*called, 1000]
        transport.release()

    asyncio.run(run())


# Sends that are given up


async def test_a_send_that_is_given_up_while_it_waits_is_not_sent(server, transport):
    first = await blocked(server, transport)
    second = start(transport.send_payload(Payload("second")))
    third = start(transport.send_payload(Payload("third")))
    await turns()
    second.cancel()
    await turns()
    server.gate.set()
    await asyncio.gather(first, third)
    assert second.cancelled()
    assert server.sent == ["first", "third"]


async def test_sends_that_are_given_up_do_not_pile_up(server, transport):
    first = await blocked(server, transport)
    transport.post(Payload("posted"))
    for _ in range(100):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(transport.send_payload(Payload("x" * 1000)), 0.001)
    assert waiting(transport) == (1, 6)
    server.gate.set()
    await first
    await turns()
    assert server.sent == ["first", "posted"]


async def test_a_send_that_is_given_up_in_the_server_does_not_stop_the_others(server, transport):
    first = await blocked(server, transport)
    transport.post(Payload("second"))
    first.cancel()
    await turns()
    server.gate.set()
    await turns()
    assert server.sent == ["second"]
    await transport.send_payload(Payload("third"))
    assert server.sent == ["second", "third"]


# Slow clients


@pytest.mark.parametrize(
    ("policy", "sent"),
    [
        ("drop_oldest", ["first", "3333", "4444"]),
        ("drop_newest", ["first", "1111", "2222"]),
        ("disconnect", ["first", 1013]),
    ],
)
async def test_a_full_buffer_is_treated_by_the_policy(server, transport, policy, sent, caplog):
    with limits(policy), caplog.at_level(logging.WARNING):
        first = await blocked(server, transport)
        for text in ("1111", "2222", "3333", "4444"):
            transport.post(Payload(text))
        server.gate.set()
        await first
        await turns()
    assert server.sent == sent
    (record,) = caplog.records
    assert "slow client" in record.getMessage()
    assert "'/x'" in record.getMessage()


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest", "disconnect"])
async def test_a_buffer_that_is_just_full_is_no_slow_client(server, transport, policy, caplog):
    with limits(policy):
        first = await blocked(server, transport)
        transport.post(Payload("12345"))
        transport.post(Payload("67890"))
        server.gate.set()
        await first
        await turns()
    assert server.sent == ["first", "12345", "67890"]
    assert caplog.records == []


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest", "disconnect"])
async def test_one_message_over_the_buffer_is_sent_all_the_same(server, transport, policy):
    with limits(policy):
        transport.post(Payload("x" * 100))
        await turns()
    assert server.sent == ["x" * 100]


async def test_what_is_dropped_is_counted(server, transport):
    metrics.reset()
    with limits("drop_newest"):
        first = await blocked(server, transport)
        for _ in range(5):
            transport.post(Payload("1234567890"))
        assert transport.dropped == 4
        assert metrics.policy_drops.by("policy") == {"drop_newest": 4}
        server.gate.set()
        await first


# (what is posted, "~" before what is volatile; what is sent, with a bound of ten characters, by each policy)
VOLATILE = [
    ("~1111 2222 ~3", "1111 2222 3", 0),
    ("~1111 2222 3333", "2222 3333", 1),
    ("2222 ~1111 3333 4", "2222 3333 4", 1),
    ("~1111 ~2222 3333", "3333", 2),
    ("1111 2222 ~3333 44", "1111 2222 44", 1),
    ("1111 ~2222 ~33333 4444", "1111 4444", 2),
]


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest", "disconnect"])
@pytest.mark.parametrize(("posted", "sent", "dropped"), VOLATILE)
async def test_volatile_messages_are_the_first_to_be_dropped(
    server, transport, caplog, policy, posted, sent, dropped
):
    metrics.reset()
    with limits(policy):
        first = await blocked(server, transport)
        for text in posted.split():
            transport.post(VolatilePayload(text[1:]) if text.startswith("~") else Payload(text))
        assert transport.dropped == dropped
        assert metrics.policy_drops.by("policy") == ({"volatile": dropped} if dropped else {})
        server.gate.set()
        await first
        await turns()
    assert server.sent == ["first", *sent.split()]
    assert [record.getMessage().rpartition(": ")[2] for record in caplog.records] == [
        "the volatile messages are dropped"
    ] * bool(dropped)


async def test_a_client_that_is_too_slow_without_volatile_messages_is_disconnected(server, transport, caplog):
    metrics.reset()
    with limits("disconnect"):
        first = await blocked(server, transport)
        for payload in (VolatilePayload("1234567890"), Payload("1234567890"), Payload("x")):
            transport.post(payload)
        assert metrics.policy_drops.by("policy") == {"volatile": 1, "disconnect": 2}
        server.gate.set()
        await first
        await turns()
    assert server.sent == ["first", 1013]
    assert len(caplog.records) == 2


class StoredListener:
    """Who can send stored messages later, and what it was told."""

    def __init__(self):
        self.told = []

    def fell_behind(self, payloads):
        self.told += [payload.text for payload in payloads]

    def caught_up(self):
        self.told.append("caught up")


@pytest.mark.parametrize("waits", [False, True], ids=["nothing else waits", "something else waits"])
@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
async def test_who_can_send_stored_messages_later_is_told_when_all_else_was_sent(server, transport, policy, waits):
    transport.stored_listener = listener = StoredListener()
    with limits(policy):
        first = await blocked(server, transport)
        if waits:
            transport.post(Payload("x"))
        for number in range(1, 4):
            transport.post(StoredPayload(f"{number}" * 4, Position("e", number)))
        assert listener.told == ["1111", "2222", "3333"]
        server.gate.set()
        await first
        await turns()
    assert listener.told[-1] == "caught up"
    assert listener.told.count("caught up") == 1


async def test_nothing_that_somebody_waits_for_is_dropped(server, transport):
    with limits("drop_oldest"):
        first = await blocked(server, transport)
        second = start(transport.send_payload(Payload("waited for")))
        await turns()
        transport.post(Payload("1111"))
        transport.post(Payload("2222"))
        server.gate.set()
        await asyncio.gather(first, second)
        await turns()
    assert server.sent[:2] == ["first", "waited for"]


async def test_a_message_for_which_no_room_can_be_made_is_counted_and_warned_of_once(server, transport, caplog):
    with limits("drop_oldest"):
        first = await blocked(server, transport)
        second = start(transport.send_payload(Payload("waited for")))
        await turns()
        for _ in range(5):
            transport.post(Payload("x"))
        assert (transport.dropped, len(caplog.records)) == (5, 1)
        server.gate.set()
        await asyncio.gather(first, second)


async def test_after_a_slow_client_was_disconnected_nothing_follows_the_close(server, transport):
    with limits("disconnect"):
        first = await blocked(server, transport)
        transport.post(Payload("1234567890"))
        transport.post(Payload("x"))
        second = start(transport.send_payload(Payload("second")))
        await turns()
        server.gate.set()
        await first
        with pytest.raises(WebSocketDisconnect) as raised:
            await second
    assert raised.value.code == 1013
    assert server.sent == ["first", 1013]


async def test_a_slow_client_gets_one_close(server, transport):
    with limits("disconnect"):
        first = await blocked(server, transport)
        transport.post(Payload("1234567890"))
        transport.post(Payload("x"))
        closing = start(transport.close(1000, ""))
        await turns()
        server.gate.set()
        await asyncio.gather(first, closing)
        await transport.close(1000, "")
    assert server.sent == ["first", 1013]


async def test_a_transport_that_was_closed_for_being_slow_says_so(server, transport):
    with limits("disconnect"):
        first = await blocked(server, transport)
        transport.post(Payload("1234567890"))
        transport.post(Payload("x"))
        server.gate.set()
        await first
        await turns()
    assert transport.state.status == (1013, "too slow")
    assert not transport.is_open
    with pytest.raises(WebSocketDisconnect) as raised:
        await transport.send_payload(Payload("x"), "send_text")
    assert (raised.value.code, raised.value.reason) == (1013, "too slow")
    assert "send_text()" in str(raised.value)
