"""Calls that are done once: retries in any connection get the answer of the first time."""

import asyncio
import logging

import pytest
from asgiref.testing import ApplicationCommunicator
from django.contrib.auth.models import User

from django_fastws import LiveError, WebSocketConnectionError
from django_fastws.asgi import get_asgi_application
from django_fastws.layer import broker as broker_module
from django_fastws.layer import get_broker
from django_fastws.layer.values import ProcessValues
from django_fastws.live import once as once_module
from tests.live.client import Gate, client, declare

ADA, BOB = User(pk=1, username="ada"), User(pk=2, username="bob")
CALL = {"room": "room/1", "event": "pay", "data": {"n": 1}, "id": "call-1", "once": True}


@pytest.fixture(autouse=True)
def values(monkeypatch):
    """No process keeps what other tests have."""
    monkeypatch.setattr(broker_module, "_values", ProcessValues())


@pytest.fixture
def paid():
    return []


@pytest.fixture
def gate():
    return Gate()


@pytest.fixture
def room(paid, gate):
    room = declare()

    @room.on("pay")
    async def pay(ws, n: int) -> int:
        paid.append(n)
        if n == 2:
            await gate.wait()
        if n == 3:
            raise LiveError("poor", "no money", fields={"n": ["less"]}, retry_after=5)
        if n == 4:
            raise ZeroDivisionError("on purpose")
        return len(paid)

    @room.on("items")
    async def items(ws):
        yield 1

    return room


async def joined(one, hello="c-1"):
    if hello:
        await one.ok(hello={"client": hello})
    await one.join("room/1")


async def test_a_retry_after_a_reconnect_gets_the_answer_of_the_first_time(room, paid):
    for _ in range(3):
        async with client(user=ADA) as one:
            await joined(one)
            assert await one.ok(**CALL) == 1
    assert paid == [1]


@pytest.mark.parametrize(
    ("user", "hello", "change"),
    [
        (BOB, "c-1", {}),
        (None, "c-1", {}),
        (ADA, "c-2", {}),
        (ADA, "", {}),
        (ADA, "c-1", {"id": "call-2"}),
        (ADA, "c-1", {"once": False}),
        (ADA, "c-1", {"id": 1}),
    ],
    ids=["another user", "nobody", "another client", "no client id", "another id", "not once", "a number"],
)
async def test_anything_else_is_a_call_of_its_own(room, paid, user, hello, change):
    async with client(user=ADA) as one:
        await joined(one)
        await one.ok(**CALL)
    async with client(user=user) as other:
        await joined(other, hello)
        assert await other.ok(**{**CALL, **change}) == 2


async def test_an_id_that_is_a_number_is_of_one_connection_alone(room, paid):
    for answer in (1, 2):
        async with client(user=ADA) as one:
            await joined(one)
            assert await one.ok(**{**CALL, "id": 1}) == answer


async def test_another_room_is_another_call(room, paid):
    async with client(user=ADA) as one:
        await joined(one)
        await one.join("room/2")
        assert await one.ok(**CALL) == 1
        assert await one.ok(**{**CALL, "room": "room/2"}) == 2


async def test_the_loss_of_the_connection_does_not_end_it_and_the_retry_waits_for_it(room, paid, gate):
    call = {**CALL, "data": {"n": 2}}
    async with client(user=ADA) as one:
        await joined(one)
        await one.say(**call)
        await gate.crowd(1)
    async with client(user=ADA) as one:
        await joined(one)
        await one.say(**call)
        assert await one.silent()
        gate.open()
        assert await one.next() == {"id": "call-1", "ok": 1}
    assert paid == [2]


async def test_the_loss_of_the_connection_while_it_is_claimed_does_not_end_it(room, paid, gate, monkeypatch):
    broker = get_broker()
    claim = broker.claim

    async def claim_slowly(*args):
        found = await claim(*args)
        await gate.wait()  # the answer of the layer is on its way
        return found

    async with client(user=ADA) as one:
        await joined(one)
        monkeypatch.setattr(broker, "claim", claim_slowly)
        await one.say(**CALL)
        await gate.crowd(1)
    assert paid == []
    gate.open()
    async with client(user=ADA) as one:
        await joined(one)
        assert await one.ok(**CALL) == 1
    assert paid == [1]


async def test_an_error_is_kept_too(room, paid):
    call = {**CALL, "data": {"n": 3}}
    errors = []
    for _ in range(2):
        async with client(user=ADA) as one:
            await joined(one)
            errors.append(await one.error(**call))
    assert errors[0] == errors[1]
    assert (errors[0]["code"], errors[0]["fields"], errors[0]["retry_after"]) == ("poor", {"n": ["less"]}, 5)
    assert paid == [3]


async def test_a_failure_is_logged_once_and_kept(room, paid, caplog):
    call = {**CALL, "data": {"n": 4}}
    for _ in range(2):
        async with client(user=ADA) as one:
            await joined(one)
            assert await one.code(**call) == "failed"
    assert len([record for record in caplog.records if record.exc_info]) == 1
    assert paid == [4]


