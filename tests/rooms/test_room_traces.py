"""Broadcasts and fan-outs that are traced: each fan-out tells of which broadcasts it is, in whatever process."""

from __future__ import annotations

import asyncio

import pytest
from django.db import transaction
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased

from django_fastws import FastWS, Room
from django_fastws._core.envelope import BROADCAST, Envelope, decode
from django_fastws.layer import get_broker
from django_fastws.rooms import RoomBroadcast, broadcast_all, current_hub
from django_fastws.testing import connect, live
from tests.site import asgi  # noqa: F401 (sets Django up again)
from tests.support.spans import tracing_into_memory

GIVEN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def spans():
    with tracing_into_memory() as found:
        yield found


@pytest.fixture
def app(routes):
    app = FastWS()

    @app.websocket("/chat/{room}")
    async def chat(ws, room: str):
        await ws.accept()
        await ws.join(room)
        await ws.send("joined")
        async for _ in ws:
            pass

    @app.websocket("/five")
    async def five(ws):
        await chat(ws, "tickets/5")

    return app


@pytest.fixture
def tickets(app):
    room = app.room("tickets/{pk:int}")

    room.relay("typing", dict)
    return room


async def fanned_out(spans, count=1):
    async with asyncio.timeout(10):
        while len([name for name in spans.names() if name.startswith("fan-out")]) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    return [span for span in spans.all() if span.name.startswith("fan-out")]


async def test_a_fan_out_is_a_part_of_the_broadcast_and_linked_to_it(spans, app, tickets):
    async with live() as client:
        room = await client.join("tickets/5")
        spans.clear()
        await Room("tickets/5").abroadcast({"text": "hi"}, "said")
        await room.next("said")
    (fan_out,) = await fanned_out(spans)
    broadcast = spans.one("broadcast tickets/{pk:int}")
    assert (broadcast.kind, broadcast.attributes["fastws.event"]) == ("PRODUCER", "said")
    assert broadcast.attributes["messaging.message.body.size"] == len('{"text":"hi"}')
    assert (fan_out.kind, fan_out.trace, fan_out.parent) == ("CONSUMER", broadcast.trace, broadcast.id)
    assert fan_out.links == [broadcast.id]
    assert fan_out.attributes["fastws.deliveries"] == 1
    assert fan_out.attributes["messaging.destination.template"] == "tickets/{pk:int}"
    assert "messaging.batch.message_count" not in fan_out.attributes


async def test_broadcasts_that_are_sent_together_are_one_fan_out_with_a_link_to_each(spans, app):
    async with connect("/chat/tea") as ws:
        assert await ws.receive_text() == "joined"
        for number in range(5):
            current_hub().deliver(Envelope(BROADCAST, "fastws.n.tea", str(number), trace=_given(number)))
        for number in range(5):
            assert await ws.receive_text() == str(number)
    (fan_out,) = await fanned_out(spans)
    assert fan_out.links == [_given(number)[36:52] for number in range(5)]
    assert (fan_out.trace, fan_out.parent) == (_given(0)[3:35], _given(0)[36:52])
    assert fan_out.attributes["messaging.batch.message_count"] == 5
    assert fan_out.attributes["fastws.deliveries"] == 5


def _given(number):
    return f"00-{number + 1:032x}-{number + 1:016x}-01"


async def test_both_kinds_of_members_have_a_fan_out(spans, app, tickets):
    async with live() as client, connect("/five") as ws:
        assert await ws.receive_text() == "joined"
        room = await client.join("tickets/5")
        await Room("tickets/5").abroadcast("x", "said")
        await room.next("said")
        await ws.receive()
        assert len(await fanned_out(spans, 2)) == 2


async def test_a_relayed_event_is_a_broadcast_within_its_call(spans, app, tickets):
    async with live() as ada, live() as bob:
        one, other = await ada.join("tickets/5"), await bob.join("tickets/5")
        await one.call("typing", {"on": True})
        await other.next("typing")
    call, broadcast = spans.one("call tickets/{pk:int} typing"), spans.one("broadcast tickets/{pk:int}")
    assert broadcast.parent == call.id
    (fan_out,) = await fanned_out(spans)
    assert fan_out.links == [broadcast.id]


async def test_what_has_no_sampled_span_carries_nothing(app, monkeypatch):
    envelopes = []

    async def publish(envelope):
        envelopes.append(envelope)

    monkeypatch.setattr(get_broker(), "apublish", publish)
    await Room("tea").abroadcast("untraced")
    with tracing_into_memory(ParentBased(ALWAYS_OFF)):
        await Room("tea").abroadcast("not sampled")
    with tracing_into_memory() as spans:
        await Room("tea").abroadcast("sampled")
    assert [envelope.trace for envelope in envelopes[:2]] == [None, None]
    assert [("trace" in envelope.encode()) for envelope in envelopes] == [False, False, True]
    broadcast = spans.one("broadcast")
    assert envelopes[2].trace.startswith(f"00-{broadcast.trace}-{broadcast.id}-")
    assert decode(envelopes[2].encode()).trace == envelopes[2].trace


@pytest.mark.parametrize("trace", [5, "nonsense", b"bytes", GIVEN[:-2] + "00", None])
def test_what_is_no_traceparent_is_no_error_and_nothing(trace):
    encoded = {**Envelope(BROADCAST, "fastws.n.tea", "hi").encode(), "trace": trace}
    assert decode(encoded).trace is None
    assert decode({**encoded, "trace": GIVEN}).trace == GIVEN


async def test_who_does_not_trace_passes_over_what_others_have_traced(app):
    async with connect("/chat/tea") as ws:
        assert await ws.receive_text() == "joined"
        current_hub().deliver(Envelope(BROADCAST, "fastws.n.tea", "hi", trace=GIVEN))
        assert await ws.receive_text() == "hi"


# Sync code


@pytest.mark.django_db(transaction=True)
def test_a_broadcast_that_waits_for_a_commit_is_of_the_trace_in_which_it_was_made(spans, app, monkeypatch):
    envelopes = []
    monkeypatch.setattr(get_broker(), "publish", envelopes.append)
    with transaction.atomic():
        with spans.provider.get_tracer("tests").start_as_current_span("view"):
            Room("tea").broadcast("x")
        assert envelopes == []
    (envelope,) = envelopes
    broadcast = spans.one("broadcast")
    assert broadcast.parent == spans.one("view").id
    assert envelope.trace.startswith(f"00-{broadcast.trace}-{broadcast.id}-")


def test_a_broadcast_that_fails_is_an_error(spans, app, monkeypatch):
    def publish(envelope):
        raise ConnectionError("away")

    monkeypatch.setattr(get_broker(), "publish", publish)
    with pytest.raises(ConnectionError):
        Room("tea").broadcast("x")
    broadcast = spans.one("broadcast")
    assert (broadcast.status, broadcast.errors) == ("ERROR", ["ConnectionError"])


def test_several_at_once_are_each_a_broadcast(spans, app):
    with spans.provider.get_tracer("tests").start_as_current_span("request"):
        broadcast_all([RoomBroadcast("tea", "x"), RoomBroadcast("milk", "y")])
    request = spans.one("request")
    assert [(span.parent, span.status) for span in spans.named("broadcast")] == [(request.id, "UNSET")] * 2
