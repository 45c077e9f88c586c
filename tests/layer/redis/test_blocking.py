"""The blocking publisher of threads without an event loop, and its connections."""

from __future__ import annotations

import threading
import time

import pytest
import redis
from channels.layers import get_channel_layer

from django_fastws import History, Latest, Position, Room, WebSocketConnectionError
from django_fastws._core.envelope import BROADCAST, Envelope
from django_fastws._core.history_page import PageQuery
from django_fastws._core.latest import Keyed
from django_fastws.layer import get_broker
from tests.conftest import layer_config
from tests.site.client import token
from tests.support.processes import RedisServer, stopped
from tests.support.scripts import run

pytestmark = pytest.mark.redis


def test_threads_keep_their_connections_and_give_them_back(settings, own_redis):
    settings.CHANNEL_LAYERS = {"default": layer_config("ours", own_redis)}
    room, blocking = Room(token()), get_channel_layer().blocking
    threads = [threading.Thread(target=lambda: [room.broadcast("x") for _ in range(50)]) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with redis.Redis.from_url(own_redis.url) as client:

        def connections() -> int:
            return len(client.client_list()) - 1

        assert 1 <= connections() <= 6
        blocking.close()
        while connections():
            time.sleep(0.01)
        room.broadcast("and again")
        assert connections() == 1
    blocking.close()


@pytest.mark.redis
async def test_threads_share_a_few_connections_and_start_no_event_loop_and_no_thread(own_redis):
    out = await run(
        """
        import asyncio, threading
        from django.conf import settings
        import redis

        def refuse(*args, **kwargs):
            raise AssertionError("on purpose")

        asyncio.new_event_loop = asyncio.run = asyncio.Runner = refuse
        client = redis.Redis.from_url(settings.CHANNEL_LAYERS["default"]["CONFIG"]["hosts"][0])
        def work():
            for _ in range(100):
                Room("room").broadcast("x")

        Room("room").broadcast("x")
        print(len(client.client_list()) - 1, threading.active_count())  # without this client, with this thread
        for turn in range(3):
            threads = [threading.Thread(target=work) for _ in range(8)]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
        print(len(client.client_list()) - 1 <= 8, threading.active_count())
        client.close()
        del client  # in redis-py 5.0, it complains of the end of the interpreter
        """,
        layer_config("ours", own_redis),
    )
    assert out == "1 1\nTrue 1\n"


# Several at once

HISTORY = History(messages=10_000)


def stored(room, count, **more):
    return [Envelope(BROADCAST, room, str(number), history=HISTORY, **more) for number in range(count)]


def test_several_are_one_exchange_over_one_connection(settings, own_redis, monkeypatch):
    settings.CHANNEL_LAYERS = {"default": layer_config("ours", own_redis)}
    blocking, sizes = get_channel_layer().blocking, []
    send = blocking._send

    def counted(connection, data, ends=None, count=0):
        sizes.append(count)
        return send(connection, data, ends, count)

    monkeypatch.setattr(blocking, "_send", counted)
    get_broker().publish_all(stored("a", 2))  # which loads the script
    sizes.clear()
    found = get_broker().publish_all(stored("a", 600) + stored("b", 400))
    assert sizes == [1000]
    assert [position.offset for position in found] == [*range(3, 603), *range(1, 401)]
    blocking.close()


@pytest.mark.parametrize("flushed", [0, 40])
def test_scripts_that_redis_has_forgotten_change_no_order(settings, own_redis, monkeypatch, flushed):
    settings.CHANNEL_LAYERS = {"default": layer_config("ours", own_redis)}
    blocking = get_channel_layer().blocking
    keyed = Keyed("k", False, Latest(seconds=60))
    sent = stored("a", 80)
    sent[20:20] = [Envelope(BROADCAST, "b", str(number), keyed=keyed) for number in range(20)]
    get_broker().publish_all(sent)
    send = blocking._send

    def forgetting(connection, data, ends=None, count=0):
        monkeypatch.setattr(blocking, "_send", send)
        commands = data.split(b"*1")  # each is an array of 14 or more
        forget = b"*2\r\n$6\r\nSCRIPT\r\n$5\r\nFLUSH\r\n"
        at = len(b"*1".join(commands[: flushed + 1]))
        replies = send(connection, data[:at] + forget + data[at:], ends, count + 1)
        del replies[flushed]
        return replies

    monkeypatch.setattr(blocking, "_send", forgetting)
    found = get_broker().publish_all(sent)
    assert not [one for one in found if not isinstance(one, Position)]
    assert [one.offset for one in found[20:40]] == sorted(one.offset for one in found[20:40])
    page = get_broker().read_history("a", HISTORY, PageQuery())
    assert [one.envelope.data for one in page.stored] == [str(number) for number in range(80)] * 2
    assert [one.envelope.position for one in page.stored[80:]] == found[:20] + found[40:]
    blocking.close()


def test_of_two_redis_the_one_that_is_away_or_silent_keeps_nobody_from_the_other(settings, own_redis):
    settings.FASTWS_PUBLISH_TIMEOUT_SECONDS = settings.FASTWS_PUBLISH_RETRY_SECONDS = 0.2
    with RedisServer() as other:
        config = layer_config("ours", own_redis)
        config["CONFIG"]["hosts"].append(other.url)
        settings.CHANNEL_LAYERS = {"default": config}
        broker, blocking = get_broker(), get_channel_layer().blocking
        sent = [one for number in range(40) for one in stored(f"room-{number}", 2)]
        assert all(isinstance(one, Position) for one in broker.publish_all(sent))

        def outcomes():
            found = [isinstance(one, Position) for one in broker.publish_all(sent)]
            assert found[::2] == found[1::2]
            return found

        with stopped(other):
            is_away = [not is_there for is_there in outcomes()]
            assert any(is_away)
            assert not all(is_away)
        other.stop()
        for _ in range(2):
            assert outcomes() == [not away for away in is_away]
        own_redis.stop()
        assert {type(one) for one in broker.publish_all(sent)} == {WebSocketConnectionError}
        blocking.close()
