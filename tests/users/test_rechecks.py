"""Re-checks: what no signal tells is found, in sessions, passwords and accounts, and when they run."""

import asyncio
import contextlib

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import OperationalError
from django.utils import timezone

from django_fastws.signals import layer_restored
from django_fastws.testing import HandshakeDenied, connect
from django_fastws.users import rechecks
from django_fastws.users import registry as users
from django_fastws.users.registry import current_users
from tests.users.sockets import (
    DELETED,
    INACTIVE,
    PASSWORD,
    SESSION,
    ended,
    open_socket,
    still_answers,
    user_and_client,
)
from tests.users.stored import store

pytestmark = [pytest.mark.usefixtures("routes"), pytest.mark.django_db(transaction=True)]


FOR_EVER = 86_400.0


def rows(**changes):
    return lambda user, key: User.objects.filter(pk=user.pk).update(**changes)


def write(key, **changes):
    session = store(key)
    session.update(changes)
    session.save()


UNTOLD = {
    "deactivated by a query": (rows(is_active=False), INACTIVE),
    "another password by a query": (rows(password="x"), PASSWORD),
    "deleted by a query": (lambda user, key: User.objects.filter(pk=user.pk)._raw_delete("default"), DELETED),
    "the session is deleted": (lambda user, key: store(key).delete(), SESSION),
    "all sessions are deleted": (lambda user, key: Session.objects.all().delete(), SESSION),
    "expired": (lambda user, key: Session.objects.update(expire_date=timezone.now()), SESSION),
    "another user's": (lambda user, key: write(key, **{SESSION_KEY: "404"}), SESSION),
    "nobody's": (lambda user, key: write(key, **{SESSION_KEY: None}), SESSION),
    "of no backend": (lambda user, key: write(key, _auth_user_backend="x.Y"), SESSION),
    "another hash": (lambda user, key: write(key, **{HASH_SESSION_KEY: "x"}), PASSWORD),
}


@pytest.mark.usefixtures("served", "often")
@pytest.mark.parametrize("what", UNTOLD)
async def test_what_no_signal_tells_is_found(what):
    change, how = UNTOLD[what]
    ada, client = await user_and_client()
    _, other = await user_and_client("bob")
    async with open_socket(client) as ws, open_socket(other) as bobs:
        await sync_to_async(change)(ada, client.cookies["sessionid"].value)
        assert await ended(ws) == how
        if not what.startswith(("all", "expired")):
            assert await still_answers(bobs)
        with pytest.raises(HandshakeDenied):
            async with open_socket(client):
                pass


@pytest.mark.usefixtures("served", "often")
async def test_sessions_that_are_stored_elsewhere_are_found_too(engine):
    _, client = await user_and_client()
    _, other = await user_and_client("bob")
    async with open_socket(client) as ws, open_socket(other) as bobs:
        assert await still_answers(ws)
        await sync_to_async(store(client.cookies["sessionid"].value).delete)()
        assert await ended(ws) == SESSION
        assert await still_answers(bobs)
    async with open_socket(other) as bobs:
        await User.objects.filter(username="bob").aupdate(password="x")
        assert await ended(bobs) == PASSWORD


@pytest.mark.usefixtures("served", "often")
async def test_a_session_in_a_cookie_ends_with_its_age_and_with_the_password(settings):
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    ada, client = await user_and_client()
    async with open_socket(client) as ws:
        assert await still_answers(ws)
        await User.objects.filter(pk=ada.pk).aupdate(password="x")
        assert await ended(ws) == PASSWORD
    ada, client = await user_and_client()
    async with open_socket(client) as ws:
        settings.SESSION_COOKIE_AGE = 0
        assert await ended(ws) == SESSION


@pytest.mark.usefixtures("served", "often")
async def test_a_user_of_middleware_is_looked_at_too():
    ada = await User.objects.acreate(username="ada")
    async with connect("/x", user=ada) as ws:
        assert await still_answers(ws)
        await User.objects.filter(pk=ada.pk).aupdate(password="x")  # middleware may ask for no password
        assert await still_answers(ws)
        await User.objects.filter(pk=ada.pk).aupdate(is_active=False)
        assert await ended(ws) == INACTIVE


@pytest.mark.usefixtures("served", "often")
async def test_a_user_who_was_not_active_at_the_handshake_was_let_in_on_purpose():
    ada = await User.objects.acreate(username="ada", is_active=False)
    async with connect("/x", user=ada) as ws:
        assert await still_answers(ws)


@pytest.mark.usefixtures("served", "often")
async def test_a_user_who_is_not_stored_is_not_looked_for():
    async with connect("/x", user=User(pk=404, username="nobody")) as ws:
        assert await still_answers(ws)


@pytest.mark.usefixtures("served", "often")
async def test_after_a_rotation_of_the_secret_key_sockets_stay(settings):
    _, client = await user_and_client()
    async with open_socket(client) as ws:
        settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "the new one", ["for tests only"]
        assert await still_answers(ws)
        settings.SECRET_KEY_FALLBACKS = []
        assert (await ended(ws))[0] == 4401


