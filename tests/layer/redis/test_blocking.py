"""The blocking publisher of threads without an event loop, and its connections."""

from __future__ import annotations

import threading
import time

import pytest
import redis
from channels.layers import get_channel_layer

from django_fastws import Room
from tests.conftest import layer_config
from tests.site.client import token
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
        """,
        layer_config("ours", own_redis),
    )
    assert out == "1 1\nTrue 1\n"
