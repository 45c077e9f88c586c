"""What comes for one hub: garbage, other rooms' broadcasts, and what waits while the hub is held."""

import asyncio
import logging

import msgpack
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from django_fastws._core.envelope import BROADCAST, Envelope
from django_fastws.layer.redis import delivery_queue
from django_fastws.layer.redis.delivery_queue import DeliveryQueue
from django_fastws.layer.redis.presence_encoding import PresenceCards
from tests.support.envelopes import holding, value_of

#: The cards of this layer are as any of its messages.
CARDS = PresenceCards(msgpack.packb, msgpack.unpackb, pytest.fail)


class Hub:
    """Takes envelopes; says when it has enough."""

    def __init__(self, enough=None):
        self.got = []
        self.enough = enough
        self.queue = DeliveryQueue(self.deliver, msgpack.unpackb, CARDS)
        self.queue.open(b"asgi__group__a", "a")
        self.queue.open(b"asgi__group__b", "b")

    def deliver(self, envelope):
        self.got.append(value_of(envelope))
        if self.enough is not None and len(self.got) >= self.enough:
            self.queue.hold()

    def receive(self, value, group="a", **more):
        message = holding(group, value).encode() | more
        self.queue.receive(b"asgi__group__" + group.encode(), msgpack.packb(message))


async def settled():
    for _ in range(5):
        await asyncio.sleep(0)


GARBAGE = st.one_of(
    st.binary(max_size=40),
    st.recursive(
        st.one_of(
            st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.text(max_size=5), st.binary(max_size=5)
        ),
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
        max_leaves=5,
    ).map(msgpack.packb),
    st.dictionaries(st.sampled_from(["by", "nr", "room", "text"]), st.text(max_size=30)).map(
        lambda keys: msgpack.packb(Envelope(BROADCAST, "a", "hi").encode() | keys)
    ),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(GARBAGE, max_size=8))
@example(
    [
        b"\x91" * 2000,
        b"\xdd\xff\xff\xff\xff",
        msgpack.packb(Envelope(BROADCAST, "a", "hi").encode() | {"by": "x", "nr": "9" * 5000}),
    ]
)
async def test_whatever_bytes_come_are_said_once_and_stand_in_nobodys_way(caplog, garbage):
    caplog.clear()
    hub = Hub()
    for data in garbage:
        hub.queue.receive(b"asgi__group__a", data)
    hub.receive("good", by="sender", nr="1")
    assert hub.got[-1] == "good"
    assert len(caplog.records) <= 2  # one for what is nothing, one for what is another room's
    assert not any(record.exc_info for record in caplog.records)
    assert all(len(record.getMessage()) < 500 for record in caplog.records)


async def test_what_is_for_another_room_is_for_nobody_and_said_once(caplog):
    hub = Hub()
    for _ in range(3):
        hub.queue.receive(b"asgi__group__a", msgpack.packb(Envelope(BROADCAST, "b", "wrong").encode()))
    hub.receive("right", "b")
    assert hub.got == ["right"]
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


async def test_what_waits_comes_in_its_order_and_before_what_comes_later():
    hub = Hub(enough=3)
    for number in range(10):
        hub.receive(number, "ab"[number % 2])
    assert hub.got == [0, 1, 2]
    hub.enough = 6
    hub.queue.resume()
    hub.receive(10)
    await settled()
    assert hub.got == [*range(6)]
    hub.enough = None
    hub.queue.resume()
    await settled()
    assert hub.got == [*range(11)]
    hub.receive(11)
    assert hub.got[-1] == 11


async def test_repetitions_are_passed_over_also_among_what_waits():
    hub = Hub()
    hub.queue.hold()
    for number in ("1", "2", "1", "2", "3"):
        hub.receive(number, by="sender", nr=number)
    hub.queue.resume()
    await settled()
    assert hub.got == ["1", "2", "3"]


async def test_what_waits_for_a_group_that_is_closed_is_for_nobody():
    hub = Hub()
    hub.queue.hold()
    hub.receive("a")
    hub.receive("b", "b")
    hub.queue.close(b"asgi__group__a")
    hub.queue.resume()
    await settled()
    assert hub.got == ["b"]


async def test_what_has_waited_leaves_the_loop_to_others(monkeypatch):
    monkeypatch.setattr(delivery_queue, "_SLICE", 0)
    hub = Hub()
    hub.queue.hold()
    for number in range(100):
        hub.receive(number)
    hub.queue.resume()
    most = before = 0
    while len(hub.got) < 100:
        await asyncio.sleep(0)
        most, before = max(most, len(hub.got) - before), len(hub.got)
    assert most == 1
    assert hub.got == [*range(100)]


@pytest.mark.parametrize("data", [b"", b"x" * 5000])
async def test_what_is_over_the_bound_is_dropped_and_said_once(monkeypatch, caplog, data):
    monkeypatch.setattr(delivery_queue, "_MOST_BYTES", 100_000)
    monkeypatch.setattr(delivery_queue, "_IDLE_SECONDS", 0)
    hub = Hub()
    hub.queue.hold()
    for number in range(1000):
        hub.receive(number, data=data)
    hub.queue.resume()
    async with asyncio.timeout(30):
        while len(caplog.records) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    dropped = 1000 - len(hub.got)
    assert hub.got == [*range(dropped, 1000)]
    assert dropped > 0
    begins, ends = [record.getMessage() for record in caplog.records]
    assert begins.startswith("Broadcasts come faster than this process can send them, at last for a:")
    assert f" {dropped} were dropped" in ends
