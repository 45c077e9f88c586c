"""disconnect() and adisconnect(): from any thread, in transactions, and what they do not take."""

import asyncio

import pytest
from asgiref.sync import sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from django.contrib.auth.models import AnonymousUser, Group, User
from django.db import transaction
from django.utils.functional import SimpleLazyObject

from django_fastws import FastWS, WebSocketDisconnect, WebSocketStateError, adisconnect, disconnect
from django_fastws.limits import statistics
from django_fastws.testing import connect
from django_fastws.user_keys import user_key
from tests.site import asgi  # noqa: F401 (sets Django up again, which would take the root logger from caplog)
from tests.support.hubs import hub_state
from tests.support.ids import shown
from tests.users.closing import ADA, BOB, closed, is_open, rolled_back

pytestmark = [pytest.mark.usefixtures("routes"), pytest.mark.django_db(transaction=True)]


class AsyncEcho(AsyncWebsocketConsumer):
    ended = None

    async def disconnect(self, code):
        type(self).ended = code


class SyncEcho(WebsocketConsumer):
    ended = None

    def disconnect(self, code):
        type(self).ended = code


@pytest.mark.parametrize(
    "user",
    [ADA, 1, "1", User(pk=1), SimpleLazyObject(lambda: ADA)],
    ids=["user", "pk", "text", "another object", "lazy"],
)
async def test_all_sockets_of_a_user_are_closed(ends, user):
    async with connect("/x", user=ADA) as one, connect("/x", user=ADA) as two, connect("/x", user=BOB) as other:
        await adisconnect(user=user, code=4404, reason="bye")
        assert [await closed(one), await closed(two)] == [(4404, "bye")] * 2
        assert await is_open(other)
        assert statistics().users == 1


async def test_the_handler_is_told_leaves_its_rooms_and_reaches_its_end(ends):
    async with connect("/x", user=ADA) as ws:
        assert hub_state().rooms
        await adisconnect(user=ADA, reason="bye")
        await ws.wait_closed()
    assert ends == [(4401, "bye"), "finally"]
    assert not hub_state().rooms


async def test_a_loop_over_messages_ends(routes):
    told = []

    async def handler(ws):
        await ws.accept()
        async for _ in ws:
            pass
        told.append((ws.close_code, ws.close_reason))

    FastWS().websocket("/x")(handler)
    async with connect("/x", user=ADA) as ws:
        await adisconnect(user=ADA, code=1008, reason="bye")
        await ws.wait_closed()
    assert told == [(1008, "bye")]


async def test_a_handler_that_only_sends_is_told_by_the_next_call(routes):
    told = []

    async def handler(ws):
        await ws.accept()
        try:
            while True:
                await ws.send("tick")
                await asyncio.sleep(0.01)
        except WebSocketDisconnect as end:
            told.append((end.code, end.reason))

    FastWS().websocket("/x")(handler)
    async with connect("/x", user=ADA) as ws:
        await adisconnect(user=ADA, reason="bye")
        assert await closed(ws) == (4401, "bye")
    assert told == [(4401, "bye")]


@pytest.mark.parametrize("consumer", [AsyncEcho, SyncEcho])
async def test_consumers_are_told_too(consumer):
    FastWS().websocket("/x")(consumer)
    consumer.ended = None
    async with connect("/x", user=ADA) as ws:
        await adisconnect(user=ADA, reason="bye")
        assert await closed(ws) == (4401, "bye")
    assert consumer.ended == 4401


async def test_what_a_client_still_sends_is_not_received(ends):
    async with connect("/x", user=ADA) as ws:
        publishing = asyncio.ensure_future(adisconnect(user=ADA, reason="bye"))
        await asyncio.sleep(0)
        await ws.send("too late")
        await publishing
        assert await closed(ws) == (4401, "bye")
    assert "too late" not in ends[ends.index((4401, "bye")) :]


async def test_a_user_may_come_again_at_once(ends):
    async with connect("/x", user=ADA) as ws:
        await adisconnect(user=ADA)
        await ws.wait_closed()
    async with connect("/x", user=ADA) as ws:
        assert await is_open(ws)


