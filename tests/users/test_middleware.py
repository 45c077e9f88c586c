""""""

import asyncio
import time

import pytest
from asgiref.sync import SyncToAsync, sync_to_async
from channels.routing import URLRouter
from django.contrib.auth import get_user
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.test import AsyncClient

from django_fastws import FastWS, WebSocketDisconnect, adisconnect, asgi
from django_fastws.asgi import Handshake, SessionMiddleware
from django_fastws.limits import statistics
from django_fastws.routing import websocket_urlpatterns
from django_fastws.testing import HandshakeDenied, connect
from django_fastws.users import SessionLoadingMiddleware
from tests.site import asgi as site_asgi  # noqa: F401 (sets Django up again, which would take the root logger from caplog)
from tests.users.closing import ADA, BOB, is_open, logged_in
from tests.users.stored import Request, new_key, store

pytestmark = [pytest.mark.usefixtures("routes"), pytest.mark.django_db(transaction=True)]


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
            assert time.monotonic() - started < 8
            await ws.send("here")
            assert await ws.receive_text() == "here"
    assert caplog.text.count("Not subscribed to disconnect()") <= 3


@pytest.fixture
def who(routes):
    """Serves ``/who``, which says who is there and what the session holds."""

    async def handler(ws):
        await ws.accept()
        await ws.send_json([ws.user.username, ws.session.get("basket"), sorted(ws.session.keys())])
        async for _ in ws:
            pass

    FastWS().websocket("/who")(handler)


@pytest.mark.usefixtures("who")
async def test_the_first_contact_after_a_rotation_may_be_a_socket():
    ada = await User.objects.acreate(username="ada")
    client = AsyncClient()
    await client.aforce_login(ada)
    key = client.cookies["sessionid"].value
    with new_key:
        async with connect("/who", cookies=client.cookies) as ws:
            assert (await ws.receive_json())[0] == "ada"
        assert await Session.objects.filter(pk=key).aexists()
        assert await sync_to_async(get_user)(Request(store(key))) == ada


async def keyed(**data):
    session = store()
    await session.aupdate(data)
    await session.asave()
    return {"sessionid": session.session_key}


@pytest.mark.usefixtures("who")
async def test_a_session_can_be_read_though_the_user_comes_from_elsewhere():
    async with connect("/who", user=User(username="bob"), cookies=await keyed(basket=[1])) as ws:
        assert await ws.receive_json() == ["bob", [1], ["basket"]]


@pytest.mark.parametrize("kind", ["handler", "middleware", "rule", "sync rule"])
async def test_a_session_can_be_read_without_django_contrib_auth(kind, monkeypatch):
    monkeypatch.setattr(asgi, "_with_users", lambda inner: SessionMiddleware(SessionLoadingMiddleware(inner)))
    seen = []

    async def rule(ws):
        seen.append(ws.session["basket"])
        return True

    def sync_rule(ws):
        seen.append(ws.session["basket"])
        return True

    class Middleware:
        def __init__(self, inner):
            self.inner = inner

        async def __call__(self, scope, receive, send):
            seen.append(scope["session"]["basket"])
            await self.inner(scope, receive, send)

    async def handler(ws):
        await ws.accept()
        seen.append(ws.session["basket"])
        await ws.send("done")

    rules = {"rule": rule, "sync rule": sync_rule}
    FastWS().websocket("/x", permission=rules.get(kind))(handler)
    application = asgi.get_asgi_application(websocket_middleware=[Middleware] if kind == "middleware" else [])
    async with connect("/x", cookies=await keyed(basket=[1]), application=application) as ws:
        assert await ws.receive_text() == "done"
    assert seen == [[1]] * (1 if kind == "handler" else 2)


async def test_a_session_can_be_read_in_a_composition_by_hand():
    async def handler(ws):
        await ws.accept()
        await ws.send_json(ws.session["basket"])

    FastWS().websocket("/x")(handler)
    application = Handshake(SessionMiddleware(URLRouter(websocket_urlpatterns())))
    async with connect("/x", cookies=await keyed(basket=[1]), application=application) as ws:
        assert await ws.receive_json() == [1]


async def test_nobody_is_denied_for_a_cookie_of_a_session_that_is_gone(who):
    async with connect("/who", user=User(username="bob"), cookies={"sessionid": "x" * 32}) as ws:
        assert await ws.receive_json() == ["bob", None, []]
    with pytest.raises(HandshakeDenied):
        async with connect("/nowhere", cookies={"sessionid": "x" * 32}):
            pass


@pytest.fixture
def hops(monkeypatch):
    """The functions that are called in a thread by ``sync_to_async``, by name."""
    called = []
    original = SyncToAsync.__call__

    async def call(self, *args, **kwargs):
        called.append(self.func.__name__)
        return await original(self, *args, **kwargs)

    monkeypatch.setattr(SyncToAsync, "__call__", call)
    return called


async def connected(cookies):
    """Who is connected, with these cookies."""
    async with connect("/who", cookies=cookies) as ws:
        return await ws.receive_json()


async def test_a_user_costs_one_hop(who, hops):
    ada = await User.objects.acreate(username="ada", password="x")
    cookies = (await logged_in(ada)).cookies
    async with connect("/who", user=BOB):  # so that the process listens
        hops.clear()
        assert (await connected(cookies))[0] == "ada"
    assert hops == ["load_user"]


async def test_nobody_costs_no_hop(who, hops, settings):
    for cookies in ({}, {"sessionid": ""}):
        assert (await connected(cookies))[0] == ""
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    session = store()
    session["basket"] = [1]
    session.save()
    assert (await connected({"sessionid": session.session_key}))[2] == ["basket"]
    assert hops == []
