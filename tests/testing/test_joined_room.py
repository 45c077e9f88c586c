"""A room as a client sees it: calls, streams, events, leaving, and what errors say."""

import asyncio

import pytest
from django.contrib.auth.models import User

from django_fastws import FastWS, History, Latest, LiveError, LiveSocket, Room
from django_fastws.testing import Left, ReceivedEvent, live
from tests.site.client import token
from tests.testing.rooms import Said, declare

ADA = User(pk=5, username="ada")


@pytest.fixture
def tickets():
    return declare()


@pytest.fixture
async def room(tickets):
    async with live(user=ADA) as client:
        yield await client.join("tickets/5")


# Calls


async def test_a_call_returns_the_answer(room):
    assert await room.call("say", text="hello") == 5
    assert await room.call("say", {"text": "hi"}) == 2
    assert await room.call("say", Said(who="", text="model")) == 5
    with pytest.raises(TypeError, match="'say' has a payload and fields of one: text"):
        await room.call("say", {}, text="hi")


async def test_an_error_has_code_fields_and_the_wait(room):
    with pytest.raises(LiveError) as caught:
        await room.call("refuse")
    error = caught.value
    assert (error.code, error.message, error.fields, error.retry_after) == (
        "full",
        "no more",
        {"text": ["too much"]},
        2.5,
    )


@pytest.mark.parametrize(
    ("event", "data", "code"), [("say", {}, "invalid"), ("nothing", {}, "unknown_event"), ("fail", {}, "failed")]
)
async def test_errors_of_the_protocol(room, event, data, code):
    with pytest.raises(LiveError) as caught:
        await room.call(event, data)
    assert caught.value.code == code
    assert (code == "invalid") == bool(caught.value.fields)


async def test_calls_at_the_same_time(room):
    assert await asyncio.gather(*(room.call("say", text="x" * size) for size in range(20))) == list(range(20))


async def test_a_call_that_is_not_answered_says_what_came_instead_and_is_cancelled(tickets):
    async with live() as client:
        room = await client.join("tickets/5")
        await Room("tickets/5").abroadcast({"a": 1}, "other")
        client.timeout = 0.05
        with pytest.raises(TimeoutError) as caught:
            await room.call("wait")
        assert "tickets/5: 'wait' was not answered in 0.05 seconds" in str(caught.value)
        assert "tickets/5: other {'a': 1}" in str(caught.value)
        client.timeout = 5
        await room.next("stopped")


async def test_a_call_whose_task_is_cancelled_is_cancelled_on_the_server(room):
    call = asyncio.ensure_future(room.call("wait"))
    await asyncio.sleep(0)
    call.cancel()
    await room.next("stopped")
    with pytest.raises(asyncio.CancelledError):
        await call


# Streams


async def test_a_stream_yields_items(room):
    assert [item async for item in room.stream("numbers", to=3)] == [0, 1, 2]
    assert [item async for item in room.stream("numbers", {"to": 0})] == []


async def test_leaving_a_stream_cancels_it(room):
    async for item in room.stream("for_ever"):
        assert item == "again"
        break
    await room.next("stopped")


async def test_a_stream_may_fail(room):
    with pytest.raises(LiveError, match="invalid"):
        await anext(aiter(room.stream("numbers", to="many")))


async def test_call_and_stream_say_which_is_right(room):
    with pytest.raises(TypeError, match=r"iterate over room\.stream"):
        await room.call("numbers", to=3)
    with pytest.raises(TypeError, match=r"await room\.call"):
        async for _ in room.stream("say", text="hi"):
            pass


# Events


async def test_events_are_taken_by_name_and_content_and_others_stay(room):
    here = Room("tickets/5")
    for number, event in enumerate(["a", "b", "a", "c"]):
        await here.abroadcast({"number": number}, event)
    assert await room.next("c") == ReceivedEvent("c", {"number": 3})
    assert (await room.next("a", where={"number": 2})).data == {"number": 2}
    assert (await room.next(where=lambda data: data["number"] > 0)).event == "b"
    assert not await room.receive_nothing(10)
    assert (await room.next()).data == {"number": 0}
    assert await room.receive_nothing(0.01)


async def test_a_relayed_event_has_its_sender(tickets):
    async with live(user=ADA) as ada, live(client="c-bob") as bob:
        here, there = await ada.join("tickets/5"), await bob.join("tickets/5")
        await here.call("typing", True)
        await there.send("typing", False)
        assert await there.next("typing") == ReceivedEvent("typing", True, sender="5")
        assert await here.next("typing") == ReceivedEvent("typing", False, sender="c-bob")


