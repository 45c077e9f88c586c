"""Subscriptions that are kept in the background, on a client of a broker that is not there."""

import asyncio
import logging

import pytest

from django_fastws import WebSocketConnectionError
from django_fastws.rooms import subscriptions
from django_fastws.rooms.subscriptions import Subscriptions
from tests.support.brokers import FakeClient, fake_broker
from tests.support.clock import Clock

GROUP = "fastws.c.test"


@pytest.fixture
def clients(monkeypatch):
    """Every client that was made."""
    made = []

    def make(deliver):
        made.append(FakeClient(deliver))
        return made[-1]

    monkeypatch.setattr(subscriptions, "get_broker", fake_broker(client=make))
    return made


@pytest.fixture
def failing(clients, monkeypatch):
    """Clients that fail until this is emptied."""
    errors = [WebSocketConnectionError("away")] * 100

    def make(deliver):
        clients.append(FakeClient(deliver))
        clients[-1].fails["subscribe"] = errors
        return clients[-1]

    monkeypatch.setattr(subscriptions, "get_broker", fake_broker(client=make))
    return errors


@pytest.fixture
def held(clients, monkeypatch):
    """Clients on which subscribing takes until this is set."""
    go_on = asyncio.Event()

    def make(deliver):
        clients.append(FakeClient(deliver))
        clients[-1].gates["subscribe"] = go_on
        return clients[-1]

    monkeypatch.setattr(subscriptions, "get_broker", fake_broker(client=make))
    return go_on


def kept(deliver=print, **options):
    """Subscriptions, of which this module keeps one."""
    return Subscriptions(deliver, what="disconnect()", logger=logging.getLogger("django_fastws.users"), **options)


async def settled():
    for _ in range(20):
        await asyncio.sleep(0)


async def test_it_listens_while_it_is_wanted(clients):
    group = kept()
    group.keep(GROUP)
    await group.wait(GROUP)
    assert [client.groups for client in clients] == [{GROUP}]
    group.keep(GROUP)
    await group.wait(GROUP)
    assert clients[0].short == ["+fastws.c.test"]
    group.release(GROUP)
    await settled()
    assert clients[0].short == ["+fastws.c.test", "-fastws.c.test", "close"]
    group.keep(GROUP)
    await group.wait(GROUP)
    assert clients[1].groups == {GROUP}


async def test_what_is_published_is_delivered(clients):
    got = []
    group = kept(got.append)
    group.keep(GROUP)
    await group.wait(GROUP)
    clients[0].deliver({"type": "x"})
    assert got == [{"type": "x"}]


async def test_who_is_there_only_for_a_moment_costs_nothing(clients):
    group = kept()
    group.keep(GROUP)
    group.release(GROUP)
    await settled()
    assert clients == []


async def test_who_comes_while_it_stops_is_listened_for(clients):
    group = kept()
    group.keep(GROUP)
    await group.wait(GROUP)
    clients[0].gates["unsubscribe"].clear()
    group.release(GROUP)
    await settled()
    group.keep(GROUP)
    waiting = asyncio.create_task(group.wait(GROUP))
    await settled()
    assert not waiting.done()
    clients[0].gates["unsubscribe"].set()
    await waiting
    assert [client.groups for client in clients] == [{GROUP}]
    assert clients[0].short == ["+fastws.c.test", "-fastws.c.test", "+fastws.c.test"]


async def test_who_goes_while_it_starts_leaves_nothing(clients, held):
    group = kept()
    group.keep(GROUP)
    await settled()
    group.release(GROUP)
    await settled()
    held.set()
    await settled()
    assert clients[0].short == ["+fastws.c.test", "-fastws.c.test", "close"]
    assert clients[0].closed
    assert clients[0].groups == set()


