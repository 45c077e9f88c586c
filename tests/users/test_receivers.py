"""Receivers of Django's signals: log-outs, passwords, deactivation and deletion close sockets."""

import json
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group, User
from django.contrib.auth.signals import user_logged_out
from django.contrib.sessions.backends.db import SessionStore
from django.db import IntegrityError, connection
from django.test import AsyncClient, override_settings
from django.test.utils import CaptureQueriesContext

from django_fastws import adisconnect
from django_fastws._core.control import GROUP
from django_fastws.testing import connect
from django_fastws.user_keys import user_key
from django_fastws.users.identity import session_hash
from tests.site import asgi  # noqa: F401 (sets Django up again, which would take the root logger from caplog)
from tests.support.brokers import fake_broker
from tests.users.closing import BOB, all_published, closed, is_open, logged_in, rolled_back
from tests.users.sockets import PASSWORD, deactivate, ended, open_socket, still_answers, user_and_client

pytestmark = [pytest.mark.usefixtures("routes"), pytest.mark.django_db(transaction=True)]


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
    await sync_to_async(all_published)()
    assert published
    for envelope in published:
        fields = envelope.fields
        assert envelope.room == GROUP
        assert all(isinstance(value, (str, bytes)) for value in fields.values())
        assert key not in json.dumps([envelope.room, dict(fields)])
        assert fields["session"] == session_hash(SessionStore(key))


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
    await sync_to_async(all_published)()
    assert published == []


async def test_other_models_are_deleted_as_fast_as_ever():
    from django.db.models.signals import post_delete, post_save

    assert not post_delete.has_listeners(Group)
    assert not post_save.has_listeners(Group)
    assert post_delete.has_listeners(User)


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


@pytest.mark.usefixtures("served", "never")
async def test_what_changes_no_password_ends_nothing():
    ada, client = await user_and_client()
    async with open_socket(client) as ws:
        ada = await User.objects.aget(pk=ada.pk)
        ada.first_name = "Ada"
        await ada.asave()
        ada.set_password("another")
        await ada.asave(update_fields=["first_name"])
        await (await User.objects.only("first_name").aget(pk=ada.pk)).asave()
        session = await client.asession()
        await session.aset("basket", [1])
        await session.asave()
        await client.get("/hello/")
        assert await still_answers(ws)


@pytest.mark.usefixtures("served", "never")
async def test_a_password_that_others_have_changed_is_no_change_of_a_save_that_follows():
    ada, client = await user_and_client()
    await User.objects.filter(pk=ada.pk).aupdate(password="x")
    await client.aforce_login(await User.objects.aget(pk=ada.pk))
    await sync_to_async(all_published)()  # the former session has ended, and with it what the user had open
    async with open_socket(client) as ws:
        await ada.arefresh_from_db()
        ada.first_name = "Ada"
        await ada.asave()
        await ada.asave(update_fields=["password"])
        assert await still_answers(ws)


@pytest.mark.usefixtures("served", "never")
async def test_a_password_that_was_not_loaded_is_compared_when_it_is_assigned():
    ada, client = await user_and_client()
    partly = await User.objects.only("username").aget(pk=ada.pk)
    async with open_socket(client) as ws:
        partly.password = ada.password
        await partly.asave(update_fields=["password"])
        assert await still_answers(ws)
        partly.password = "another"
        await partly.asave(update_fields=["password"])
        assert await ended(ws) == PASSWORD


@pytest.mark.usefixtures("served", "never")
async def test_a_save_that_has_failed_ends_nothing_later():
    ada, client = await user_and_client()
    await User.objects.acreate(username="bob")
    async with open_socket(client) as ws:
        ada.username, ada.password = "bob", "another"
        with pytest.raises(IntegrityError):
            await ada.asave()
        await ada.arefresh_from_db()
        await ada.asave()
        assert await still_answers(ws)


async def test_a_login_of_somebody_who_was_nobody_tells_nothing(monkeypatch):
    published = []
    monkeypatch.setattr(
        "django_fastws.users.background.get_broker",
        fake_broker(publish=published.append),
    )
    client = AsyncClient()
    session = await client.asession()
    await session.aset("basket", [1])
    await session.asave()
    client.cookies["sessionid"] = session.session_key
    await client.aforce_login(await User.objects.acreate(username="ada"))
    await sync_to_async(all_published)()
    assert published == []


@pytest.mark.parametrize("how", ["again", "anew", "loaded long ago"])
def test_who_was_not_active_before_is_nobodys_concern(monkeypatch, how):
    published = []
    ada = User.objects.create(username="ada")
    former = User.objects.get(pk=ada.pk)
    deactivate([ada])
    all_published()
    monkeypatch.setattr(
        "django_fastws.users.background.get_broker",
        fake_broker(publish=published.append),
    )
    if how == "again":
        ada.save()
    elif how == "anew":
        User(pk=ada.pk, username="ada", is_active=False, password=ada.password).save()
    else:
        deactivate([former])
    all_published()
    assert published == []


def test_who_was_made_active_meanwhile_is(monkeypatch):
    published = []
    ada = User.objects.create(username="ada", is_active=False)
    User.objects.update(is_active=True)
    monkeypatch.setattr(
        "django_fastws.users.background.get_broker",
        fake_broker(publish=published.append),
    )
    ada.save()
    all_published()
    assert [envelope.fields["user"] for envelope in published] == [user_key(ada)]


def test_a_save_of_an_active_user_asks_nothing_more():
    ada = User.objects.create(username="ada")
    with CaptureQueriesContext(connection) as queries:
        ada.save()
    assert len(queries) == 1