async def test_an_event_that_does_not_come_says_what_came(tickets):
    async with live() as client:
        room, other = await client.join("tickets/5"), await client.join("tickets/6")
        with pytest.raises(TimeoutError, match=r"no event in 0\.02 seconds; nothing else was received"):
            await room.next(timeout=0.02)
        await room.call("toast", text="hi")
        await other.call("say", text="there")
        with pytest.raises(TimeoutError) as caught:
            await room.next("said", where={"text": "hi"}, timeout=0.02)
        assert str(caught.value).splitlines() == [
            "tickets/5: no event 'said' where {'text': 'hi'} in 0.02 seconds; received, and not taken:",
            "    tickets/6: said {'who': '', 'text': 'there'}",
            "    to this client: toast {'text': 'hi'}",
        ]


# Leaving


async def test_a_member_that_leaves_hears_nothing_more(room, tickets):
    await room.leave()
    assert (room.joined, room.left) == (False, None)
    assert [pk for pk, _ in tickets.left] == [5]
    for call in (room.next("said"), room.call("say", text="hi"), room.wait_left()):
        with pytest.raises(LiveError, match="not_joined"):
            await call


async def test_a_member_that_is_kicked_is_told(tickets):
    async with live(client="c-1") as client:
        room = await client.join("tickets/5")
        waiting = asyncio.ensure_future(room.next("said"))
        await Room("tickets/5").akick(client="c-1", reason="banned")
        assert await room.wait_left() == room.left == Left(4403, "banned")
        with pytest.raises(LiveError, match="not_joined: tickets/5: taken out with 4403 banned"):
            await waiting
        await client.reconnect()
        assert not room.joined
        assert await client.join("tickets/5") is room
        assert (room.joined, room.left) == (True, None)
        with pytest.raises(TimeoutError, match=r"the client was not taken out in 0\.02 seconds"):
            await room.wait_left(timeout=0.02)
        await room.call("say", text="back")
        await room.next("said")


async def test_a_handler_takes_its_member_out(room):
    await room.send("quit")
    assert await room.wait_left() == Left(1000)


# Histories


@pytest.fixture
def chats():
    """Rooms that keep three events, with a state that counts how often it was made."""
    chats = FastWS().room("chats/{key}", history=History(messages=3))
    chats.states = 0

    @chats.state
    async def state(ws: LiveSocket, key: str) -> int:
        chats.states += 1
        return chats.states

    @chats.on("say")
    async def say(ws: LiveSocket, room: Room, text: str) -> None:
        await room.abroadcast(text, "said", exclude=ws)

    return chats


async def heard(room, count):
    return [(await room.next("said")).data for _ in range(count)]


async def test_a_reconnect_resumes_and_every_event_is_there_once(chats):
    here = chats(key=token())
    async with live() as client:
        room = await client.join(here)
        assert (room.at, room.recovered, room.state) == (str(await here.aposition()), False, 1)
        await here.abroadcast("taken", "said")
        await here.abroadcast("not taken", "said")
        at = str(await here.abroadcast("taken", "other"))
        assert await heard(room, 1) == ["taken"]
        await room.next("other")
        await client.close(1006)
        assert room.at == at
        missed = [await here.abroadcast(text, "said") for text in ("missed", "too")]
        await client.reconnect()
        assert (room.joined, room.recovered, room.state, chats.states) == (True, True, 1, 1)
        assert await heard(room, 1) == ["not taken"]
        assert await room.next() == ReceivedEvent("said", "missed", str(missed[0]))
        assert await heard(room, 1) == ["too"]
        await here.abroadcast("live", "said")
        assert await heard(room, 1) == ["live"]
        assert room.at == str(await here.aposition())
        assert await room.receive_nothing(0.01)


async def test_a_reconnect_that_has_missed_more_than_is_kept_has_the_state(chats):
    here = chats(key=token())
    async with live() as client:
        room = await client.join(here)
        await client.close(1006)
        for number in range(4):
            await here.abroadcast(number, "said")
        await client.reconnect()
        assert (room.recovered, room.state, room.at) == (False, 2, str(await here.aposition()))
        assert await room.receive_nothing(0.01)


