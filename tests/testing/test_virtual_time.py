"""Virtual time: what is due in it happens, in order, and what is kept in memory is forgotten by it."""

import asyncio
import time as clocks

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.test import SimpleTestCase

from django_fastws import FastWS, History, Latest, LiveError, LiveSocket, Room, presence
from django_fastws.clock import process_clock
from django_fastws.testing import clear_histories, live, virtual_time

DAY = 86_400
ADA, BOB, EVE = (User(pk=pk, username=name) for pk, name in ((5, "ada"), (6, "bob"), (7, "eve")))


@pytest.fixture(autouse=True)
def _nothing_of_other_tests():
    clear_histories()


# The loop


async def test_what_is_due_happens_in_order_and_what_it_causes_too():
    loop, happened = asyncio.get_running_loop(), []
    async with virtual_time() as time:
        began = loop.time()

        def note(name, *then):
            happened.append((name, round(loop.time() - began)))
            if then:
                loop.call_later(10, note, *then)

        loop.call_later(30, note, "c")
        loop.call_later(15, note, "a", "b", "d", "late")
        await time.advance(40)
        assert happened == [("a", 15), ("b", 25), ("c", 30), ("d", 35)]
        await time.advance(4)
        assert len(happened) == 4
        await time.advance(2)
        assert happened[4:] == [("late", 45)]


async def test_tasks_that_sleep_go_on_and_no_faster_than_they_would():
    async def sleeper():
        for seconds in (1, 2, 3):
            await asyncio.sleep(seconds)
            woken.append(seconds)

    woken = []
    async with virtual_time() as time:
        task = asyncio.create_task(sleeper())
        await time.advance(2.5)
        assert woken == [1]
        await time.advance(4)
        assert woken == [1, 2, 3]
        await task


async def test_time_limits_run_out():
    async def wait():
        async with asyncio.timeout(60):
            await asyncio.Event().wait()

    async with virtual_time() as time:
        waiting = asyncio.create_task(wait())
        await time.advance(59)
        assert not waiting.done()
        await time.advance(1)
        with pytest.raises(TimeoutError):
            await waiting


async def test_days_take_as_many_steps_as_seconds():
    async def poll():
        while True:
            await asyncio.sleep(0.001)
            polled.append(1)

    polled = []
    async with virtual_time() as time:
        task = asyncio.create_task(poll())
        await time.advance(30 * DAY)
        task.cancel()
    assert 100 < len(polled) < 10_000


async def test_timers_that_are_cancelled_are_none():
    async with virtual_time() as time:
        timers = [asyncio.get_running_loop().call_later(1 + number, pytest.fail) for number in range(5)]
        for timer in timers:
            timer.cancel()
        await time.advance(10)


async def test_time_passes_by_itself_too_and_stays_ahead():
    loop = asyncio.get_running_loop()
    before = loop.time()
    async with virtual_time() as time:
        await time.advance(100)
        await asyncio.sleep(0.01)
        assert loop.time() > before + 100
    assert loop.time() > before + 100
    async with virtual_time() as time:
        await time.advance(100)
    assert before + 200 < loop.time() < before + 300


async def test_many_blocks_in_one_loop_are_no_slower():
    for _ in range(2000):
        async with virtual_time() as time:
            await time.advance(1)
    assert asyncio.get_running_loop().time() > clocks.monotonic() + 1999


async def test_time_does_not_go_back():
    async with virtual_time() as time:
        for seconds in (-1, float("nan")):
            with pytest.raises(ValueError, match="time goes forward"):
                await time.advance(seconds)
        await time.advance(0)


async def test_the_time_of_day_is_right_again_afterwards():
    async with virtual_time() as time:
        await time.advance(DAY)
        assert process_clock.time() > clocks.time() + DAY - 1
    assert process_clock.time() < clocks.time() + 1
    assert process_clock.monotonic() > clocks.monotonic() + DAY - 1


async def test_what_is_of_another_time_is_forgotten_and_the_rest_is_not(routes):
    FastWS().room("tickets/{pk:int}", history=History())
    room = Room("tickets/5")
    await room.abroadcast("before")
    async with virtual_time():
        pass
    assert len(await room.ahistory()) == 1
    async with virtual_time() as time:
        await time.advance(DAY)
        await room.abroadcast("tomorrow")
    assert await room.ahistory() == []


async def test_a_loop_whose_clock_cannot_be_set_is_refused(monkeypatch):
    class Other:
        pass

    monkeypatch.setattr("asyncio.get_running_loop", Other)
    with pytest.raises(RuntimeError, match=r"cannot set the clock of Other .* asyncio's own"):
        async with virtual_time():
            pass


# What is kept


async def test_events_of_a_history_are_forgotten_when_they_are_old(routes):
    FastWS().room("tickets/{pk:int}", history=History(seconds=3600))
    room = Room("tickets/5")
    async with virtual_time() as time:
        await room.abroadcast("first")
        await time.advance(3000)
        await room.abroadcast("second")
        first, second = await room.ahistory()
        assert 3000 <= second.at.timestamp() - first.at.timestamp() < 3100
        await time.advance(3000)
        assert [stored.data for stored in await room.ahistory()] == ["second"]


async def test_a_client_that_was_away_for_too_long_gets_the_state(routes):
    tickets = FastWS().room("tickets/{pk:int}", history=History(seconds=60))

    @tickets.state
    async def state(ws: LiveSocket, pk: int) -> str:
        return "all of it"

    async with virtual_time() as time, live() as client:
        joined = await client.join("tickets/5")
        await client.close()
        await Room("tickets/5").abroadcast("missed")
        await time.advance(61)
        await client.reconnect()
        assert not joined.recovered
        assert joined.state == "all of it"