async def test_nobody_waits_for_more_than_a_second(clients, held):
    clock = Clock()
    group = kept()
    group.keep(GROUP)
    waiting = [asyncio.create_task(group.wait(GROUP)) for _ in range(2)]
    await clock.advance(0.9)
    late = asyncio.create_task(group.wait(GROUP))
    await settled()
    assert not any(task.done() for task in [*waiting, late])
    await clock.advance(0.2)
    assert all(task.done() for task in [*waiting, late])
    held.set()
    await settled()
    assert clients[0].groups == {GROUP}


async def test_what_fails_is_tried_again_and_said_once(clients, failing, caplog):
    clock = Clock()
    group = kept()
    group.keep(GROUP)
    await group.wait(GROUP)
    for _ in range(5):
        await clock.advance(31)
    assert len(clients) == 1
    assert clients[0].short.count("+fastws.c.test") == 6
    assert caplog.text.count("Not subscribed to disconnect()") == 1
    assert "Traceback" not in caplog.text
    failing.clear()
    await clock.advance(31)
    assert clients[0].groups == {GROUP}
    assert caplog.text.count("Subscribed to disconnect() again") == 1
    await clock.advance(100)
    assert clients[0].short.count("+fastws.c.test") == 7


async def test_while_the_layer_is_away_nobody_waits(clients, failing):
    group = kept()
    group.keep(GROUP)
    await group.wait(GROUP)
    calls = len(clients[0].calls)
    for _ in range(100):
        group.keep(GROUP)
        async with asyncio.timeout(0.01):
            await group.wait(GROUP)
    await settled()
    assert len(clients[0].calls) == calls


async def test_who_goes_while_the_layer_is_away_leaves_nothing(clients, failing):
    clock = Clock()
    group = kept()
    group.keep(GROUP)
    await group.wait(GROUP)
    group.release(GROUP)
    await settled()
    assert clients[0].closed
    calls = len(clients[0].calls)
    await clock.advance(100)
    assert len(clients[0].calls) == calls


async def test_leaving_may_fail(clients, caplog):
    caplog.set_level(logging.INFO, "django_fastws")
    group = kept()
    group.keep(GROUP)
    await group.wait(GROUP)
    clients[0].fails["unsubscribe"] = [WebSocketConnectionError("away")]
    group.release(GROUP)
    await settled()
    assert clients[0].closed
    assert caplog.text == ""


async def test_a_mistake_is_logged_with_its_traceback_and_tried_again(clients, caplog, monkeypatch):
    clock = Clock()
    group = kept()
    monkeypatch.setattr(FakeClient, "subscribe", None)
    group.keep(GROUP)
    await group.wait(GROUP)
    assert "TypeError" in caplog.text
    monkeypatch.undo()
    monkeypatch.setattr(subscriptions, "get_broker", fake_broker(client=lambda deliver: clients[-1]))
    await clock.advance(31)