async def test_nobody_is_there(ends):
    await adisconnect(user=ADA)
    await adisconnect(user=404)


async def test_sockets_without_a_user_stay(ends):
    async with connect("/x") as one, connect("/x", user=User(username="not saved")) as two:
        await adisconnect(user=1)
        assert await is_open(one)
        assert await is_open(two)


@pytest.mark.parametrize(
    ("user", "error"),
    [
        (None, TypeError),
        (True, TypeError),
        ("ada", ValueError),
        ("", ValueError),
        (User(), ValueError),
        (AnonymousUser(), ValueError),
        ([1], ValueError),
        (object(), ValueError),
    ],
    ids=shown,
)
async def test_what_is_no_user_is_refused(user, error):
    with pytest.raises(error):
        await adisconnect(user=user)
    with pytest.raises(error):
        await sync_to_async(disconnect)(user=user)


@pytest.mark.parametrize(
    ("code", "reason", "error"),
    [
        (1005, "", ValueError),
        (1006, "", ValueError),
        (999, "", ValueError),
        (5000, "", ValueError),
        ("4401", "", TypeError),
        (True, "", TypeError),
        (4401, "x" * 124, ValueError),
        (4401, b"bye", TypeError),
        (4401, "\ud800", ValueError),
    ],
)
async def test_what_close_would_not_take_is_refused(code, reason, error):
    with pytest.raises(error):
        await adisconnect(user=1, code=code, reason=reason)
    with pytest.raises(error):
        await sync_to_async(disconnect)(user=1, code=code, reason=reason)


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1013, "später"), (3000, "x" * 123), (4999, "")])
async def test_what_close_takes_arrives(ends, code, reason):
    async with connect("/x", user=ADA) as ws:
        await adisconnect(user=ADA, code=code, reason=reason)
        assert await closed(ws) == (code, reason)


async def test_other_models_are_other_users(ends):
    class Robot:
        is_authenticated = True
        pk = 1

    assert len({user_key(user) for user in (ADA, Robot(), Group(pk=1))}) == 3
    async with connect("/x", user=Robot()) as robot, connect("/x", user=ADA) as ada:
        await adisconnect(user=ADA)
        assert (await closed(ada))[0] == 4401
        assert await is_open(robot)
        await adisconnect(user=Robot())
        assert (await closed(robot))[0] == 4401


async def test_a_proxy_of_the_user_model_is_the_user(ends):
    class Customer(User):
        class Meta:
            proxy = True
            app_label = "auth"

    assert user_key(Customer(pk=1)) == user_key(ADA)


async def test_from_a_thread(ends):
    async with connect("/x", user=ADA) as ws:
        await sync_to_async(disconnect)(user=ADA, code=4404, reason="bye")
        assert await closed(ws) == (4404, "bye")


async def test_not_in_an_event_loop():
    with pytest.raises(WebSocketStateError, match=r"write `await adisconnect\(\.\.\.\)`"):
        disconnect(user=ADA)


async def test_in_a_transaction_it_happens_after_the_commit(ends):
    opened, go_on = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def work():
        with transaction.atomic():
            disconnect(user=ADA, reason="committed")
            loop.call_soon_threadsafe(opened.set)
            asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result()

    async with connect("/x", user=ADA) as ws:
        working = asyncio.ensure_future(sync_to_async(work)())
        await opened.wait()
        assert await is_open(ws)
        go_on.set()
        await working
        assert await closed(ws) == (4401, "committed")


async def test_what_is_rolled_back_does_not_happen(ends):
    def work():
        with rolled_back():
            disconnect(user=ADA)

    async with connect("/x", user=ADA) as ws:
        await sync_to_async(work)()
        assert await is_open(ws)


async def test_a_transaction_need_not_be_waited_for(ends):
    def work():
        with rolled_back():
            disconnect(user=ADA, on_commit=False)

    async with connect("/x", user=ADA) as ws:
        await sync_to_async(work)()
        assert (await closed(ws))[0] == 4401


def test_a_mistake_in_a_transaction_is_told_at_once():
    with transaction.atomic(), pytest.raises(ValueError, match="close code 1005"):
        disconnect(user=ADA, code=1005)