async def test_who_is_excluded_has_the_position_and_no_event(chats):
    here = chats(key=token())
    async with live() as client, live() as other:
        room, there = await client.join(here), await other.join(here)
        await room.call("say", text="hi")
        said = await there.next("said")
        assert await room.receive_nothing(0.01)
        assert room.at == there.at == said.at == str(await here.aposition())
        await client.reconnect()
        assert room.recovered
        assert await room.receive_nothing(0.01)


async def test_a_join_goes_on_from_a_position(chats):
    here = chats(key=token())
    position = await here.abroadcast("before", "said")
    await here.abroadcast("after", "said")
    for since in (position, str(position)):
        async with live() as client:
            room = await client.join(here, since=since)
            assert (room.recovered, room.state) == (True, None)
            assert await heard(room, 1) == ["after"]
    async with live() as client:
        room = await client.join(here, since="")  # as a page has it that was rendered without the layer
        assert (room.recovered, room.state) == (False, 1)


async def test_a_state_that_is_pushed_is_an_event_and_the_position_goes_on_in_its_epoch(chats):
    here = chats(key=token())
    await here.abroadcast("x", "said")
    async with live() as client:
        room = await client.join(here)
        await here.aclear()
        pushed = await room.next("state")
        assert (pushed.data, pushed.at, room.state, room.at) == (2, str(await here.aposition()), 2, pushed.at)
        await here.abroadcast("y", "said")
        assert await heard(room, 1) == ["y"]
        await client.reconnect()
        assert room.recovered
        assert await room.receive_nothing(0.01)


async def test_a_loss_in_a_room_without_state_is_an_event_without_data():
    here = FastWS().room("bare/{key}", history=History())(key=token())
    async with live() as client:
        room = await client.join(here)
        await here.aclear()
        assert await room.next() == ReceivedEvent("state", None, str(await here.aposition()))


async def test_a_room_without_history_has_no_position(room):
    assert (room.at, room.recovered) == (None, False)
    await Room("tickets/5").abroadcast("x", "said")
    assert (await room.next()).at is None
    assert room.at is None


@pytest.fixture
async def prices():
    here = FastWS().room("prices/{key}", latest=Latest())(key=token())
    await here.abroadcast(1, key="BTC")
    await here.abroadcast({"bid": 2}, key="ETH")
    async with live() as client:
        room = await client.join(here)
        room.here, room.client = here, client
        yield room


async def test_a_keyed_room_has_the_newest_values_of_its_state_and_since(prices):
    assert prices.state == prices.latest == {"BTC": 1, "ETH": {"bid": 2}}
    await prices.here.abroadcast(3, key="BTC")
    await prices.here.aremove("ETH")
    assert await prices.next() == ReceivedEvent("latest", 3, key="BTC")
    gone = await prices.next("latest")
    assert (gone.key, gone.data, gone.removed) == ("ETH", None, True)
    assert repr(gone) == "latest None, key='ETH', removed=True"
    assert prices.latest == {"BTC": 3}
    assert prices.state == {"BTC": 1, "ETH": {"bid": 2}}
    assert await prices.receive_nothing(0.01)


async def test_the_value_of_a_key_is_waited_for(prices):
    for bid in (3, 4, 5):
        await prices.here.abroadcast({"bid": bid}, key="ETH")
        await prices.here.abroadcast(bid, key="BTC")
    assert (await prices.next(key="BTC")).data == 3
    assert (await prices.next(key="BTC", where=lambda price: price == 5)).data == 5
    assert (await prices.next("latest", key="ETH", where={"bid": 4})).data == {"bid": 4}
    assert [(await prices.next()).data for _ in range(3)] == [{"bid": 3}, 4, {"bid": 5}]
    with pytest.raises(TimeoutError, match=r"no value of 'BTC' where .*; .*nothing") as caught:
        await prices.next(key="BTC", where=lambda price: price == 9, timeout=0.01)
    assert prices.name in str(caught.value)


async def test_the_values_of_a_keyed_room_are_those_of_the_last_join(prices):
    await prices.client.close(1006)
    await prices.here.aremove("BTC")
    await prices.client.reconnect()
    assert prices.latest == prices.state == {"ETH": {"bid": 2}}


async def test_a_room_whose_state_is_no_object_has_no_values(chats):
    async with live() as client:
        room = await client.join(chats(key=token()))
        assert (room.state, room.latest) == (1, {})