async def test_a_layer_that_forgets_is_told_again(clients, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(FakeClient, "refresh_seconds", 1000)
    group = kept()
    group.keep(GROUP)
    await group.wait(GROUP)
    for count in (2, 3):
        await clock.advance(1001)
        assert clients[0].short == ["+fastws.c.test"] * count
    group.release(GROUP)
    await settled()
    await clock.advance(5000)
    assert clients[0].closed
    assert len(clients) == 1


async def test_one_can_wait_until_it_has_stopped(clients):
    group = kept()
    await group.settled()
    group.keep(GROUP)
    await group.wait(GROUP)
    clients[0].gates["unsubscribe"].clear()
    group.release(GROUP)
    waiting = asyncio.create_task(group.settled())
    await settled()
    assert not waiting.done()
    clients[0].gates["unsubscribe"].set()
    await waiting
    assert clients[0].closed


async def test_nothing_runs_while_it_listens(clients):
    group = kept()
    before = asyncio.all_tasks()
    group.keep(GROUP)
    await group.wait(GROUP)
    await settled()
    assert asyncio.all_tasks() == before


async def test_while_the_subscription_is_made_again_it_is_waited_for_but_not_for_long(clients):
    clock = Clock()
    group = kept()
    group.keep(GROUP)
    await group.wait(GROUP)
    (client,) = clients
    client.lost.add(GROUP)
    client.gates["resubscribed"].clear()
    waiting = [asyncio.ensure_future(group.wait(GROUP)) for _ in range(2)]
    await settled()
    assert not any(task.done() for task in waiting)
    client.lost.clear()
    client.gates["resubscribed"].set()
    await asyncio.gather(*waiting)
    await group.wait(GROUP)

    client.lost.add(GROUP)
    client.gates["resubscribed"].clear()
    waiting = [asyncio.ensure_future(group.wait(GROUP))]
    await settled()
    await clock.advance(0.9)
    assert not waiting[0].done()
    await clock.advance(0.2)
    await asyncio.gather(*waiting)
    await group.wait(GROUP)  # it has been away for longer than that, and holds up nobody
    group.release(GROUP)
    await group.settled()


async def test_a_kept_group_that_could_not_be_refreshed_is_retried(clients, monkeypatch, caplog):
    clock = Clock()
    monkeypatch.setattr(FakeClient, "refresh_seconds", 1000)
    group = kept()
    group.keep(GROUP)
    await group.wait(GROUP)
    clients[0].fails["subscribe"] = [WebSocketConnectionError("away")] * 2
    await clock.advance(1001)
    assert not group.is_subscribed(GROUP)
    for _ in range(3):
        await clock.advance(31)
    assert group.is_subscribed(GROUP)
    assert clients[0].short == ["+fastws.c.test"] * 4
    assert caplog.text.count("Not subscribed to disconnect()") == 1
    assert caplog.text.count("Subscribed to disconnect() again") == 1
    group.release(GROUP)
    await group.settled()


async def test_what_nobody_has_subscribed_to_is_given_back_and_waited_for_without_asking_the_layer(clients):
    clock, group = Clock(stands_still=True), kept()

    async def use():
        await group.unsubscribe(GROUP)
        await group.wait(GROUP)
        group.release(GROUP)
        await group.settled()

    using = asyncio.create_task(use())
    await clock.advance(0)
    assert using.done()
    await using
    assert (clients, group.is_open) == ([], False)


async def test_a_kept_group_stands_once_it_is_subscribed_to_and_until_that_is_lost(clients):
    group = kept()
    assert not group.stands(GROUP)
    group.keep(GROUP)
    assert not group.stands(GROUP)
    await group.wait(GROUP)
    await settled()
    assert group.stands(GROUP)
    (client,) = clients
    client.lost.add(GROUP)
    assert not group.stands(GROUP)
    client.lost.clear()
    assert group.stands(GROUP)
    group.release(GROUP)
    assert not group.stands(GROUP)
    await group.settled()


async def test_where_it_stands_again_the_time_that_others_have_waited_counts_no_more(clients):
    clock, group = Clock(), kept()
    group.keep(GROUP)
    await group.wait(GROUP)
    (client,) = clients
    for _ in range(2):  # both times it is waited for
        client.lost.add(GROUP)
        client.gates["resubscribed"].clear()
        waiting = asyncio.ensure_future(group.wait(GROUP))
        await settled()
        assert not waiting.done()
        await clock.advance(1.1)
        await waiting
        client.lost.clear()
        assert group.stands(GROUP)
    group.release(GROUP)
    await group.settled()


async def test_a_mistake_in_giving_back_is_logged_with_its_traceback(clients, caplog):
    group = kept()
    group.keep(GROUP)
    await group.wait(GROUP)
    clients[0].fails["unsubscribe"] = [ValueError("on purpose")]
    group.release(GROUP)
    await group.settled()
    assert clients[0].closed
    (record,) = caplog.records
    assert (record.levelname, record.getMessage()) == ("ERROR", "Could not unsubscribe from disconnect()")
    assert str(record.exc_info[1]) == "on purpose"
