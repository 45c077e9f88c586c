"""What every broker that keeps histories owes to keyed rooms."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from django_fastws import Latest
from django_fastws._core.envelope import Envelope
from django_fastws._core.latest import Keyed
from django_fastws._core.latest_values import LatestValues
from django_fastws._core.messages import Payload
from django_fastws._core.positions import Position
from django_fastws.layer import Broker
from tests.contract.subscriber import Subscriber
from tests.site.client import LIMIT, token

pytestmark = pytest.mark.broker("has_history", "is_variant")

HOUR = Latest(seconds=3600)


def value(group: str, key: str, data: Any = None, latest: Latest = HOUR, *, is_removed: bool = False) -> Envelope:
    keyed = Keyed(key, is_removed, latest)
    return Envelope.broadcast(group, Payload(json.dumps(data)), is_json=True, keyed=keyed)


def shown(values: LatestValues) -> dict[str, Any]:
    return {key: json.loads(one.data) for key, one in values.values.items()}


async def test_the_newest_value_of_each_key_is_kept_as_it_was_published(broker, group):
    async with Subscriber(broker, group) as subscriber:
        positions = [await broker.apublish(value(group, "größe", 1))]
        positions += [await asyncio.to_thread(broker.publish, value(group, "b", {"x": ["ü"]}))]
        positions += [await broker.apublish(value(group, "größe", 3))]
        delivered = await subscriber.take(3)
    read = await broker.aread_latest(group, HOUR)
    assert positions == [Position(read.position.epoch, number) for number in (1, 2, 3)]
    assert [one.position for one in delivered] == positions
    assert [(one.keyed.key, json.loads(one.data)) for one in delivered if one.keyed] == [
        ("größe", 1),
        ("b", {"x": ["ü"]}),
        ("größe", 3),
    ]
    assert read.position == positions[-1]
    assert shown(read) == {"größe": 3, "b": {"x": ["ü"]}}
    assert {key: one.position for key, one in read.values.items()} == {"größe": positions[2], "b": positions[1]}


async def test_what_is_removed_is_gone_and_that_is_a_change(broker, group):
    await broker.apublish(value(group, "a", 1))
    async with Subscriber(broker, group) as subscriber:
        removed = await broker.apublish(value(group, "a", is_removed=True))
        assert removed is not None
        assert removed.offset == 2
        assert [one.keyed.is_removed for one in await subscriber.take(1) if one.keyed] == [True]
    read = await broker.aread_latest(group, HOUR)
    assert (read.position, read.values) == (removed, {})


async def test_a_room_that_never_had_a_value_has_a_position(broker, group):
    read = await broker.aread_latest(group, HOUR)
    assert (read.position.offset, read.values) == (0, {})
    assert await broker.apublish(value(group, "a")) == Position(read.position.epoch, 1)


async def test_publishers_at_once_have_one_order_and_the_last_value_is_kept(broker, group):
    async def publish(name: str) -> None:
        await asyncio.gather(*(broker.apublish(value(group, name, turn)) for turn in range(30)))

    def in_thread(name: str) -> None:
        for turn in range(30):
            broker.publish(value(group, name, turn))

    names = ["one", "two", "thread"]
    async with Subscriber(broker, group) as subscriber:
        await asyncio.gather(publish("one"), publish("two"), asyncio.to_thread(in_thread, "thread"))
        delivered = await subscriber.take(90)
    read = await broker.aread_latest(group, HOUR)
    assert shown(read) == dict.fromkeys(names, 29)
    by_offset = sorted(delivered, key=lambda one: one.position.offset if one.position else 0)
    assert [one.position for one in by_offset] == [Position(read.position.epoch, n) for n in range(1, 91)]
    for name in names:
        assert [json.loads(one.data) for one in by_offset if one.keyed and one.keyed.key == name] == list(range(30))


async def test_rooms_have_nothing_of_each_other(broker):
    groups = [token() for _ in range(8)]
    await asyncio.gather(*(broker.apublish(value(group, "key", group)) for group in groups))
    read = [await broker.aread_latest(group, HOUR) for group in groups]
    assert [shown(one) for one in read] == [{"key": group} for group in groups]
    assert len({one.position.epoch for one in read}) == len(groups)


async def test_values_are_kept_for_as_long_as_was_said(broker: Broker, group: str) -> None:
    brief = Latest(seconds=0.2)
    await broker.apublish(value(group, "a", 1, brief))
    async with asyncio.timeout(LIMIT):
        while (await broker.aread_latest(group, brief)).values:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
