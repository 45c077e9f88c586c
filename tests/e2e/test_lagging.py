"""Broadcasts that come faster than a process can send them: what waits, what is dropped, and what is said of it."""

import asyncio
import logging
import threading
import time

import pytest
import redis
from channels.layers import get_channel_layer

from django_fastws import Room
from django_fastws._core.envelope import Envelope
from django_fastws._core.groups import group_name
from django_fastws._core.messages import Payload
from django_fastws.layer.redis import delivery_queue
from django_fastws.limits import statistics
from django_fastws.rooms import scheduler as scheduler_module
from django_fastws.rooms.hub import current_hub
from tests.support.processes import RedisServer

pytestmark = [pytest.mark.redis]


class Member:
    takes_events = False

    def __init__(self, name="member", seconds=0.0):
        self.id = name
        self.got = []
        self.seconds = seconds

    def post(self, batch):
        time.sleep(self.seconds)
        self.got += [payload.text for payload in batch.payloads]


#: Redis closes a subscriber for which it has to hold more than this.
LIMITED = ("--client-output-buffer-limit", "pubsub", "4mb", "4mb", "60")


@pytest.fixture
async def limited_redis(settings):
    with RedisServer(*LIMITED) as server:
        settings.CHANNEL_LAYERS = {
            "default": {"BACKEND": "django_fastws.layer.RedisChannelLayer", "CONFIG": {"hosts": [server.url]}}
        }
        yield server
        await get_channel_layer().flush()


@pytest.fixture
async def join():
    """Have members join rooms, and leave them when the test is over."""
    joined = []

    async def join(member, room):
        await current_hub().join(member, room)
        joined.append((member, room))
        return member

    yield join
    for member, room in joined:
        await current_hub().leave(member, room)


def told(caplog, text):
    return [record for record in caplog.records if text in record.getMessage()]


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


@pytest.fixture
def tight(monkeypatch):
    """Bounds that are soon reached."""
    monkeypatch.setattr(scheduler_module, "_MOST_BYTES", 64 * 1024)
    monkeypatch.setattr(delivery_queue, "_MOST_BYTES", 256 * 1024)


async def test_what_comes_faster_than_it_can_be_sent_is_dropped_here_and_redis_need_not_cut(
    limited_redis, join, tight, caplog
):
    before = statistics()
    busy, quiet = await join(Member(seconds=0.01), "busy"), await join(Member(), "quiet")

    count = 6000
    messages = [envelope_for("busy", f"{number:05}" + 4000 * "x") for number in range(count)]
    for part in range(6):
        messages.insert(part * 1001, envelope_for("quiet", f"{part}"))

    def publish():  # 24 MB, in a second or two
        with redis.Redis.from_url(limited_redis.url) as client:
            for start in range(0, len(messages), 100):
                pipeline = client.pipeline(transaction=False)
                for message in messages[start : start + 100]:
                    pipeline.publish(*message)
                pipeline.execute()
                time.sleep(0.015)
                # What is read late for want of a processor is not what is tested; what is not read stays there.
                end = time.monotonic() + 20
                while max(int(row["omem"]) for row in client.client_list("pubsub")) > 1_000_000:
                    if time.monotonic() > end:
                        return
                    time.sleep(0.005)

    await asyncio.to_thread(publish)
    await until(lambda: told(caplog, "can send as fast as broadcasts come again"))
    got = [int(text[:5]) for text in busy.got]
    assert got == sorted(set(got))
    assert got[-1] == count - 1
    dropped = statistics().dropped - before.dropped
    assert dropped == count - len(got) > 0
    assert quiet.got == list("012345")  # what a busy room has too much of costs a quiet one nothing
    assert statistics().cut_off == before.cut_off
    assert not told(caplog, "channel layer")
    (begins,) = told(caplog, "Broadcasts come faster than this process can send them")
    assert group_name("busy") in begins.getMessage()
    assert begins.levelno == logging.WARNING
    assert f" {dropped} were dropped" in told(caplog, "can send as fast")[0].getMessage()


async def test_who_is_cut_off_because_he_reads_too_slowly_is_told_so(limited_redis, join, caplog):
    before = statistics()
    member = await join(Member(), "lobby")

    def publish():
        with redis.Redis.from_url(limited_redis.url) as client:
            (channel,) = client.pubsub_channels("*lobby")
            while client.publish(channel, 100_000 * b"x"):
                pass

    thread = threading.Thread(target=publish)
    thread.start()
    thread.join()  # which holds the event loop
    await until(lambda: told(caplog, "The channel layer is back"))
    (record,) = told(caplog, "Fell behind the channel layer")
    assert "client-output-buffer-limit pubsub" in record.getMessage()
    assert not told(caplog, "Lost the channel layer")
    assert statistics().cut_off == before.cut_off + 1
    await Room("lobby").abroadcast("hi")
    await until(lambda: member.got == ["hi"])


async def test_a_connection_that_redis_closes_for_another_reason_is_not_called_slow(limited_redis, join, caplog):
    before = statistics()
    await join(Member(), "lobby")
    with redis.Redis.from_url(limited_redis.url) as client:
        client.client_kill_filter(_type="pubsub")
    await until(lambda: told(caplog, "The channel layer is back"))
    assert told(caplog, "Lost the channel layer")
    assert statistics().cut_off == before.cut_off


async def test_joining_while_the_subscription_is_made_again_waits_for_it(limited_redis, join, caplog):
    await join(Member("one"), "lobby")
    layer = get_channel_layer().for_loop()
    with redis.Redis.from_url(limited_redis.url) as client:
        client.client_kill_filter(_type="pubsub")
        async with asyncio.timeout(60):
            while layer.is_subscribed(group_name("lobby")):  # noqa: ASYNC110
                await asyncio.sleep(0)  # each turn: it is made again within milliseconds
        two = await join(Member("two"), "lobby")
        assert client.publish(*envelope_for("lobby", "hi")) == 1
    await until(lambda: two.got == ["hi"])


def envelope_for(name, text, **more):
    layer = get_channel_layer()
    message = Envelope.broadcast(group_name(name), Payload(text)).encode() | more
    return layer.for_loop()._get_group_channel_name(group_name(name)), layer.serialize(message)


async def test_a_broadcast_that_says_it_is_for_another_room_is_for_nobody(limited_redis, join, caplog):
    one, two = await join(Member("one"), "one"), await join(Member("two"), "two")
    with redis.Redis.from_url(limited_redis.url) as client:
        for _ in range(3):
            channel, data = envelope_for("one", "for two", room=group_name("two"))
            assert client.publish(channel, data) == 1
        client.publish(*envelope_for("one", "hi"))
        client.publish(*envelope_for("two", "ho"))
    await until(lambda: one.got and two.got)
    assert (one.got, two.got) == (["hi"], ["ho"])
    (record,) = told(caplog, "another room")
    assert group_name("one") in record.getMessage()
