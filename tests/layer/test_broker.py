"""What every broker owes to publishers and subscribers, whatever the channel layer; and which one is chosen."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from typing import Any

import pytest
from channels.layers import InMemoryChannelLayer, get_channel_layer
from channels_redis.core import RedisChannelLayer as CoreLayer

from django_fastws import WebSocketConnectionError
from django_fastws._core.envelope import BROADCAST, Envelope
from django_fastws.layer import Broker, BrokerClient, LayerStatus, check_layer, get_broker, layer_status
from django_fastws.layer.channels import ChannelsBroker, ChannelsRedisBroker
from django_fastws.layer.local import LocalBroker
from django_fastws.layer.redis import RedisBroker
from tests.conftest import layer_config
from tests.site.client import LIMIT, token

IN_MEMORY = {"BACKEND": "channels.layers.InMemoryChannelLayer"}
SUBCLASS = {"BACKEND": "tests.layer.test_broker.Watched"}
KINDS = {
    "no layer": LocalBroker,
    "in memory": LocalBroker,
    "a subclass": ChannelsBroker,
    "ours": RedisBroker,
    "pubsub": ChannelsRedisBroker,
    "core": ChannelsRedisBroker,
}
ON_REDIS = ["ours", "pubsub", "core"]


class Watched(InMemoryChannelLayer):
    """A layer that sees what passes."""


def configured(name: str, request: pytest.FixtureRequest) -> dict[str, Any]:
    if name in ON_REDIS:
        return {"default": layer_config(name, request.getfixturevalue("redis_server"), token())}
    return {"no layer": {}, "in memory": {"default": IN_MEMORY}, "a subclass": {"default": SUBCLASS}}[name]


@pytest.fixture(params=[pytest.param(name, marks=[pytest.mark.redis] if name in ON_REDIS else []) for name in KINDS])
def broker(request: pytest.FixtureRequest, settings: Any) -> Broker:
    settings.CHANNEL_LAYERS = configured(request.param, request)
    found = get_broker()
    assert type(found) is KINDS[request.param]
    return found


class Subscriber:
    """A client of a broker, and what was delivered to it; it is held after one that is ``last``."""

    def __init__(self, broker: Broker, last: str = "") -> None:
        self.last = last
        self.got: list[Any] = []
        self.client: BrokerClient = broker.client(self._deliver)

    def _deliver(self, envelope: Any) -> None:
        self.got.append(envelope.data)
        if envelope.data == self.last:
            self.client.hold()

    async def expect(self, *texts: str) -> None:
        async with asyncio.timeout(LIMIT):
            while len(self.got) < len(texts):  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        assert self.got == list(texts)


def hello(group: str, text: str) -> Envelope:
    return Envelope(BROADCAST, group, text)


# Which one


def test_it_is_chosen_once_for_each_layer(settings):
    settings.CHANNEL_LAYERS = {"default": SUBCLASS}
    first = get_broker()
    assert get_broker() is first
    settings.CHANNEL_LAYERS = {"default": {**SUBCLASS, "CONFIG": {"capacity": 5}}}
    assert get_broker() is not first
    settings.CHANNEL_LAYERS = {}
    assert type(get_broker()) is LocalBroker


def test_all_threads_have_the_same_one(settings):
    settings.CHANNEL_LAYERS = {"default": SUBCLASS}
    found: list[Broker] = [get_broker()]
    threads = [threading.Thread(target=lambda: found.append(get_broker())) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert len(set(found)) == 1


async def test_who_has_joined_without_a_layer_is_heard_with_the_one_in_memory(settings):
    settings.CHANNEL_LAYERS = {}
    subscriber, group = Subscriber(get_broker()), token()
    await subscriber.client.subscribe(group)
    settings.CHANNEL_LAYERS = {"default": IN_MEMORY}
    await get_broker().apublish(hello(group, "hi"))
    assert subscriber.got == ["hi"]
    await subscriber.client.unsubscribe(group)


# Publishing


async def test_what_a_loop_publishes_arrives_in_the_order_of_the_calls(broker):
    subscriber, group = Subscriber(broker), token()
    await subscriber.client.subscribe(group)
    texts = [str(number) for number in range(50)]
    if isinstance(get_channel_layer(), CoreLayer):  # which keeps only that of calls that do not overlap
        for text in texts:
            await broker.apublish(hello(group, text))
    else:
        await asyncio.gather(*(broker.apublish(hello(group, text)) for text in texts))
    await subscriber.expect(*texts)
    await subscriber.client.unsubscribe(group)
    await subscriber.client.close()


async def test_what_a_thread_publishes_arrives_in_its_order_and_as_it_was(broker):
    envelopes: list[Any] = []
    client, group = broker.client(envelopes.append), token()
    await client.subscribe(group)
    sent = [Envelope(BROADCAST, group, str(number), "größe ✓") for number in range(10)]
    sent += [Envelope(BROADCAST, group, b"\x00\xff"), Envelope(BROADCAST, group, "")]
    sent.append(Envelope.control(group, {"do": "nothing", "größe": "✓"}))
    await asyncio.to_thread(lambda: [broker.publish(envelope) for envelope in sent])
    async with asyncio.timeout(LIMIT):
        while len(envelopes) < len(sent):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    plain = [dataclasses.replace(envelope, sender=None, number=None) for envelope in envelopes]
    assert plain[:12] == sent[:12]
    assert [envelope.fields for envelope in plain[12:]] == [envelope.fields for envelope in sent[12:]]
    await client.unsubscribe(group)
    await client.close()


# Subscribing


async def test_nothing_is_missed_after_subscribing_and_nothing_comes_after_unsubscribing(broker):
    subscriber, group, other = Subscriber(broker), token(), token()
    await subscriber.client.subscribe(other)
    for turn in range(3):
        await broker.apublish(hello(group, "too early"))
        await subscriber.client.subscribe(group)
        await subscriber.client.subscribe(group)  # as for a refresh
        assert subscriber.client.is_subscribed(group)
        await broker.apublish(hello(group, f"hi {turn}"))
        await subscriber.expect(*(f"hi {earlier}" for earlier in range(turn + 1)))
        await subscriber.client.unsubscribe(group)
    await broker.apublish(hello(group, "too late"))
    await broker.apublish(hello(other, "last"))
    await subscriber.expect("hi 0", "hi 1", "hi 2", "last")
    await subscriber.client.unsubscribe(group)  # which it is not subscribed to
    await subscriber.client.unsubscribe(other)
    await subscriber.client.close()


async def test_while_a_client_is_held_nothing_more_is_delivered_and_then_all_in_order(broker):
    subscriber, group = Subscriber(broker, last="0"), token()
    await subscriber.client.subscribe(group)

    async def publish() -> None:
        for number in range(5):
            await broker.apublish(hello(group, str(number)))

    publishing = asyncio.create_task(publish())
    await subscriber.expect("0")
    await asyncio.sleep(0.02)
    assert subscriber.got == ["0"]
    subscriber.client.resume()
    await publishing
    await subscriber.expect("0", "1", "2", "3", "4")
    await subscriber.client.unsubscribe(group)
    await subscriber.client.close()


# Whether it is there


async def test_a_value_is_claimed_once_and_kept_for_a_while(broker):
    key, other = token(), token()
    claims = await asyncio.gather(*(broker.claim(key, b"%d" % number, 60) for number in range(5)))
    assert claims.count(None) == 1
    winner = b"%d" % claims.index(None)
    assert {claim for claim in claims if claim is not None} == {winner}
    await broker.store(key, "größe".encode(), 60)
    assert await broker.claim(key, b"late", 60) == "größe".encode()
    assert await broker.claim(other, b"brief", 0.001) is None
    async with asyncio.timeout(LIMIT):
        while await broker.claim(other, b"next", 60) == b"brief":  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    assert await broker.claim(other, b"third", 60) == b"next"
    assert await broker.claim(other, b"next", 60) is None  # again, as where the answer was lost
    assert await broker.claim(other, b"third", 60, b"none") == b"next"
    claims = await asyncio.gather(*(broker.claim(other, b"over %d" % number, 60, b"next") for number in range(5)))
    assert claims.count(None) == 1


async def test_a_broker_that_is_there_says_so(broker):
    await broker.check()
    await check_layer(1)
    assert broker.status == layer_status() == LayerStatus(is_reachable=True)


@pytest.mark.redis
@pytest.mark.faults
@pytest.mark.parametrize("name", ON_REDIS)
async def test_nothing_but_our_own_error_gets_out_of_a_broker_that_is_out_of_reach(settings, own_redis, name):
    settings.FASTWS_PUBLISH_TIMEOUT_SECONDS = settings.FASTWS_PUBLISH_RETRY_SECONDS = 0.2
    settings.CHANNEL_LAYERS = {"default": layer_config(name, own_redis, token())}
    own_redis.stop()
    broker = get_broker()
    client = broker.client(print)
    for call in (
        broker.apublish(hello("a", "hi")),
        asyncio.to_thread(broker.publish, hello("a", "hi")),
        client.subscribe("a"),
        broker.check(0.2),
    ):
        with pytest.raises(WebSocketConnectionError):
            await call
    await client.close()
