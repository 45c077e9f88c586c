"""disconnect() and adisconnect(), and what closes sockets by itself: log-outs, deactivated and deleted users."""

import asyncio
import json
import logging
import time
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

import pytest
from asgiref.sync import sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from django.contrib.auth.models import AnonymousUser, Group, User
from django.contrib.auth.signals import user_logged_out
from django.contrib.sessions.backends.db import SessionStore
from django.db import transaction
from django.test import AsyncClient, override_settings
from django.utils.functional import SimpleLazyObject

from django_fastws import FastWS, Room, WebSocketDisconnect, WebSocketStateError, adisconnect, disconnect
from django_fastws._core.control import GROUP
from django_fastws._core.envelope import Envelope
from django_fastws.layer import get_broker
from django_fastws.limits import statistics
from django_fastws.rooms.hub import current_hub
from django_fastws.testing import HandshakeDenied, connect
from django_fastws.users import registry as users
from django_fastws.users.background import publisher
from django_fastws.users.identity import session_hash, user_key
from django_fastws.users.registry import current_users
from tests.site import asgi  # noqa: F401 (sets Django up again, which would take the root logger from caplog)
from tests.support.brokers import fake_broker
from tests.support.ids import shown
from tests.support.processes import free_port

pytestmark = [pytest.mark.usefixtures("routes"), pytest.mark.django_db(transaction=True)]

ADA, BOB = User(pk=1, username="ada"), User(pk=999_999, username="bob")


@pytest.fixture
def ends(routes):
    """Serves ``/x``; each handler tells how it has ended."""
    told = []

    async def handler(ws):
        await ws.accept()
        await ws.join("lobby")
        try:
            while True:
                told.append((await ws.receive()).data)
        except WebSocketDisconnect as end:
            told.append((end.code, end.reason))
            raise
        finally:
            told.append("finally")

    FastWS().websocket("/x")(handler)
    return told


class AsyncEcho(AsyncWebsocketConsumer):
    ended = None

    async def disconnect(self, code):
        type(self).ended = code


class SyncEcho(WebsocketConsumer):
    ended = None

    def disconnect(self, code):
        type(self).ended = code


async def closed(ws):
    """How the server closed it."""
    return await ws.wait_closed(), ws.close_reason


async def is_open(ws):
    return await ws.receive_nothing(0.05)


