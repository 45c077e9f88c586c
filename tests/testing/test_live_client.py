"""The client of live rooms: joins, what is for it alone, reconnects; in pytest and in Django's test cases."""

import asyncio

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.test import SimpleTestCase, TestCase, TransactionTestCase

from django_fastws import FastWS, History, LiveError, LiveSocket, Room, WebSocketDisconnect
from django_fastws.testing import HandshakeDenied, clear_histories, live
from tests.testing.rooms import declare

ADA = User(pk=5, username="ada")


@pytest.fixture
def tickets():
    return declare()


# Connecting


async def test_a_join_gives_the_state_and_leaving_the_block_leaves_the_room(tickets):
    async with live(client="c-1") as client:
        room = await client.join("tickets/5")
        assert (room.name, room.state, room.joined, room.left) == ("tickets/5", {"pk": 5, "states": 1}, True, None)
        assert client.rooms == {"tickets/5": room}
        assert not client.closed
    assert tickets.left == [(5, "c-1")]
    assert (client.closed, client.close_code, client.close_reason, room.joined) == (True, 1000, "", False)


async def test_a_room_is_joined_by_its_name_or_as_it_is_declared(tickets):
    async with live() as client:
        assert await client.join(tickets(pk=5)) is await client.join("tickets/5")
        assert client.rooms["tickets/5"].state["states"] == 2


async def test_the_client_is_who_it_is_said_to_be(tickets):
    async with live(user=ADA, client="c-1") as ada, live() as other:
        here, there = await ada.join("tickets/5"), await other.join("tickets/5")
        await here.call("say", text="hi")
        assert (await there.next("said")).data == {"who": "ada", "text": "hi"}
        assert ada.client_id == "c-1"
        assert other.client_id.startswith("c-")


@pytest.mark.parametrize(
    ("room", "code"), [("tickets/0", "forbidden"), ("nowhere", "unknown_room"), ("tickets/x", "unknown_room")]
)
async def test_a_join_that_is_refused_raises(tickets, room, code):
    async with live() as client:
        with pytest.raises(LiveError) as caught:
            await client.join(room)
        assert caught.value.code == code
        assert client.rooms == {}


async def test_a_handshake_may_be_denied_and_a_missing_room_is_hinted_at(tickets, routes):
    with pytest.raises(HandshakeDenied, match="403"):
        async with live(origin="https://elsewhere.example"):
            pass
    routes.apps.clear()
    routes.changed()
    with pytest.raises(HandshakeDenied) as caught:
        async with live():
            pass
    assert "Is a live room declared" in caught.value.__notes__[0]


async def test_without_a_path_there_are_no_live_rooms(tickets, settings):
    settings.FASTWS_LIVE_PATH = None
    with pytest.raises(ValueError, match="FASTWS_LIVE_PATH is None"):
        async with live():
            pass


async def test_a_token_tells_the_user(tickets, settings):
    async def authenticate(token, scope):
        return ADA if token == "ada's" else None

    settings.FASTWS_LIVE_AUTHENTICATE = authenticate
    async with live(token="ada's") as ada:
        room = await ada.join("tickets/5")
        await room.call("say", text="hi")
        assert (await room.next("said")).data["who"] == "ada"
    with pytest.raises(LiveError, match="unauthenticated"):
        async with live(token="another's"):
            pass
    async with live() as later:
        with pytest.raises(LiveError, match="unauthenticated"):
            await later.authenticate("another's")
        await later.authenticate("ada's")
        await later.reconnect()
        room = await later.join("tickets/5")
        await room.call("say", text="hi")
        assert (await room.next("said")).data["who"] == "ada"


# To this client alone


async def test_emits_are_taken_by_their_names(tickets):
    async with live() as client:
        room = await client.join("tickets/5")
        for text in ("one", "two"):
            await room.call("toast", text=text)
        assert (await client.next("toast", where={"text": "two"})).data == {"text": "two"}
        assert not await client.receive_nothing(10)
        assert (await client.next()).data == {"text": "one"}
        assert await client.receive_nothing(0.01)


async def confirmed(data):
    return {"sure": True, **data}


@pytest.mark.parametrize("function", [lambda data: {"sure": True, **data}, confirmed])
async def test_asks_are_answered_by_a_function(tickets, function):
    async with live() as client:
        client.answer("confirm", function)
        room = await client.join("tickets/5")
        assert await room.call("remove") == {"sure": True, "what": "all"}


async def test_an_answer_may_be_an_error(tickets):
    def refuse(data):
        raise LiveError("declined", "no", fields={"what": ["all"]})

    async with live() as client:
        client.answer("confirm", refuse)
        room = await client.join("tickets/5")
        with pytest.raises(LiveError) as caught:
            await room.call("remove")
        assert (caught.value.code, caught.value.fields) == ("declined", {"what": ["all"]})


async def test_an_ask_that_nobody_answers_is_told_to_both_ends(tickets):
    async with live() as client:
        room = await client.join("tickets/5")
        with pytest.raises(LiveError, match=r"unknown_event: the test has no client\.answer\('confirm'"):
            await room.call("remove")
        with pytest.raises(TimeoutError, match="'ask': 1, 'event': 'confirm'"):
            await room.next("removed", timeout=0.02)


async def test_what_a_function_of_the_test_raises_is_raised_when_the_block_is_left(tickets):
    def wrong(data):
        assert data == "on purpose"

    async def ask():
        async with live() as client:
            client.answer("confirm", wrong)
            room = await client.join("tickets/5")
            with pytest.raises(LiveError, match="failed"):
                await room.call("remove")

    with pytest.raises(AssertionError, match="on purpose"):
        await ask()


# The protocol, and the end