async def test_values_of_a_keyed_room_are_forgotten_when_they_are_old(routes):
    FastWS().room("prices", latest=Latest(seconds=60))
    async with virtual_time() as time:
        await Room("prices").abroadcast(1, key="a")
        await time.advance(59)
        await Room("prices").abroadcast(2, key="b")
        async with live() as client:
            assert (await client.join("prices")).latest == {"a": 1, "b": 2}
        await time.advance(2)
        async with live() as client:
            assert (await client.join("prices")).latest == {"b": 2}


async def test_a_value_that_comes_too_soon_is_sent_when_it_may_be(routes):
    FastWS().room("prices", latest=Latest(rate="1/m"))
    async with virtual_time() as time, live() as client:
        room = await client.join("prices")
        for bid in (1, 2, 3):
            await Room("prices").abroadcast(bid, key="a")
        assert (await room.next(key="a")).data == 1
        await time.advance(59)
        assert room.latest == {"a": 1}
        await time.advance(2)
        assert room.latest == {"a": 3}


async def test_rates_let_events_through_again(routes):
    tickets = FastWS().room("tickets/{pk:int}")

    @tickets.on("say", rate="1/m")
    async def say(ws: LiveSocket, pk: int) -> str:
        return "said"

    async with virtual_time() as time, live() as client:
        room = await client.join("tickets/5")
        assert await room.call("say") == "said"
        with pytest.raises(LiveError, match="rate_limited"):
            await room.call("say")
        await time.advance(61)
        assert await room.call("say") == "said"


async def test_an_answer_is_kept_for_a_minute(routes):
    tickets, calls = FastWS().room("tickets/{pk:int}"), []

    @tickets.on("pay")
    async def pay(ws: LiveSocket, pk: int) -> int:
        calls.append(pk)
        return len(calls)

    frame = {"room": "tickets/5", "event": "pay", "data": {}, "id": "pay-1", "once": True}
    async with virtual_time() as time, live() as client:
        await client.join("tickets/5")
        assert [await client.request(frame) for _ in range(2)] == [1, 1]
        await time.advance(61)
        assert await client.request(frame) == 2


# Presence


@pytest.fixture
def board(routes):
    board = FastWS().room("boards/{pk:int}", presence=True)

    @board.card
    async def card(ws: LiveSocket, pk: int) -> dict[str, str]:
        return {"name": ws.user.username}

    return board


async def test_who_has_gone_is_present_for_the_grace_and_no_longer(board):
    async with virtual_time() as time, live(user=ADA) as ada, live(user=BOB) as bob:
        room = await ada.join("boards/5")
        await bob.join("boards/5")
        joined = await room.next_presence(joined=BOB)
        assert joined.joined["6"].meta == {"name": "bob"}
        await bob.close()
        await time.advance(9)
        assert set(room.present) == {"5", "6"}
        await time.advance(2)
        assert (await room.next_presence(left=BOB)).count == 1
        assert set(room.present) == {"5"}


async def test_who_comes_back_within_the_grace_was_never_gone(board):
    async with virtual_time() as time, live(user=ADA) as ada, live(user=BOB) as bob:
        room = await ada.join("boards/5")
        await bob.join("boards/5")
        await room.next_presence(joined=BOB)
        for _ in range(3):
            await bob.close(1006)
            await time.advance(9)
            await bob.reconnect()
        await time.advance(60)
        assert set(room.present) == {"5", "6"}
        assert await is_silent(room)


async def test_leases_are_renewed_in_the_time_that_passes(board):
    async with virtual_time() as time, live(user=ADA) as ada:
        room = await ada.join("boards/5")
        before = (await board(pk=5).apresent())[0].since
        await time.advance(DAY)
        (present,) = await board(pk=5).apresent()
        assert (present.key, present.since, present.connections) == ("5", before, 1)
        assert set(room.present) == {"5"}


async def test_changes_are_told_together_after_the_time_of_a_diff(board, settings):
    settings.FASTWS_PRESENCE_DIFF_SECONDS = 5
    async with virtual_time() as time, live(user=ADA) as ada, live(user=BOB) as bob, live(user=EVE) as eve:
        room = await ada.join("boards/5")
        await time.advance(6)
        await bob.join("boards/5")
        await eve.join("boards/5")
        await time.advance(4)
        assert set(room.present) == {"5"}
        await time.advance(1)
        assert set((await room.next_presence(count=3)).joined) == {"6", "7"}


async def test_a_user_was_seen_last_when_the_last_connection_ended(board):
    async with virtual_time() as time, live(user=ADA) as ada:
        await ada.join("boards/5")
        assert await presence.ais_online(ADA)
        assert await presence.aonline([ADA, BOB]) == {5}
        await ada.close()
        ended = process_clock.time()
        await time.advance(3600)
        assert not await presence.ais_online(ADA)
        assert abs((await presence.alast_seen(ADA)).timestamp() - ended) < 60


async def is_silent(room):
    with pytest.raises(TimeoutError):
        await room.next_presence(timeout=0.01)
    return True


@pytest.mark.usefixtures("routes")
class InATestCaseTests(SimpleTestCase):
    async def test_the_grace_passes_at_once(self):
        FastWS().room("boards/{pk:int}", presence=True)
        async with virtual_time() as time, live(user=ADA) as ada, live(user=BOB) as bob:
            room = await ada.join("boards/5")
            await bob.join("boards/5")
            await room.next_presence(joined=BOB)
            await bob.close()
            await time.advance(11)
            await room.next_presence(left=BOB)
            assert set(room.present) == {"5"}

    def test_where_sync_code_makes_the_loop(self):
        async def gone() -> bool:
            async with virtual_time() as time:
                task = asyncio.create_task(asyncio.sleep(DAY))
                await time.advance(DAY)
                return task.done()

        assert async_to_sync(gone)()
