"""Whoever looks up a user listens before: no end of a session or a user falls between the look and the listening."""

import asyncio

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.test import AsyncClient

from django_fastws import FastWS, adisconnect
from django_fastws._core.control import GROUP
from django_fastws.asgi import get_asgi_application
from django_fastws.rooms import subscriptions
from django_fastws.testing import HandshakeDenied, connect
from django_fastws.users import middleware as user_middleware
from django_fastws.users import registry
from django_fastws.users.registry import current_users
from tests.support.brokers import FakeClient, fake_broker

pytestmark = [pytest.mark.usefixtures("routes"), pytest.mark.django_db(transaction=True)]


class Pause:
    """Holds a handshake at some point until the test lets it go on."""

    def __init__(self):
        self.reached, self.go_on = asyncio.Event(), asyncio.Event()

    async def __call__(self):
        self.reached.set()
        await self.go_on.wait()


async def handler(ws):
    await ws.accept()
    async for message in ws:
        await ws.send(message.data)


def serve(**options):
    FastWS().websocket("/x", login_required=True, **options)(handler)


async def logged_in():
    ada = await User.objects.acreate(username="ada")
    client = AsyncClient()
    await client.aforce_login(ada)
    return ada, client


async def outcome(client, patience=30, **options):
    """How it ends: denied, with the status; or open, and then closed with a code; or it stays open."""
    try:
        async with connect("/x", cookies=client.cookies if client else None, **options) as ws:
            if await ws.receive_nothing(patience):
                return "open"
            return await ws.wait_closed()
    except HandshakeDenied as denied:
        return denied.status


def middleware(pause, user=None):
    """Stands between the look-up of the user and the route; may look up a user of its own."""

    def factory(inner):
        async def application(scope, receive, send):
            if user is not None:
                scope = {**scope, "user": await User.objects.aget(pk=user.pk)}
            await pause()
            await inner(scope, receive, send)

        return application

    return factory


async def log_out(user, client):
    await client.alogout()


async def deactivate(user, client):
    user.is_active = False
    await user.asave()


async def delete(user, client):
    await user.adelete()


async def disconnect(user, client):
    await adisconnect(user=user)


async def flush(user, client):
    await sync_to_async((await client.asession()).flush)()


async def test_the_user_is_not_looked_up_before_the_process_listens(monkeypatch):
    subscriber = FakeClient(print)
    subscriber.gates["subscribe"] = asyncio.Event()
    monkeypatch.setattr(subscriptions, "get_broker", fake_broker(client=lambda deliver: subscriber))
    looked = []
    monkeypatch.setattr(
        user_middleware, "load_user", lambda session: looked.append(list(subscriber.groups)) or AnonymousUser()
    )
    FastWS().websocket("/x")(handler)
    _, client = await logged_in()
    opening = asyncio.create_task(outcome(client, patience=0.3))
    for _ in range(20):
        await asyncio.sleep(0)
    assert looked == []
    subscriber.gates["subscribe"].set()
    assert await opening == "open"
    assert looked == [[GROUP]]
    await current_users().settled()
    assert not subscriber.groups  # for nobody was logged in


@pytest.mark.parametrize("end", [log_out, deactivate, delete, disconnect, flush], ids=lambda end: end.__name__)
async def test_an_end_between_the_look_and_the_route_is_heard(end):
    serve()
    pause = Pause()
    ada, client = await logged_in()
    application = get_asgi_application(websocket_middleware=[middleware(pause)])
    opening = asyncio.create_task(outcome(client, application=application))
    await pause.reached.wait()
    await end(ada, client)
    pause.go_on.set()
    assert await opening == 403
    await current_users().settled()
    assert not current_users().is_subscribed


