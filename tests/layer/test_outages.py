"""Outages: receivers of the signals are told once, from loops and from threads."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from typing import Any

import pytest

from django_fastws import Room, WebSocketConnectionError
from django_fastws.layer import RedisChannelLayer, check_layer
from django_fastws.layer.errors import OutputBufferLimitError
from django_fastws.layer.outages import Outage, outage_of
from django_fastws.signals import layer_lost, layer_restored
from django_fastws.testing import connect as connect_inside
from tests.conftest import layer_config
from tests.layer.inside import BACK, LOST, Inside, is_lost, is_reachable, texts
from tests.site.client import until
from tests.support.scripts import run


class Told(list[Any]):
    """Receivers of both signals, and what they were told."""

    def __enter__(self) -> Told:
        layer_lost.connect(self.lost)
        layer_lost.connect(self.alost)
        layer_lost.connect(self.failing)
        layer_restored.connect(self.restored)
        layer_restored.connect(self.arestored)
        return self

    def __exit__(self, *exc_info: object) -> None:
        layer_lost.disconnect(self.lost)
        layer_lost.disconnect(self.alost)
        layer_lost.disconnect(self.failing)
        layer_restored.disconnect(self.restored)
        layer_restored.disconnect(self.arestored)

    def lost(self, sender: type, error: Exception, **more: Any) -> None:
        self.append(("lost", sender, type(error), threading.current_thread()))

    async def alost(self, sender: type, error: Exception, **more: Any) -> None:
        self.append(("alost", sender, type(error), threading.current_thread()))

    def failing(self, **more: Any) -> None:
        raise ValueError("on purpose")

    def restored(self, sender: type, error: Exception, seconds: float, **more: Any) -> None:
        self.append(("restored", sender, type(error), threading.current_thread(), seconds))

    async def arestored(self, seconds: float, **more: Any) -> None:
        self.append(("arestored", seconds))
        await Room("r").abroadcast("we are back")

    async def have(self, count: int) -> bool:
        return len(self) >= count


@pytest.mark.redis
@pytest.mark.faults
async def test_receivers_are_told_once_from_a_loop(inside, own_redis, caplog):
    ada = await inside.member("r")
    await check_layer()
    with Told() as told:
        own_redis.stop(signal.SIGKILL)
        await until(lambda: told.have(2), "the news")
        calls = [asyncio.ensure_future(Room("r").abroadcast("x")) for _ in range(5)]
        calls.append(asyncio.ensure_future(asyncio.to_thread(Room("r").broadcast, "x")))
        await asyncio.sleep(0.2)
        own_redis.start()
        await asyncio.gather(*calls)
        await until(lambda: told.have(4), "the good news")
    here = threading.current_thread()
    by_name = {row[0]: row for row in told}
    assert len(by_name) == len(told) == 4
    assert by_name["lost"][1] is by_name["alost"][1] is by_name["restored"][1] is RedisChannelLayer
    assert by_name["lost"][2] is by_name["restored"][2] is ConnectionResetError
    assert by_name["lost"][3] is not here  # it may use the ORM
    assert by_name["alost"][3] is here
    assert 0.2 < by_name["restored"][4] == by_name["arestored"][1] < 30
    (record,) = [record for record in caplog.records if record.name == "django.dispatch"]
    assert str(record.exc_info[1]) == "on purpose"
    assert sorted(await texts(ada, 7)) == ["we are back", *["x"] * 6]


@pytest.mark.redis
@pytest.mark.faults
def test_receivers_are_told_once_from_threads(settings, own_redis, caplog):
    Inside(settings, own_redis.url)
    room = Room("r")
    room.broadcast("warm")
    with Told() as told:
        own_redis.stop(signal.SIGKILL)
        threads = [threading.Thread(target=room.broadcast, args=("x",)) for _ in range(3)]
        for thread in threads:
            thread.start()
        while len(told) < 2:
            time.sleep(0.01)
        own_redis.start()
        for thread in threads:
            thread.join()
    kinds = [row[0] for row in told]
    assert (sorted(kinds[:2]), sorted(kinds[2:])) == (["alost", "lost"], ["arestored", "restored"])
    assert told[kinds.index("lost")][3] in threads
    logged = [record.getMessage() for record in caplog.records if record.name == "django_fastws.layer"]
    assert [text[: len(LOST)] for text in logged] == [LOST, BACK[: len(LOST)]]


@pytest.mark.redis
@pytest.mark.faults
async def test_a_failure_in_a_thread_is_over_when_the_loop_hears_redis(inside, own_redis, settings, quick):
    """Nobody broadcasts any more in that thread."""
    await inside.member("r")
    settings.FASTWS_PUBLISH_RETRY_SECONDS = 0.1
    own_redis.stop(signal.SIGKILL)
    with pytest.raises(WebSocketConnectionError):
        await asyncio.to_thread(Room("r").broadcast, "x")
    assert await is_lost()
    own_redis.start()
    await until(is_reachable, "the return")


@pytest.mark.redis
@pytest.mark.faults
async def test_another_layers_outage_is_told_too(settings, own_redis):
    settings.CHANNEL_LAYERS = {"default": layer_config("core", own_redis)}
    with Told() as told:
        async with connect_inside("/ws/member?room=r") as ada:
            await ada.receive_json()
            own_redis.stop(signal.SIGKILL)
            await until(is_lost, "the loss")
            own_redis.start()
            await until(is_reachable, "the return")
            await until(lambda: told.have(4), "the news")
    assert {row[0] for row in told} == {"lost", "alost", "restored", "arestored"}


@pytest.mark.redis
@pytest.mark.faults
async def test_a_child_does_not_inherit_the_outage_of_its_parent(own_redis):
    layer = layer_config("ours", own_redis)
    own_redis.stop()
    out = await run(
        """
        import logging, os, sys
        from django_fastws.layer import layer_status

        logging.disable()
        try:
            Room("room").broadcast("x")
        except WebSocketConnectionError:
            print(layer_status().is_reachable, flush=True)
        child = os.fork()
        if not child:
            print(layer_status().is_reachable, flush=True)
            os._exit(0)
        os.waitpid(child, 0)
        """,
        layer,
        FASTWS_PUBLISH_RETRY_SECONDS=0,
    )
    assert out == "False\nTrue\n"


# Without a Redis


class Layer:
    """The sender of the signals."""


@pytest.fixture
def signals():
    """What was sent for ``Layer``: "lost" or "restored", and what came with it."""
    sent = []

    def lost(sender, error, **more):
        sent.append(("lost", error))

    def restored(sender, error, seconds, **more):
        assert seconds >= 0
        sent.append(("restored", error))

    layer_lost.connect(lost, sender=Layer)
    layer_restored.connect(restored, sender=Layer)
    yield sent
    layer_lost.disconnect(lost, sender=Layer)
    layer_restored.disconnect(restored, sender=Layer)


FIRST, SECOND = ConnectionError("first"), ConnectionError("second")


def test_an_outage_begins_with_the_first_loss_and_ends_with_the_last_return(signals, caplog):
    outage = Outage(Layer)
    one, two = outage.server("one"), outage.server("two")
    assert (outage.status.is_reachable, outage.status.seconds, outage.status.error) == (True, 0.0, "")
    one.report_restored("a")  # it was never lost
    assert (one.is_lost, one.error, one.outages) == (False, None, 0)

    one.report_lost("a", FIRST)
    one.report_lost("b", SECOND)
    two.report_lost("a", SECOND)
    assert (one.is_lost, two.is_lost, one.outages, two.outages) == (True, True, 1, 1)
    assert [one.is_lost_for(user) for user in "abc"] == [True, True, False]
    assert (one.error, two.error) == (FIRST, SECOND)
    assert (outage.status.is_reachable, outage.status.error) == (False, "first")
    assert 0 < outage.status.seconds < 60

    one.report_restored("a", "c")
    assert (one.is_lost, one.is_lost_for("a"), one.error) == (True, False, SECOND)
    one.report_restored("b")
    assert (one.is_lost, one.error, two.is_lost, outage.status.is_reachable) == (False, None, True, False)
    assert signals == [("lost", FIRST)]
    two.report_restored("a")
    two.report_restored("a")
    assert (two.is_lost, outage.status.is_reachable) == (False, True)
    assert signals == [("lost", FIRST), ("restored", FIRST)]

    two.report_lost("a", SECOND)
    assert (two.outages, outage.status.error) == (2, "second")
    assert [record.getMessage()[:22] for record in caplog.records] == [
        "Lost the channel layer",
        "The channel layer is b",
        "Lost the channel layer",
    ]


def test_an_outage_that_nobody_waits_for_any_more_is_over_and_is_not_said_to_be(signals, caplog):
    outage = Outage(Layer)
    one = outage.server("one")
    one.report_lost("a", FIRST)
    one.give_up("a")
    one.give_up("a")
    assert outage.status.is_reachable
    assert signals == [("lost", FIRST), ("restored", FIRST)]  # whoever was told of the loss is told of the end
    assert "back" not in caplog.text


def test_a_process_that_fell_behind_is_not_told_that_it_has_lost_the_layer(caplog):
    Outage(Layer).server().report_lost("a", OutputBufferLimitError("too slow"))
    assert caplog.messages == ["Fell behind the channel layer, and keep trying: too slow"]


async def test_in_a_loop_the_news_comes_later_and_in_order(signals):
    server, go_on = Outage(Layer).server(), asyncio.Event()

    async def slow(sender, **more):
        await go_on.wait()

    layer_lost.connect(slow, sender=Layer)
    try:
        server.report_lost("a", FIRST)
        server.report_restored("a")
        assert signals == []
        async with asyncio.timeout(30):
            while not signals:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            assert signals == [("lost", FIRST)]
            go_on.set()
            while len(signals) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
    finally:
        layer_lost.disconnect(slow, sender=Layer)
    assert signals == [("lost", FIRST), ("restored", FIRST)]


def test_every_layer_has_one_outage():
    one, two = Layer(), Layer()
    assert outage_of(one) is outage_of(one)
    assert outage_of(one) is not outage_of(two)