@contextmanager
def rolled_back():
    """A transaction that comes to nothing."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


# From async code


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
        assert current_hub()._rooms
        await adisconnect(user=ADA, reason="bye")
        await ws.wait_closed()
    assert ends == [(4401, "bye"), "finally"]
    assert not current_hub()._rooms


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


# From sync code


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


# Handshakes that are on their way


async def test_a_handshake_that_began_before_is_denied():
    asked, answer = asyncio.Event(), asyncio.Event()

    async def slow(ws):
        asked.set()
        await answer.wait()
        return True

    async def handler(ws):
        await ws.accept()
        await ws.receive()

    FastWS().websocket("/x", permission=slow)(handler)
    FastWS().websocket("/y")(handler)

    async def outcome():
        try:
            async with connect("/x", user=ADA):
                return 101
        except HandshakeDenied as denied:
            return denied.status, denied.text

    async with connect("/y", user=BOB):  # so that the process listens
        opening = asyncio.create_task(outcome())
        await asked.wait()
        await adisconnect(user=ADA, reason="bye")
        answer.set()
        assert await opening == (403, "bye")
        assert statistics().users == 1
        assert await outcome() == 101


async def test_who_is_closed_before_it_was_accepted_is_denied():
    asked = asyncio.Event()
    raised = []

    async def handler(ws):
        asked.set()
        while not ws.closed:  # noqa: ASYNC110 (nothing tells of it before accept())
            await asyncio.sleep(0)
        try:
            await ws.accept()
        except WebSocketDisconnect as end:
            raised.append((end.code, end.reason))
            raise

    FastWS().websocket("/x")(handler)

    async def opening():
        with pytest.raises(HandshakeDenied) as denied:
            async with connect("/x", user=ADA):
                pass
        return denied.value.status

    running = asyncio.create_task(opening())
    await asked.wait()
    await adisconnect(user=ADA, reason="bye")
    assert await running == 403
    assert raised == [(4401, "bye")]


# What others publish


async def publish(**more):
    fields = {"do": "disconnect", "user": user_key(ADA), "code": "4401", "reason": "bye", **more}
    await get_broker().apublish(Envelope.control(GROUP, fields))


@pytest.mark.parametrize("more", [{"later": "5"}, {"session": ""}, {"epoch": b"x", "code": "4401"}])
async def test_keys_that_are_not_known_are_ignored(ends, more):
    async with connect("/x", user=ADA) as ws:
        await publish(**more)
        assert await closed(ws) == (4401, "bye")


@pytest.mark.parametrize("more", [{"do": "mute"}, {"user": "auth.user:999999"}])
async def test_what_is_of_another_release_is_ignored(ends, more, caplog):
    async with connect("/x", user=ADA) as ws:
        await publish(**more)
        assert await is_open(ws)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


NONSENSE = [
    {"code": "many"},
    {"code": "1005"},
    {"reason": "x" * 124},
    {"code": None},
    {"code": "9" * 5000},
    {"delay": "nan"},
    {"users": "[" * 100_000},
    {"users": "[1]"},
    {"user": "x" * 100_000},
    {"session": "x" * 100_000},
]


@pytest.mark.parametrize("more", NONSENSE)
async def test_what_makes_no_sense_is_ignored_and_said_once_without_a_traceback(ends, more, caplog):
    async with connect("/x", user=ADA) as ws:
        for _ in range(5):
            await publish(**more)
        assert await is_open(ws)
    (record,) = [record for record in caplog.records if "make no sense" in record.getMessage()]
    assert record.exc_info is None
    assert len(record.getMessage()) < 400


async def test_no_room_has_the_groups_name(ends):
    async with connect("/x", user=ADA) as ws:
        for name in (GROUP, "users", "c.users", "fastws.c.users"):
            await Room(name).abroadcast({"type": "fastws.control", "v": "1", "do": "disconnect"})
            assert Room(name)._group != GROUP
        assert await is_open(ws)


async def test_the_memory_of_those_who_were_closed_has_a_bound(ends, monkeypatch):
    monkeypatch.setattr(users, "_MEMORY_SIZE", 10)
    async with connect("/x", user=BOB):
        for pk in range(100, 200):
            await adisconnect(user=pk)
        assert len(current_users()._closed) == 10
        monkeypatch.setattr(users, "_MEMORY_SECONDS", 0)
        await adisconnect(user=500)
        assert len(current_users()._closed) == 1


# Log-out


async def logged_in(user):
    client = AsyncClient()
    await client.aforce_login(user)
    return client


@asynccontextmanager
async def sockets_of_two_users():
    """Ada's two clients, and sockets: two of her first, one of her second, and one of bob's."""
    ada, bob = [await User.objects.acreate(username=name) for name in ("ada", "bob")]
    here, elsewhere, other = [await logged_in(user) for user in (ada, ada, bob)]
    async with AsyncExitStack() as stack:
        sockets = [
            await stack.enter_async_context(connect("/x", cookies=client.cookies))
            for client in (here, here, elsewhere, other)
        ]
        yield here, elsewhere, sockets


async def test_a_log_out_closes_all_sockets_of_the_user(ends):
    async with sockets_of_two_users() as (here, elsewhere, sockets):
        await here.alogout()
        assert [await closed(ws) for ws in sockets[:3]] == [(4401, "logged out")] * 3
        assert await is_open(sockets[3])
        async with connect("/x", cookies=elsewhere.cookies) as again:
            assert await is_open(again)


async def test_a_log_out_closes_sockets_whose_session_has_another_key_by_now(ends):
    ada = await User.objects.acreate(username="ada")
    client = await logged_in(ada)
    async with connect("/x", cookies=client.cookies) as ws:
        session = SessionStore(client.cookies["sessionid"].value)
        await session.acycle_key()  # as a change of the password does
        client.cookies["sessionid"] = session.session_key
        await client.alogout()
        assert await closed(ws) == (4401, "logged out")


async def test_a_log_out_may_close_the_sockets_of_the_session_and_no_others(ends, settings):
    settings.FASTWS_CLOSE_ON_LOGOUT = "session"
    async with sockets_of_two_users() as (here, _, sockets):
        await here.alogout()
        assert [await closed(ws) for ws in sockets[:2]] == [(4401, "logged out")] * 2
        assert [await is_open(ws) for ws in sockets[2:]] == [True, True]


async def test_a_log_out_in_a_view(ends):
    client = await logged_in(await User.objects.acreate(username="ada"))
    async with connect("/x", cookies=client.cookies) as ws:
        await client.post("/logout/")
        assert await closed(ws) == (4401, "logged out")


async def test_the_sessions_key_does_not_cross_the_layer(monkeypatch):
    published = []
    monkeypatch.setattr(
        "django_fastws.users.background.get_broker",
        fake_broker(publish=published.append),
    )
    client = await logged_in(await User.objects.acreate(username="ada"))
    key = client.cookies["sessionid"].value
    await client.alogout()
    await sync_to_async(publisher.drain)()
    assert published
    for envelope in published:
        fields = envelope.fields
        assert envelope.room == GROUP
        assert all(isinstance(value, (str, bytes)) for value in fields.values())
        assert key not in json.dumps([envelope.room, dict(fields)])
        assert fields["session"] == session_hash(SessionStore(key))


@pytest.mark.parametrize("setting", [True, "session"])
async def test_a_session_that_has_ended_does_not_open_another_socket(ends, settings, setting):
    settings.FASTWS_CLOSE_ON_LOGOUT = setting
    ada = await User.objects.acreate(username="ada")
    here, elsewhere = await logged_in(ada), await logged_in(ada)
    session = SessionStore(here.cookies["sessionid"].value)

    async def outcome():
        try:
            # As one that has read its session just before the view has deleted it.
            async with connect("/x", user=ada, session=session):
                return 101
        except HandshakeDenied as denied:
            return denied.status, denied.text

    async with connect("/x", cookies=elsewhere.cookies) as ws:
        assert await outcome() == 101
        await here.alogout()
        assert await outcome() == (403, "logged out")
        assert await is_open(ws) == (setting == "session")
        await here.aforce_login(ada)
        async with connect("/x", cookies=here.cookies) as again:
            assert await is_open(again)


@pytest.mark.parametrize("setting", [True, "session"])
async def test_a_log_out_without_a_session_closes_all_of_the_user(ends, settings, setting):
    settings.FASTWS_CLOSE_ON_LOGOUT = setting
    ada = await User.objects.acreate(username="ada")
    client = await logged_in(ada)
    async with connect("/x", cookies=client.cookies) as ws:
        await AsyncClient().alogout()
        assert await is_open(ws)
        await sync_to_async(user_logged_out.send)(sender=User, request=None, user=ada)  # as Channels' logout() does
        assert await closed(ws) == (4401, "logged out")


async def test_a_session_in_a_cookie_has_no_name(ends, settings):
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    settings.FASTWS_CLOSE_ON_LOGOUT = "session"
    ada = await User.objects.acreate(username="ada")
    client = await logged_in(ada)
    async with connect("/x", cookies=client.cookies) as ws:
        session = await client.asession()
        session["seen"] = 1  # which changes its key
        await session.asave()
        client.cookies["sessionid"] = session.session_key
        await client.alogout()
        assert await closed(ws) == (4401, "logged out")


async def test_a_log_out_of_nobody_is_no_error(rf):
    request = rf.get("/")
    request.session = SessionStore()
    await sync_to_async(user_logged_out.send)(sender=None, request=request, user=None)


# Deactivation and deletion


async def test_a_user_who_is_deactivated_is_closed_everywhere(ends):
    ada = await User.objects.acreate(username="ada")
    here, elsewhere = await logged_in(ada), await logged_in(ada)
    async with connect("/x", cookies=here.cookies) as one, connect("/x", cookies=elsewhere.cookies) as two:
        ada.first_name = "Ada"
        await ada.asave()
        assert await is_open(one)
        ada.is_active = False
        await ada.asave()
        assert [await closed(one), await closed(two)] == [(4401, "the account is not active")] * 2


@pytest.mark.parametrize(("fields", "ends_it"), [(["is_active"], True), (["first_name"], False), ([], False)])
async def test_only_what_is_saved_counts(ends, fields, ends_it):
    ada = await User.objects.acreate(username="ada")
    client = await logged_in(ada)
    async with connect("/x", cookies=client.cookies) as ws:
        ada.is_active = False
        await ada.asave(update_fields=fields)
        if ends_it:
            assert (await closed(ws))[0] == 4401
        else:
            assert await is_open(ws)


async def test_a_field_that_was_not_loaded_is_not_looked_at(ends):
    await User.objects.acreate(username="ada", is_active=False)
    ada = await User.objects.only("first_name").aget(username="ada")
    async with connect("/x", user=User(pk=ada.pk)) as ws:
        await ada.asave()
        assert await is_open(ws)
        assert "is_active" in ada.get_deferred_fields()


async def test_a_deactivation_that_is_rolled_back_closes_nothing(ends):
    ada = await User.objects.acreate(username="ada")

    def work():
        ada.is_active = False
        with rolled_back():
            ada.save()

    async with connect("/x", user=ada) as ws:
        await sync_to_async(work)()
        assert await is_open(ws)


@pytest.mark.parametrize("how", ["object", "queryset"])
async def test_a_user_who_is_deleted_is_closed(ends, how):
    ada = await User.objects.acreate(username="ada")
    async with connect("/x", user=User(pk=ada.pk, username="ada")) as ws, connect("/x", user=BOB) as other:
        await (ada if how == "object" else User.objects.filter(pk=ada.pk)).adelete()
        assert await closed(ws) == (4401, "the account is deleted")
        assert await is_open(other)


async def test_who_is_created_inactive_is_nobodys_concern(monkeypatch):
    published = []
    monkeypatch.setattr(
        "django_fastws.users.background.get_broker",
        fake_broker(publish=published.append),
    )
    await User.objects.acreate(username="ada", is_active=False)
    assert published == []


async def test_other_models_are_deleted_as_fast_as_ever():
    from django.db.models.signals import post_delete, post_save

    assert not post_delete.has_listeners(Group)
    assert not post_save.has_listeners(Group)
    assert post_delete.has_listeners(User)


# Off


async def test_it_can_be_off(ends):
    ada = await User.objects.acreate(username="ada")
    client = await logged_in(ada)
    with override_settings(FASTWS_CLOSE_ON_LOGOUT=False):
        async with connect("/x", cookies=client.cookies) as ws:
            await client.alogout()
            ada.is_active = False
            await ada.asave()
            await ada.adelete()
            assert await is_open(ws)
            await adisconnect(user=1)


# Without Redis


@pytest.fixture
def no_redis(settings):
    """A Redis layer that cannot be reached."""
    settings.FASTWS_PUBLISH_TIMEOUT_SECONDS = 1
    settings.FASTWS_PUBLISH_RETRY_SECONDS = 0.5
    settings.CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "django_fastws.layer.RedisChannelLayer",
            "CONFIG": {"hosts": [f"redis://127.0.0.1:{free_port()}"]},
        }
    }
    yield
    if (thread := publisher._thread) is not None:  # which would keep the next test's log-outs waiting
        thread.join()


@pytest.mark.usefixtures("no_redis")
async def test_a_log_out_works_without_redis_and_the_log_says_what_was_lost(caplog):
    ada = await User.objects.acreate(username="ada")
    client = await logged_in(ada)
    started = time.monotonic()
    assert (await client.post("/logout/")).status_code == 200
    ada.is_active = False
    await ada.asave()
    await ada.adelete()
    assert time.monotonic() - started < 5
    while caplog.text.count("was lost") < 3:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    assert not await User.objects.aexists()
    assert "Disconnecting auth.user:" in caplog.text
    assert "Traceback" not in caplog.text


@pytest.mark.usefixtures("no_redis")
async def test_a_socket_is_served_without_redis(caplog):
    async def handler(ws):
        await ws.accept()
        async for message in ws:
            await ws.send(message.data)

    FastWS().websocket("/x")(handler)
    for _ in range(3):
        started = time.monotonic()
        async with connect("/x", user=ADA) as ws:
            assert time.monotonic() - started < 3
            await ws.send("here")
            assert await ws.receive_text() == "here"
    assert caplog.text.count("Not subscribed to disconnect()") <= 3