@pytest.mark.parametrize("end", [log_out, deactivate, delete, disconnect, flush], ids=lambda end: end.__name__)
async def test_an_end_during_a_rule_is_heard_however_long_that_takes(end, monkeypatch):
    monkeypatch.setattr(registry, "_MEMORY_SIZE", 1)
    pause = Pause()

    async def rule(ws):
        await pause()
        return True

    serve(permission=rule)
    ada, client = await logged_in()
    opening = asyncio.create_task(outcome(client))
    await pause.reached.wait()
    await end(ada, client)
    for pk in range(1000, 1003):
        await adisconnect(user=pk)  # so that ada's end is forgotten
    pause.go_on.set()
    assert await opening == 403


async def test_an_end_during_a_rule_that_has_accepted_closes_with_the_status_of_the_end():
    pause = Pause()

    async def rule(ws):
        await ws.accept()
        await pause()
        return True

    serve(permission=rule)
    ada, client = await logged_in()
    opening = asyncio.create_task(outcome(client))
    await pause.reached.wait()
    await adisconnect(user=ada, code=4404, reason="bye")
    pause.go_on.set()
    assert await opening == 4404
    await current_users().settled()


@pytest.mark.parametrize("end", [deactivate, delete], ids=lambda end: end.__name__)
async def test_a_user_of_middleware_is_looked_at_again_once_the_process_listens(end, settings):
    settings.FASTWS_SESSION_CHECK_SECONDS = 86_400
    serve()
    pause = Pause()
    ada = await User.objects.acreate(username="ada")
    application = get_asgi_application(websocket_middleware=[middleware(pause, ada)])
    opening = asyncio.create_task(outcome(None, application=application))
    await pause.reached.wait()
    await end(ada, None)  # nobody listens
    pause.go_on.set()
    assert await opening in (403, 4401)


async def test_who_comes_while_another_goes_finds_the_process_listening():
    serve()
    pause = Pause()
    ada, client = await logged_in()
    async with connect("/x", cookies=client.cookies) as ws:
        application = get_asgi_application(websocket_middleware=[middleware(pause)])
        opening = asyncio.create_task(outcome(client, application=application))
        await pause.reached.wait()
        await ws.close()
    await asyncio.sleep(0.05)
    await Session.objects.all().adelete()
    await adisconnect(user=ada)
    pause.go_on.set()
    assert await opening == 403


async def test_for_a_session_of_nobody_the_layer_is_not_asked(monkeypatch):
    def no_client(deliver):
        raise AssertionError("the process listens for nobody")

    monkeypatch.setattr(subscriptions, "get_broker", fake_broker(client=no_client))
    FastWS().websocket("/x")(handler)
    session = SessionStore()
    await session.aset("basket", [1])
    await session.asave()
    async with connect("/x", cookies={"sessionid": session.session_key}) as ws:
        await ws.send("there?")
        assert await ws.receive_text() == "there?"


@pytest.mark.parametrize("end", [log_out, flush, deactivate, delete], ids=lambda end: end.__name__)
async def test_an_end_while_the_process_begins_to_listen_is_seen(monkeypatch, end):
    subscriber = FakeClient(print)  # which delivers nothing
    subscriber.gates["subscribe"] = asyncio.Event()
    monkeypatch.setattr(subscriptions, "get_broker", fake_broker(client=lambda deliver: subscriber))
    serve()
    ada, client = await logged_in()
    opening = asyncio.create_task(outcome(client))
    await asyncio.wait_for(subscriber_is_asked(subscriber), 30)
    await end(ada, client)
    subscriber.gates["subscribe"].set()
    assert await opening == 401


async def subscriber_is_asked(subscriber):
    while not subscriber.short:  # noqa: ASYNC110
        await asyncio.sleep(0.005)


async def test_who_was_nobody_after_all_leaves_nothing_behind():
    FastWS().websocket("/x")(handler)
    async with connect("/x", cookies={"sessionid": "x" * 32}):
        await current_users().settled()
        assert not current_users().is_subscribed


async def test_a_handshake_that_fails_leaves_nothing_behind(monkeypatch):
    def failing(session):
        raise RuntimeError("on purpose")

    serve()
    _, client = await logged_in()
    monkeypatch.setattr(user_middleware, "load_user", failing)
    assert await outcome(client) == 500
    await current_users().settled()
    assert not current_users().is_subscribed
