"""Ends of sessions: flush() and cycle_key() close sockets, and so do passwords, at once."""

import time
from unittest.mock import AsyncMock

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import alogin, aupdate_session_auth_hash
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_out
from django.contrib.sessions.models import Session
from django.db import transaction

from django_fastws import FastWS
from django_fastws.testing import HandshakeDenied
from tests.support.brokers import fake_broker
from tests.users.closing import all_published
from tests.users.sockets import PASSWORD, SESSION, ended, open_socket, still_answers, user_and_client

pytestmark = [pytest.mark.usefixtures("routes"), pytest.mark.django_db(transaction=True)]


async def new_password(user, client):
    user.set_password("another")
    await user.asave()


async def assigned_password(user, client):
    user = await User.objects.aget(pk=user.pk)
    user.password = make_password("another")
    await user.asave()


async def unusable_password(user, client):
    user = await User.objects.aget(pk=user.pk)
    user.set_unusable_password()
    await user.asave(update_fields=["password"])


async def own_password(user, client):
    """As Django's view does it."""
    user.set_password("another")
    await user.asave()
    request = await request_of(client)
    request.user, request.auser = user, AsyncMock(return_value=user)  # Django 6.1 asks the second
    await aupdate_session_auth_hash(request, user)
    await request.session.asave()


async def request_of(client):
    request = type("Request", (), {"META": {}})()
    request.session = await client.asession()
    return request


async def log_in_as_another(user, client):
    request = await request_of(client)
    other = await User.objects.acreate(username="bob")
    await alogin(request, other, "django.contrib.auth.backends.ModelBackend")
    await request.session.asave()


async def log_in_as_another_by_the_client(user, client):
    await client.aforce_login(await User.objects.acreate(username="bob"))


async def flush(user, client):
    await sync_to_async((await client.asession()).flush)()


async def aflush(user, client):
    await (await client.asession()).aflush()


async def cycle_key(user, client):
    await sync_to_async((await client.asession()).cycle_key)()


async def acycle_key(user, client):
    await (await client.asession()).acycle_key()


NEW_KEY = (4401, "the session has a new key")


TOLD = {
    new_password: PASSWORD,
    assigned_password: PASSWORD,
    unusable_password: PASSWORD,
    own_password: PASSWORD,
    log_in_as_another: SESSION,
    log_in_as_another_by_the_client: SESSION,
    flush: SESSION,
    aflush: SESSION,
    cycle_key: NEW_KEY,
    acycle_key: NEW_KEY,
}


@pytest.fixture
def no_grace(monkeypatch):
    monkeypatch.setattr("django_fastws.users.sessions._GRACE", 0.01)


@pytest.mark.usefixtures("served", "never", "no_grace")
@pytest.mark.parametrize("change", TOLD, ids=lambda change: change.__name__)
async def test_what_a_process_does_is_known_at_once(change):
    ada, client = await user_and_client()
    _, other = await user_and_client("carl")
    async with open_socket(client) as ws, open_socket(other) as carls:
        await change(ada, client)
        assert await ended(ws) == TOLD[change]
        assert await still_answers(carls)


@pytest.mark.usefixtures("served", "never", "no_grace")
@pytest.mark.parametrize("change", [flush, cycle_key], ids=lambda change: change.__name__)
async def test_so_it_is_with_every_engine(change, engine):
    ada, client = await user_and_client()
    async with open_socket(client) as ws:
        await change(ada, client)
        assert (await ended(ws))[0] == 4401


@pytest.mark.usefixtures("served", "never", "no_grace")
async def test_whose_session_is_in_a_cookie_is_closed_by_a_flush_and_not_by_a_new_key(settings):
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    ada, client = await user_and_client()
    async with open_socket(client) as ws:
        await cycle_key(ada, client)
        assert await still_answers(ws)
        await flush(ada, client)
        assert await ended(ws) == SESSION


@pytest.mark.usefixtures("served", "never")
@pytest.mark.parametrize("setting", [True, "session"])
async def test_a_flush_closes_what_a_log_out_would_close(settings, setting):
    settings.FASTWS_CLOSE_ON_LOGOUT = setting
    ada, here = await user_and_client()
    _, elsewhere = await user_and_client()
    async with open_socket(here) as one, open_socket(elsewhere) as two:
        await flush(ada, here)
        assert await ended(one) == SESSION
        if setting == "session":
            assert await still_answers(two)
        else:
            assert await ended(two) == SESSION


@pytest.mark.usefixtures("served", "never")
async def test_a_new_key_leaves_the_browser_time_for_its_cookie_and_other_devices_alone(monkeypatch):
    monkeypatch.setattr("django_fastws.users.sessions._GRACE", 0.3)
    _, here = await user_and_client()
    _, elsewhere = await user_and_client()
    async with open_socket(here) as one, open_socket(elsewhere) as two:
        began = time.monotonic()
        session = await here.asession()
        await session.acycle_key()
        with pytest.raises(HandshakeDenied):
            async with open_socket(here):
                pass
        assert await ended(one) == NEW_KEY
        assert time.monotonic() - began >= 0.25
        here.cookies["sessionid"] = session.session_key
        async with open_socket(here) as again:
            assert await still_answers(again)
        assert await still_answers(two)


@pytest.mark.usefixtures("served", "never")
async def test_a_handler_that_flushes_its_session_ends_itself():
    async def leaving(ws):
        await ws.accept()
        await ws.session.aflush()
        await ws.receive()

    FastWS().websocket("/leaving")(leaving)
    _, client = await user_and_client()
    async with open_socket(client, "/leaving") as ws:
        assert await ended(ws) == SESSION
    assert not await Session.objects.aexists()


@pytest.mark.usefixtures("served", "never")
async def test_a_flush_or_a_password_that_is_rolled_back_ends_nothing():
    ada, client = await user_and_client()
    session = await client.asession()

    def work():
        with transaction.atomic():
            session.flush()
            ada.set_password("another")
            ada.save()
            transaction.set_rollback(True)

    async with open_socket(client) as ws:
        await sync_to_async(work)()
        assert await still_answers(ws)


@pytest.mark.usefixtures("served", "never")
async def test_a_log_out_is_told_of_the_user_at_once_and_of_the_session_when_that_is_gone(monkeypatch):
    published = []
    monkeypatch.setattr(
        "django_fastws.users.background.get_broker",
        fake_broker(publish=published.append),
    )
    _, client = await user_and_client()
    await client.post("/logout/")
    await client.aforce_login(await User.objects.acreate(username="bob"))
    await sync_to_async(all_published)()
    assert [(envelope.fields["reason"], "others" in envelope.fields) for envelope in published] == [
        ("logged out", True),
        ("logged out", False),
    ]


@pytest.mark.usefixtures("served", "never")
async def test_a_handshake_between_a_log_out_and_the_end_of_its_transaction_leaves_no_socket(engine):
    ada, client = await user_and_client()
    request = await request_of(client)
    await user_logged_out.asend(User, request=request, user=ada)  # as logout() does, before it flushes the session
    async with open_socket(client) as ws:
        await request.session.aflush()
        assert await ended(ws) == (4401, "logged out")


@pytest.mark.usefixtures("served", "never")
async def test_who_logs_in_again_with_another_device_is_not_closed_by_the_end_of_a_log_out():
    ada, client = await user_and_client()
    request = await request_of(client)
    await user_logged_out.asend(User, request=request, user=ada)
    _, elsewhere = await user_and_client()
    async with open_socket(elsewhere) as ws:
        await request.session.aflush()
        assert await still_answers(ws)