@pytest.mark.usefixtures("served", "often")
async def test_what_a_request_writes_into_the_session_ends_nothing():
    _, client = await user_and_client()
    async with open_socket(client) as ws:
        await sync_to_async(write)(client.cookies["sessionid"].value, basket=[1])
        assert await still_answers(ws)


@pytest.mark.usefixtures("served", "often")
async def test_it_can_be_off(settings):
    settings.FASTWS_CLOSE_ON_LOGOUT = False
    _, client = await user_and_client()
    async with open_socket(client) as ws:
        await Session.objects.all().adelete()
        assert await still_answers(ws)


@pytest.mark.usefixtures("served", "never")
async def test_none_is_never():
    _, client = await user_and_client()
    async with open_socket(client) as ws:
        await Session.objects.all().adelete()
        assert await still_answers(ws)


@pytest.mark.usefixtures("served", "often")
async def test_a_database_that_fails_closes_nobody_and_is_said_once(monkeypatch, caplog):
    asked = []

    def failing(identities):
        asked.append(identities)
        raise OperationalError("away")

    monkeypatch.setattr(rechecks, "verify", failing)
    _, client = await user_and_client()
    async with open_socket(client) as ws:
        while len(asked) < 4:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert await still_answers(ws)
        assert caplog.text.count("cannot be looked at") == 1
        monkeypatch.undo()
        await Session.objects.all().adelete()
        # The interval is of the fixture that was undone, too.
        current_users().recheck(0)
        assert await ended(ws) == SESSION


@pytest.mark.usefixtures("served", "often")
async def test_nothing_runs_where_nobody_is(monkeypatch):
    asked = []
    monkeypatch.setattr(rechecks, "verify", lambda identities: asked.append(1) or {})
    _, client = await user_and_client()
    async with open_socket(client):
        while not asked:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    looks = current_users()._rechecks
    await looks.settled()
    assert looks._timer is None
    async with connect("/any"):
        assert looks._timer is None


@pytest.mark.usefixtures("served", "often")
async def test_with_a_setup_of_the_connection_each_is_looked_at_by_its_own(settings, monkeypatch):
    looked = []
    monkeypatch.setattr(rechecks, "verify", lambda identities: looked.append(len(identities)) or {})
    settings.FASTWS_DB_SETUP = lambda scope: None
    _, client = await user_and_client()
    async with open_socket(client), open_socket(client):
        while len(looked) < 4:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert set(looked) == {1}


@pytest.mark.usefixtures("served", "often")
async def test_a_tenant_that_cannot_be_set_up_keeps_no_other_from_being_looked_at(settings, caplog):
    gone = []

    def set_up(scope):
        if gone and scope["user"].username in gone:
            raise LookupError("no such tenant")

    settings.FASTWS_DB_SETUP = set_up
    clients = [(await user_and_client(f"user{number}"))[1] for number in range(4)]
    async with contextlib.AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(open_socket(client)) for client in clients]
        gone += ["user0", "user3"]
        await Session.objects.all().adelete()
        for ws in sockets[1:3]:
            assert await ended(ws) == SESSION
        assert await still_answers(sockets[0])
        assert caplog.text.count("cannot be looked at") == 1


@pytest.mark.usefixtures("served", "often")
async def test_a_database_that_is_away_is_not_asked_once_for_each_socket(settings, monkeypatch):
    asked = []

    async def failing(self, connections):
        asked.append(1)
        raise OperationalError("away")

    monkeypatch.setattr(rechecks.Rechecks, "_look", failing)
    settings.FASTWS_DB_SETUP = lambda scope: None
    looks = rechecks.Rechecks(list)
    with pytest.raises(OperationalError):
        await looks._look_at_all(list(range(100)))
    assert len(asked) == 10


def test_the_time_is_jittered_and_within_the_setting(settings):
    settings.FASTWS_SESSION_CHECK_SECONDS = 100
    delays = []

    async def main():
        loop = asyncio.get_running_loop()
        call_later = loop.call_later
        loop.call_later = lambda delay, *args, **more: delays.append(delay) or call_later(delay, *args, **more)
        for _ in range(50):
            looks = rechecks.Rechecks(list)
            looks.start()
            looks.stop()

    asyncio.run(main())
    assert len(delays) == 50
    assert len({round(delay, 2) for delay in delays}) > 10
    assert 79 < min(delays) <= max(delays) <= 100


@pytest.mark.usefixtures("served")
async def test_after_an_outage_of_the_layer_everybody_is_looked_at(monkeypatch, settings):
    settings.FASTWS_SESSION_CHECK_SECONDS = FOR_EVER
    monkeypatch.setattr(users, "_SPREAD", 0.01)
    _, client = await user_and_client()
    async with open_socket(client) as ws:
        await Session.objects.all().adelete()
        assert await still_answers(ws)
        layer_restored.send(None, error=OSError(), seconds=1.0)
        assert await ended(ws) == SESSION