async def test_frames_may_be_said_as_they_are(tickets):
    async with live() as client:
        assert (await client.request({"join": "tickets/5", "id": "mine"}))["room"] == "tickets/5"
        with pytest.raises(LiveError) as caught:
            await client.request({"nothing": "known"})
        assert caught.value.code == "bad_request"


async def test_a_frame_that_belongs_to_nothing_is_shown(tickets):
    async with live() as client:
        room = await client.join("tickets/5")
        await client.ws.send("no JSON")
        with pytest.raises(TimeoutError, match=r"frame: .*bad_request"):
            await room.next("said", timeout=0.05)


async def test_the_server_closes(tickets):
    async with live() as client:
        room = await client.join("tickets/5")
        with pytest.raises(TimeoutError, match=r"was not closed in 0\.02 seconds"):
            await client.wait_closed(timeout=0.02)
        await room.send("hang_up")
        assert await client.wait_closed() == 4000
        assert (client.closed, client.close_reason, room.joined) == (True, "enough", False)
        for call in (room.call("say", text="hi"), room.next("said"), client.next(), client.join("tickets/6")):
            with pytest.raises(WebSocketDisconnect) as caught:
                await call
            assert (caught.value.code, caught.value.reason) == (4000, "enough")


async def test_an_error_of_the_application_itself_is_raised(tickets):
    async def application(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        raise ValueError("on purpose")

    with pytest.raises(ValueError, match="on purpose"):
        async with live(application=application):
            pass


# Reconnects


async def test_a_reconnect_joins_the_rooms_again_under_the_same_id(tickets):
    async with live(user=ADA, client="c-1") as client:
        one, two, gone = [await client.join(f"tickets/{number}") for number in (1, 2, 3)]
        await gone.leave()
        await one.call("say", text="before")
        former = client.ws
        await client.reconnect()
        assert (former.close_code, client.closed) == (1006, False)
        assert sorted(tickets.left) == [(1, "c-1"), (2, "c-1"), (3, "c-1")]
        assert [room.joined for room in (one, two, gone)] == [True, True, False]
        assert one.state == {"pk": 1, "states": 4}
        await one.call("say", text="after")
        assert [(await one.next("said")).data["text"] for _ in range(2)] == ["before", "after"]


async def test_a_reconnect_after_the_server_has_closed(tickets):
    async with live() as client:
        room = await client.join("tickets/5")
        await room.send("hang_up")
        await client.wait_closed()
        await client.reconnect()
        assert await room.call("say", text="back") == 4


async def test_a_room_that_refuses_the_return_is_told_and_the_others_are_joined():
    room = FastWS().room("tickets/{pk:int}")
    closed = set()

    @room.on_join
    async def enter(ws: LiveSocket, pk: int):
        if pk in closed:
            raise LiveError("closed", "it is over")

    async with live() as client:
        one, two = await client.join("tickets/1"), await client.join("tickets/2")
        closed.add(1)
        with pytest.raises(LiveError, match="closed: it is over"):
            await client.reconnect()
        assert (one.joined, two.joined) == (False, True)
        with pytest.raises(LiveError, match="not_joined: tickets/1: the join was refused: closed"):
            await one.next()
        await client.reconnect()
        assert (one.joined, two.joined) == (False, True)


async def test_what_waits_when_the_connection_is_lost_raises(tickets):
    async with live() as client:
        room = await client.join("tickets/5")
        waiting = [asyncio.ensure_future(one) for one in (room.call("wait"), room.next("said"), client.next())]
        await asyncio.sleep(0)
        await client.reconnect(code=1001)
        for one in waiting:
            with pytest.raises(WebSocketDisconnect) as caught:
                await one
            assert caught.value.code == 1001


# Django's test case classes


class RoomsMixin:
    @pytest.fixture(autouse=True)
    def _rooms(self, routes):
        declare()
        users = FastWS().room("users")

        @users.state
        async def state(ws: LiveSocket):
            return [ws.user.username, await get_user_model().objects.acount()]

        FastWS().room("chats/{key}", history=History())
        clear_histories()

    async def test_a_call_and_an_event(self):
        async with live() as client:
            room = await client.join("tickets/5")
            assert await room.call("say", text="hi") == 2
            assert (await room.next("said")).data == {"who": "", "text": "hi"}

    async def test_a_history(self):
        here = Room("chats/a")
        shown = await here.abroadcast("shown", "said")
        assert shown.offset == 1  # whatever other tests have left
        async with live() as client:
            room = await client.join(here, since=shown)
            await client.close(1006)
            await here.abroadcast("missed", "said")
            await client.reconnect()
            assert room.recovered
            assert (await room.next()).data == "missed"
        assert [one.data for one in await here.ahistory()] == ["shown", "missed"]


class InSimpleTestCase(RoomsMixin, SimpleTestCase):
    pass


class WithDatabase(RoomsMixin):
    def setUp(self):
        self.ada = get_user_model().objects.create(username="ada")
        self.client.force_login(self.ada)

    async def test_the_session_of_djangos_client_and_the_database_of_the_test(self):
        async with live(cookies=self.client.cookies) as client:
            assert (await client.join("users")).state == ["ada", 1]
            await get_user_model().objects.acreate(username="bob")
            await client.reconnect()
            assert client.rooms["users"].state == ["ada", 2]

    async def test_a_broadcast_of_a_view(self):
        async with live(user=self.ada) as client:
            room = await client.join("tickets/5")
            await Room("tickets/5").abroadcast("hello")
            assert (await room.next("message")).data == "hello"


class InTestCase(WithDatabase, TestCase):
    pass


class InTransactionTestCase(WithDatabase, TransactionTestCase):
    pass
