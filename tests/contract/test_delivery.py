"""What every broker owes to publishers and subscribers while nothing breaks."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from itertools import groupby
from typing import Any

import pytest
from channels.layers import get_channel_layer

from django_fastws import History, Latest
from django_fastws._core.envelope import BROADCAST, Envelope
from django_fastws._core.history_checks import encode_history_check
from django_fastws._core.history_page import PageQuery
from django_fastws._core.latest import Keyed
from django_fastws.layer import LayerStatus, check_layer, layer_status
from tests.contract.implementations import Implementation
from tests.contract.subscriber import Subscriber, hello
from tests.site.client import LIMIT, token
from tests.support.scripts import run

pytestmark = pytest.mark.broker("is_variant")


# Publishing


async def test_what_a_loop_publishes_arrives_in_the_order_of_the_calls(broker, group):
    texts = [str(number) for number in range(50)]
    async with Subscriber(broker, group) as subscriber:
        for text in texts:
            await broker.apublish(hello(group, text))
        await subscriber.expect(*texts)


async def test_what_a_thread_publishes_arrives_in_its_order_and_as_it_was(broker, group, implementation):
    sent = [Envelope(BROADCAST, group, str(number), "größe ✓") for number in range(10)]
    sent += [Envelope(BROADCAST, group, b"\x00\xff" if is_binary(implementation) else "x")]
    sent += [Envelope(BROADCAST, group, "")]
    sent.append(Envelope.control(group, {"do": "nothing", "größe": "✓"}))
    async with Subscriber(broker, group) as subscriber:
        await asyncio.to_thread(lambda: [broker.publish(envelope) for envelope in sent])
        envelopes = await subscriber.take(len(sent))
    plain = [dataclasses.replace(envelope, sender=None, number=None) for envelope in envelopes]
    assert plain[:12] == sent[:12]
    assert [envelope.fields for envelope in plain[12:]] == [envelope.fields for envelope in sent[12:]]


async def test_several_of_a_thread_arrive_each_once_and_in_its_order(broker, group):
    other = token()
    sent = [hello((group, other)[number % 3 == 0], str(number)) for number in range(90)]
    async with Subscriber(broker, group) as one, Subscriber(broker, other) as two:
        assert await asyncio.to_thread(broker.publish_all, sent) == [None] * 90
        await one.expect(*(str(number) for number in range(90) if number % 3))
        await two.expect(*(str(number) for number in range(90) if number % 3 == 0))
        assert await asyncio.to_thread(broker.publish_all, []) == []
        await asyncio.to_thread(broker.publish, hello(group, "after"))
        await asyncio.to_thread(broker.publish_all, [hello(group, "last")])
        await one.hears("last")
        assert one.texts[-2:] == ["after", "last"]


async def test_the_trace_of_a_broadcast_arrives_with_it_whoever_publishes(broker, group):
    traces = [f"00-{number + 1:032x}-{number + 1:016x}-01" for number in range(4)]
    async with Subscriber(broker, group) as subscriber:
        await broker.apublish(dataclasses.replace(hello(group, "loop"), trace=traces[0]))
        await subscriber.take(1)
        await asyncio.to_thread(broker.publish, dataclasses.replace(hello(group, "thread"), trace=traces[1]))
        several = [dataclasses.replace(hello(group, "of several"), trace=trace) for trace in traces[2:]]
        await asyncio.to_thread(broker.publish_all, [*several, hello(group, "untraced")])
        found = await subscriber.take(5)
    assert [envelope.trace for envelope in found] == [*traces, None]


def is_binary(implementation: Implementation) -> bool:
    """Whether it can carry bytes: channels-redis cannot encode them as JSON."""
    return getattr(implementation, "options", {}).get("serializer_format") != "json"


@pytest.mark.broker("keeps_order")
async def test_calls_of_a_loop_that_overlap_keep_their_order(broker, group):
    texts = [str(number) for number in range(50)]
    async with Subscriber(broker, group) as subscriber:
        await asyncio.gather(*(broker.apublish(hello(group, text)) for text in texts))
        await subscriber.expect(*texts)


@pytest.mark.broker("keeps_order", "serves_loops")
async def test_each_publisher_has_its_order_though_its_calls_overlap_and_all_comes_once(broker):
    """Two loops and two threads publish to two groups, each as fast as it can."""
    groups, each = [token(), token()], 60

    async def in_loop(name: str) -> None:
        await asyncio.gather(
            *(broker.apublish(hello(group, f"{name} {turn}")) for turn in range(each) for group in groups)
        )

    def in_thread(name: str) -> None:
        for turn in range(each):
            for group in groups:
                broker.publish(hello(group, f"{name} {turn}"))

    async def elsewhere() -> None:
        await in_loop("elsewhere")
        if (layer := get_channel_layer()) is not None:
            await layer.flush()  # what it has in that loop

    async with Subscriber(broker, groups[0]) as one, Subscriber(broker, groups[1]) as other:
        names = ["here", "there", "elsewhere", "thread 1", "thread 2"]
        await asyncio.gather(
            in_loop("here"),
            in_loop("there"),
            asyncio.to_thread(lambda: asyncio.run(elsewhere())),
            asyncio.to_thread(in_thread, "thread 1"),
            asyncio.to_thread(in_thread, "thread 2"),
        )
        for subscriber in one, other:
            await subscriber.take(len(names) * each)
            by_name = {
                name: [text.rpartition(" ")[2] for text in texts]
                for name, texts in groupby(sorted(subscriber.texts, key=publisher_of), publisher_of)
            }
            assert by_name == {name: [str(turn) for turn in range(each)] for name in names}


def publisher_of(text: Any) -> str:
    return str(text).rpartition(" ")[0]


@pytest.mark.broker("serves_loops")
async def test_every_client_of_a_process_gets_it_once(broker, group):
    """A loop has one client for a group; another loop has its own."""
    got: list[Any] = []
    is_ready, is_over = threading.Event(), threading.Event()

    async def listen() -> None:
        async with Subscriber(broker, group) as subscriber:
            is_ready.set()
            while not is_over.is_set():  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            await subscriber.hears("19")
            got.extend(subscriber.texts)
        if (layer := get_channel_layer()) is not None:
            await layer.flush()

    other = threading.Thread(target=lambda: asyncio.run(listen()))
    async with Subscriber(broker, group) as subscriber:
        other.start()
        assert await asyncio.to_thread(is_ready.wait, LIMIT)
        for number in range(10):
            await broker.apublish(hello(group, str(number)))
        await asyncio.to_thread(lambda: [broker.publish(hello(group, str(number))) for number in range(10, 20)])
        await subscriber.hears("19")
        is_over.set()
        await asyncio.to_thread(other.join)
        assert subscriber.texts == got == [str(number) for number in range(20)]


# Subscribing


async def test_nothing_is_missed_after_subscribing_and_nothing_comes_after_unsubscribing(broker, group):
    other = token()
    async with Subscriber(broker, other) as subscriber:
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
        assert subscriber.restored == 0


async def test_what_others_subscribe_to_does_not_come(broker):
    groups = [token() for _ in range(8)]
    async with Subscriber(broker, *groups[:4]) as some, Subscriber(broker, *groups[4:]) as others:
        await asyncio.gather(*(broker.apublish(hello(group, group)) for group in groups))
        assert sorted(one.room for one in await some.take(4)) == sorted(groups[:4])
        assert sorted(one.room for one in await others.take(4)) == sorted(groups[4:])
        assert some.texts == [one.room for one in some.got]


async def test_while_a_client_is_held_nothing_more_is_delivered_and_then_all_in_order(broker, group):
    async with Subscriber(broker, group, last="0") as subscriber:

        async def publish() -> None:
            for number in range(5):
                await broker.apublish(hello(group, str(number)))

        publishing = asyncio.create_task(publish())
        await subscriber.expect("0")
        await asyncio.sleep(0.02)
        assert subscriber.texts == ["0"]
        subscriber.client.resume()
        await publishing
        await subscriber.expect("0", "1", "2", "3", "4")


# Values


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


# What it cannot


@pytest.mark.broker("not has_history")
async def test_a_broker_without_histories_says_so_and_publishes_all_the_same(broker, group):
    history, latest = History(), Latest()
    assert not broker.has_history
    async with Subscriber(broker, group) as subscriber:
        assert await broker.apublish(hello(group, "a", history=history)) is None
        assert await asyncio.to_thread(broker.publish, hello(group, "b", history=history)) is None
        assert await broker.apublish(hello(group, "c", keyed=Keyed("key", False, latest))) is None
        assert [(one.data, one.position) for one in await subscriber.take(3)] == [(text, None) for text in "abc"]
    clearing = encode_history_check(group)
    for call in (
        broker.aread_history(group, history, PageQuery()),
        broker.aclear_history(clearing, history),
        broker.aread_latest(group, latest),
        asyncio.to_thread(broker.read_history, group, history, PageQuery()),
        asyncio.to_thread(broker.clear_history, clearing, history),
    ):
        with pytest.raises(NotImplementedError, match="keeps no history"):
            await call


# Whether it is there


async def test_a_broker_that_is_there_says_so(broker):
    await broker.check()
    await check_layer(1)
    assert broker.status == layer_status() == LayerStatus(is_reachable=True)


# Other processes

FORKING = """
import asyncio, os, sys
from django_fastws.layer import get_broker
from django_fastws import History, Latest
from django_fastws._core.envelope import BROADCAST, Envelope
from django_fastws._core.history_checks import encode_history_check
from django_fastws._core.history_page import PageQuery
from django_fastws._core.latest import Keyed

group = sys.argv[-1]

def publish(text):
    get_broker().publish(Envelope(BROADCAST, group, text))

async def apublish(text):
    await get_broker().apublish(Envelope(BROADCAST, group, text))

publish("parent")
child = os.fork()
if not child:
    publish("child")
    asyncio.run(apublish("child, in a loop"))
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
publish("parent again")
asyncio.run(apublish("parent, in a loop"))
"""


@pytest.mark.slow
@pytest.mark.broker("has_outages")
async def test_a_child_that_was_forked_publishes_and_its_parent_goes_on(broker, group, implementation, settings):
    async with Subscriber(broker, group) as subscriber:
        code = FORKING.replace("sys.argv[-1]", repr(group))
        options = ["-W", "error", "-W", "ignore:This process:DeprecationWarning"]  # that it has threads
        await run(code, settings.CHANNEL_LAYERS["default"], options=options)
        await subscriber.expect("parent", "child", "child, in a loop", "parent again", "parent, in a loop")