async def test_a_failure_that_nobody_waits_for_is_logged(room, caplog, gate):
    @room.on("lost")
    async def lost(ws):
        await gate.wait()
        raise ZeroDivisionError("on purpose")

    async with client(user=ADA) as one:
        await joined(one)
        await one.say(room="room/1", event="lost", id="call-1", once=True)
        await gate.crowd(1)
    gate.open()
    async with client(user=ADA) as one:
        await joined(one)
        assert await one.code(room="room/1", event="lost", id="call-1", once=True) == "failed"
    assert [record.levelno for record in caplog.records if "lost" in record.message] == [logging.ERROR]


async def test_a_call_that_the_client_cancels_is_cancelled_for_its_retries_too(room, paid, gate):
    call = {**CALL, "data": {"n": 2}}
    async with client(user=ADA) as one:
        await joined(one)
        await one.say(**call)
        await gate.crowd(1)
        await one.say(cancel="call-1")
        assert (await one.next())["error"]["code"] == "cancelled"
        assert await one.code(**call) == "cancelled"
    assert paid == [2]
    assert gate.waiting == 0


@pytest.mark.parametrize("change", [{"data": {"n": "x"}}, {"event": "items"}], ids=["invalid", "items"])
async def test_what_cannot_be_called_is_said(room, paid, change):
    async with client(user=ADA) as one:
        await joined(one)
        assert await one.code(**{**CALL, **change}) in ("invalid", "bad_request")
    assert paid == []


async def test_whether_it_was_done_is_unknown_where_its_process_has_died(room, paid, monkeypatch):
    monkeypatch.setattr(once_module, "_MOST_WAITING", 0.05)
    async with client(user=ADA) as one:
        await joined(one)
        await one.ok(**CALL)
        (key,) = broker_module._values._values
        await get_broker().store(key, b"?of a process that has died", 60)
        assert await one.code(**CALL) == "unavailable"
        await get_broker().store(key, b"?of a process that has died", 0.01)
        assert await one.code(**CALL) == "unavailable"
    assert paid == [1]


async def test_while_the_layer_is_away_nothing_is_done(room, paid, monkeypatch):
    async def away(*args):
        raise WebSocketConnectionError("on purpose")

    async with client(user=ADA) as one:
        await joined(one)
        monkeypatch.setattr(type(get_broker()), "claim", away)
        assert await one.code(**CALL) == "unavailable"
    assert paid == []


async def test_an_answer_that_cannot_be_kept_is_given_all_the_same(room, paid, monkeypatch, caplog):
    async def away(*args):
        raise WebSocketConnectionError("on purpose")

    async with client(user=ADA) as one:
        await joined(one)
        monkeypatch.setattr(type(get_broker()), "store", away)
        assert await one.ok(**CALL) == 1
        async with asyncio.timeout(30):
            while "cannot be kept" not in caplog.text:  # noqa: ASYNC110
                await asyncio.sleep(0)


async def test_a_claim_that_is_kept_though_the_layer_did_not_say_so_is_given_back(room, paid, monkeypatch):
    monkeypatch.setattr(once_module, "_AWAY_SECONDS", 0.01)
    broker = get_broker()
    claim, lost = broker.claim, [1, 2]

    async def lose_the_answer(*args):
        found = await claim(*args)
        if lost:
            lost.pop()
            raise WebSocketConnectionError("on purpose")
        return found

    monkeypatch.setattr(broker, "claim", lose_the_answer)
    async with client(user=ADA) as one, client(user=ADA) as two:
        for each in (one, two):
            await joined(each)
        assert await one.code(**CALL) == "unavailable"
        await asyncio.gather(*(each.say(**CALL) for each in (one, two)))
        assert [await each.next() for each in (one, two)] == [{"id": "call-1", "ok": 1}] * 2
    assert paid == [1]


async def test_the_end_of_the_server_waits_for_it(room, paid, gate):
    lifespan = ApplicationCommunicator(get_asgi_application(), {"type": "lifespan", "asgi": {"version": "3.0"}})
    call = {**CALL, "data": {"n": 2}}
    async with client(user=ADA) as one:
        await joined(one)
        await one.say(**call)
        await gate.crowd(1)
    await lifespan.send_input({"type": "lifespan.shutdown"})
    assert await lifespan.receive_nothing(0.05)
    gate.open()
    assert await lifespan.receive_output() == {"type": "lifespan.shutdown.complete"}
    async with client(user=ADA) as one:
        await joined(one)
        assert await one.ok(**call) == 1


async def test_the_end_of_the_server_waits_for_it_no_longer_than_the_drain(room, gate, caplog, settings):
    settings.FASTWS_DRAIN_SECONDS = 0
    lifespan = ApplicationCommunicator(get_asgi_application(), {"type": "lifespan", "asgi": {"version": "3.0"}})
    async with client(user=ADA) as one:
        await joined(one)
        await one.say(**{**CALL, "data": {"n": 2}})
        await gate.crowd(1)
        await lifespan.send_input({"type": "lifespan.shutdown"})
        assert await lifespan.receive_output() == {"type": "lifespan.shutdown.complete"}
        assert "1 calls that are done once last longer" in caplog.text
        gate.open()
        assert await one.next() == {"id": "call-1", "ok": 1}
