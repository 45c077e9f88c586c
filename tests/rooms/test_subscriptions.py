"""The subscription on which disconnect() is heard of, on a link that is not there."""

import asyncio
import logging

import pytest

from django_fastws import WebSocketConnectionError
from django_fastws.rooms import listener
from django_fastws.rooms.listener import Listener
from tests.rooms.test_hub import FakeLink
from tests.support.clock import Clock


@pytest.fixture
def links(monkeypatch):
    """Every link that was made."""
    made = []

    def make(deliver):
        made.append(FakeLink(deliver))
        return made[-1]

    monkeypatch.setattr(listener, "link", make)
    return made


@pytest.fixture
def failing(links, monkeypatch):
    """Links that fail until this is emptied."""
    errors = [WebSocketConnectionError("away")] * 100

    def make(deliver):
        links.append(FakeLink(deliver))
        links[-1].fails["subscribe"] = errors
        return links[-1]

    monkeypatch.setattr(listener, "link", make)
    return errors


@pytest.fixture
def held(links, monkeypatch):
    """Links on which subscribing takes until this is set."""
    go_on = asyncio.Event()

    def make(deliver):
        links.append(FakeLink(deliver))
        links[-1].gates["subscribe"] = go_on
        return links[-1]

    monkeypatch.setattr(listener, "link", make)
    return go_on


def listen(deliver=print):
    return Listener("fastws.c.test", deliver)


async def settled():
    for _ in range(20):
        await asyncio.sleep(0)


async def test_it_listens_while_it_is_wanted(links):
    ear = listen()
    ear.start()
    await ear.wait()
    assert [link.groups for link in links] == [{"fastws.c.test"}]
    ear.start()
    await ear.wait()
    assert links[0].short == ["+fastws.c.test"]
    ear.stop()
    await settled()
    assert links[0].short == ["+fastws.c.test", "-fastws.c.test", "close"]
    ear.start()
    await ear.wait()
    assert links[1].groups == {"fastws.c.test"}


async def test_what_is_published_is_delivered(links):
    got = []
    ear = listen(got.append)
    ear.start()
    await ear.wait()
    links[0].deliver({"type": "x"})
    assert got == [{"type": "x"}]


async def test_who_is_there_only_for_a_moment_costs_nothing(links):
    ear = listen()
    ear.start()
    ear.stop()
    await settled()
    assert links == []


async def test_who_comes_while_it_stops_is_listened_for(links):
    ear = listen()
    ear.start()
    await ear.wait()
    links[0].gates["unsubscribe"].clear()
    ear.stop()
    await settled()
    ear.start()
    waiting = asyncio.create_task(ear.wait())
    await settled()
    assert not waiting.done()
    links[0].gates["unsubscribe"].set()
    await waiting
    assert links[1].groups == {"fastws.c.test"}


async def test_who_goes_while_it_starts_leaves_nothing(links, held):
    ear = listen()
    ear.start()
    await settled()
    ear.stop()
    await settled()
    held.set()
    await settled()
    assert links[0].short == ["+fastws.c.test", "-fastws.c.test", "close"]
    assert links[0].closed
    assert links[0].groups == set()


async def test_nobody_waits_for_more_than_a_second(links, held):
    clock = Clock()
    ear = listen()
    ear.start()
    waiting = [asyncio.create_task(ear.wait()) for _ in range(2)]
    await clock.advance(0.9)
    late = asyncio.create_task(ear.wait())
    await settled()
    assert not any(task.done() for task in [*waiting, late])
    await clock.advance(0.2)
    assert all(task.done() for task in [*waiting, late])
    held.set()
    await settled()
    assert links[0].groups == {"fastws.c.test"}


async def test_what_fails_is_tried_again_and_said_once(links, failing, caplog):
    clock = Clock()
    ear = listen()
    ear.start()
    await ear.wait()
    for _ in range(5):
        await clock.advance(31)
    assert len(links) == 1
    assert links[0].short.count("+fastws.c.test") == 6
    assert caplog.text.count("is not heard of here") == 1
    assert "Traceback" not in caplog.text
    failing.clear()
    await clock.advance(31)
    assert links[0].groups == {"fastws.c.test"}
    assert caplog.text.count("is heard of again") == 1
    await clock.advance(100)
    assert links[0].short.count("+fastws.c.test") == 7


async def test_while_the_layer_is_away_nobody_waits(links, failing):
    ear = listen()
    ear.start()
    await ear.wait()
    calls = len(links[0].calls)
    for _ in range(100):
        ear.start()
        async with asyncio.timeout(0.01):
            await ear.wait()
    await settled()
    assert len(links[0].calls) == calls


async def test_who_goes_while_the_layer_is_away_leaves_nothing(links, failing):
    clock = Clock()
    ear = listen()
    ear.start()
    await ear.wait()
    ear.stop()
    await settled()
    assert links[0].closed
    calls = len(links[0].calls)
    await clock.advance(100)
    assert len(links[0].calls) == calls


async def test_leaving_may_fail(links, caplog):
    caplog.set_level(logging.INFO, "django_fastws")
    ear = listen()
    ear.start()
    await ear.wait()
    links[0].fails["unsubscribe"] = [WebSocketConnectionError("away")]
    ear.stop()
    await settled()
    assert links[0].closed
    assert caplog.text == ""


async def test_a_mistake_is_logged_with_its_traceback_and_tried_again(links, caplog, monkeypatch):
    clock = Clock()
    ear = listen()
    monkeypatch.setattr(FakeLink, "subscribe", None)
    ear.start()
    await ear.wait()
    assert "TypeError" in caplog.text
    monkeypatch.undo()
    monkeypatch.setattr(listener, "link", lambda deliver: links[-1])
    await clock.advance(31)


async def test_a_layer_that_forgets_is_told_again(links, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(FakeLink, "refresh_seconds", 1000)
    ear = listen()
    ear.start()
    await ear.wait()
    for count in (2, 3):
        await clock.advance(1001)
        assert links[0].short == ["+fastws.c.test"] * count
    ear.stop()
    await settled()
    await clock.advance(5000)
    assert links[0].closed
    assert len(links) == 1


async def test_one_can_wait_until_it_has_stopped(links):
    ear = listen()
    await ear.settled()
    ear.start()
    await ear.wait()
    links[0].gates["unsubscribe"].clear()
    ear.stop()
    waiting = asyncio.create_task(ear.settled())
    await settled()
    assert not waiting.done()
    links[0].gates["unsubscribe"].set()
    await waiting
    assert links[0].closed


async def test_nothing_runs_while_it_listens(links):
    ear = listen()
    before = asyncio.all_tasks()
    ear.start()
    await ear.wait()
    await settled()
    assert asyncio.all_tasks() == before


async def test_while_the_subscription_is_made_again_it_is_waited_for_but_not_for_long(links):
    clock = Clock()
    ear = listen()
    ear.start()
    await ear.wait()
    (link,) = links
    link.lost.add("fastws.c.test")
    link.gates["resubscribed"].clear()
    waiting = [asyncio.ensure_future(ear.wait()) for _ in range(2)]
    await settled()
    assert not any(task.done() for task in waiting)
    link.lost.clear()
    link.gates["resubscribed"].set()
    await asyncio.gather(*waiting)
    await ear.wait()

    link.lost.add("fastws.c.test")
    link.gates["resubscribed"].clear()
    waiting = [asyncio.ensure_future(ear.wait())]
    await settled()
    await clock.advance(0.9)
    assert not waiting[0].done()
    await clock.advance(0.2)
    await asyncio.gather(*waiting)
    await ear.wait()  # it has been away for longer than that, and holds up nobody
    ear.stop()
    await ear.settled()
