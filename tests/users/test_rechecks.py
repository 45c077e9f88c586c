"""What no socket outlives: its session, its user's password, account and activity, whoever changes them and how."""

import asyncio
import contextlib
import threading
import time
from unittest.mock import AsyncMock

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY, alogin, aupdate_session_auth_hash
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_out
from django.contrib.sessions.models import Session
from django.db import IntegrityError, OperationalError, connection, transaction
from django.test import AsyncClient
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_fastws import FastWS
from django_fastws.signals import layer_restored
from django_fastws.testing import HandshakeDenied, connect
from django_fastws.users import rechecks
from django_fastws.users import registry as users
from django_fastws.users.background import publisher
from django_fastws.users.identity import Identity, user_key
from django_fastws.users.registry import current_users
from django_fastws.users.verification import verify
from tests.support.brokers import fake_broker
from tests.users.test_authentication import log_in, store

pytestmark = [pytest.mark.usefixtures("routes"), pytest.mark.django_db(transaction=True)]

FOR_EVER = 86_400.0


@pytest.fixture
def served(routes):
    """Serves ``/x``, for those who are logged in."""

    async def handler(ws):
        await ws.accept()
        async for message in ws:
            await ws.send(message.data)

    FastWS().websocket("/x", login_required=True)(handler)
    FastWS().websocket("/any")(handler)


@pytest.fixture
async def often(settings):
    """Sockets are looked at all the time; and not any more when the database is emptied behind the test."""
    settings.FASTWS_SESSION_CHECK_SECONDS = 0.05
    yield
    await current_users().settled()


@pytest.fixture
def never(settings):
    settings.FASTWS_SESSION_CHECK_SECONDS = None


async def logged_in(name="ada"):
    user, _ = await User.objects.aget_or_create(username=name)
    client = AsyncClient()
    await client.aforce_login(user)
    return user, client


def open_socket(client, path="/x"):
    return connect(path, cookies=client.cookies)


async def ended(ws):
    return await ws.wait_closed(), ws.close_reason


async def is_open(ws):
    await ws.send("there?")
    return await ws.receive_text() == "there?" and await ws.receive_nothing(0.2)


SESSION, PASSWORD = (4401, "the session has ended"), (4401, "the password has changed")
INACTIVE, DELETED = (4401, "the account is not active"), (4401, "the account is deleted")


# What no signal tells: the re-check finds it


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
    ada, client = await logged_in()
    _, other = await logged_in("bob")
    async with open_socket(client) as ws, open_socket(other) as bobs:
        await sync_to_async(change)(ada, client.cookies["sessionid"].value)
        assert await ended(ws) == how
        if not what.startswith(("all", "expired")):
            assert await is_open(bobs)
        with pytest.raises(HandshakeDenied):
            async with open_socket(client):
                pass


@pytest.mark.usefixtures("served", "often")
async def test_sessions_that_are_stored_elsewhere_are_found_too(engine):
    _, client = await logged_in()
    _, other = await logged_in("bob")
    async with open_socket(client) as ws, open_socket(other) as bobs:
        assert await is_open(ws)
        await sync_to_async(store(client.cookies["sessionid"].value).delete)()
        assert await ended(ws) == SESSION
        assert await is_open(bobs)
    async with open_socket(other) as bobs:
        await User.objects.filter(username="bob").aupdate(password="x")
        assert await ended(bobs) == PASSWORD


@pytest.mark.usefixtures("served", "often")
async def test_a_session_in_a_cookie_ends_with_its_age_and_with_the_password(settings):
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    ada, client = await logged_in()
    async with open_socket(client) as ws:
        assert await is_open(ws)
        await User.objects.filter(pk=ada.pk).aupdate(password="x")
        assert await ended(ws) == PASSWORD
    ada, client = await logged_in()
    async with open_socket(client) as ws:
        settings.SESSION_COOKIE_AGE = 0
        assert await ended(ws) == SESSION


@pytest.mark.usefixtures("served", "often")
async def test_a_user_of_middleware_is_looked_at_too():
    ada = await User.objects.acreate(username="ada")
    async with connect("/x", user=ada) as ws:
        assert await is_open(ws)
        await User.objects.filter(pk=ada.pk).aupdate(password="x")  # middleware may ask for no password
        assert await is_open(ws)
        await User.objects.filter(pk=ada.pk).aupdate(is_active=False)
        assert await ended(ws) == INACTIVE


@pytest.mark.usefixtures("served", "often")
async def test_a_user_who_was_not_active_at_the_handshake_was_let_in_on_purpose():
    ada = await User.objects.acreate(username="ada", is_active=False)
    async with connect("/x", user=ada) as ws:
        assert await is_open(ws)


@pytest.mark.usefixtures("served", "often")
async def test_a_user_who_is_not_stored_is_not_looked_for():
    async with connect("/x", user=User(pk=404, username="nobody")) as ws:
        assert await is_open(ws)


@pytest.mark.usefixtures("served", "often")
async def test_after_a_rotation_of_the_secret_key_sockets_stay(settings):
    _, client = await logged_in()
    async with open_socket(client) as ws:
        settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "the new one", ["for tests only"]
        assert await is_open(ws)
        settings.SECRET_KEY_FALLBACKS = []
        assert (await ended(ws))[0] == 4401


@pytest.mark.usefixtures("served", "often")
async def test_what_a_request_writes_into_the_session_ends_nothing():
    _, client = await logged_in()
    async with open_socket(client) as ws:
        await sync_to_async(write)(client.cookies["sessionid"].value, basket=[1])
        assert await is_open(ws)


@pytest.mark.usefixtures("served", "often")
async def test_it_can_be_off(settings):
    settings.FASTWS_CLOSE_ON_LOGOUT = False
    _, client = await logged_in()
    async with open_socket(client) as ws:
        await Session.objects.all().adelete()
        assert await is_open(ws)


@pytest.mark.usefixtures("served", "never")
async def test_none_is_never():
    _, client = await logged_in()
    async with open_socket(client) as ws:
        await Session.objects.all().adelete()
        assert await is_open(ws)


@pytest.mark.usefixtures("served", "often")
async def test_a_database_that_fails_closes_nobody_and_is_said_once(monkeypatch, caplog):
    asked = []

    def failing(identities):
        asked.append(identities)
        raise OperationalError("away")

    monkeypatch.setattr(rechecks, "verify", failing)
    _, client = await logged_in()
    async with open_socket(client) as ws:
        while len(asked) < 4:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert await is_open(ws)
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
    _, client = await logged_in()
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
    _, client = await logged_in()
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
    clients = [(await logged_in(f"user{number}"))[1] for number in range(4)]
    async with contextlib.AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(open_socket(client)) for client in clients]
        gone += ["user0", "user3"]
        await Session.objects.all().adelete()
        for ws in sockets[1:3]:
            assert await ended(ws) == SESSION
        assert await is_open(sockets[0])
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


class Faulty(ModelBackend):
    """A backend of one's own that fails for some."""

    fails = False

    def user_can_authenticate(self, user):
        if self.fails and user.username == "bob":
            raise ZeroDivisionError("on purpose")
        return super().user_can_authenticate(user)


@pytest.mark.usefixtures("served", "often")
async def test_a_backend_that_fails_for_one_user_keeps_no_other_from_being_looked_at(settings, monkeypatch, caplog):
    settings.AUTHENTICATION_BACKENDS = [f"{__name__}.Faulty"]
    ada, client = await logged_in()
    _, other = await logged_in("bob")
    async with open_socket(other) as bobs, open_socket(client) as ws:
        monkeypatch.setattr(Faulty, "fails", True)
        await User.objects.filter(pk=ada.pk).aupdate(is_active=False)
        assert await ended(ws) == INACTIVE
        assert await is_open(bobs)
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.usefixtures("served", "never")
def test_a_thousand_sockets_cost_two_queries():
    session_keys, all_of_them = [], []
    for number in range(30):
        ada = User.objects.create(username=f"user{number}", password="x")
        session_keys.append(log_in(ada))
        session = store(session_keys[-1])
        session.keys()
        all_of_them += [Identity.of({"user": ada, "session": session}) for _ in range(40)]
    for _ in range(2):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert verify(all_of_them) == {}
        assert len(queries) == 2
    Session.objects.filter(pk=session_keys[3]).delete()
    User.objects.filter(username="user4").update(is_active=False)
    assert len(verify(all_of_them)) == 80


def test_a_thousand_users_cost_one_query():
    User.objects.bulk_create(User(username=f"user{number}") for number in range(1000))
    identities = [Identity.of({"user": user}) for user in User.objects.all()]
    with CaptureQueriesContext(connection) as queries:
        assert verify(identities) == {}
    assert len(queries) == 1


def test_the_time_is_jittered_and_within_the_setting(settings):
    settings.FASTWS_SESSION_CHECK_SECONDS = 100
    delays = []

    async def main():
        loop = asyncio.get_running_loop()
        for _ in range(50):
            looks = rechecks.Rechecks(list)
            looks.start()
            delays.append(looks._timer.when() - loop.time())
            looks.stop()

    asyncio.run(main())
    assert len({round(delay, 2) for delay in delays}) > 10
    assert 79 < min(delays) <= max(delays) <= 100


@pytest.mark.usefixtures("served")
async def test_after_an_outage_of_the_layer_everybody_is_looked_at(monkeypatch, settings):
    settings.FASTWS_SESSION_CHECK_SECONDS = FOR_EVER
    monkeypatch.setattr(users, "_SPREAD", 0.01)
    _, client = await logged_in()
    async with open_socket(client) as ws:
        await Session.objects.all().adelete()
        assert await is_open(ws)
        layer_restored.send(None, error=OSError(), seconds=1.0)
        assert await ended(ws) == SESSION


# What is known at once: no re-check is needed


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
    ada, client = await logged_in()
    _, other = await logged_in("carl")
    async with open_socket(client) as ws, open_socket(other) as carls:
        await change(ada, client)
        assert await ended(ws) == TOLD[change]
        assert await is_open(carls)


@pytest.mark.usefixtures("served", "never", "no_grace")
@pytest.mark.parametrize("change", [flush, cycle_key], ids=lambda change: change.__name__)
async def test_so_it_is_with_every_engine(change, engine):
    ada, client = await logged_in()
    async with open_socket(client) as ws:
        await change(ada, client)
        assert (await ended(ws))[0] == 4401


@pytest.mark.usefixtures("served", "never", "no_grace")
async def test_whose_session_is_in_a_cookie_is_closed_by_a_flush_and_not_by_a_new_key(settings):
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    ada, client = await logged_in()
    async with open_socket(client) as ws:
        await cycle_key(ada, client)
        assert await is_open(ws)
        await flush(ada, client)
        assert await ended(ws) == SESSION


@pytest.mark.usefixtures("served", "never")
@pytest.mark.parametrize("setting", [True, "session"])
async def test_a_flush_closes_what_a_log_out_would_close(settings, setting):
    settings.FASTWS_CLOSE_ON_LOGOUT = setting
    ada, here = await logged_in()
    _, elsewhere = await logged_in()
    async with open_socket(here) as one, open_socket(elsewhere) as two:
        await flush(ada, here)
        assert await ended(one) == SESSION
        if setting == "session":
            assert await is_open(two)
        else:
            assert await ended(two) == SESSION


@pytest.mark.usefixtures("served", "never")
async def test_a_new_key_leaves_the_browser_time_for_its_cookie_and_other_devices_alone(monkeypatch):
    monkeypatch.setattr("django_fastws.users.sessions._GRACE", 0.3)
    _, here = await logged_in()
    _, elsewhere = await logged_in()
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
            assert await is_open(again)
        assert await is_open(two)


@pytest.mark.usefixtures("served", "never")
async def test_a_handler_that_flushes_its_session_ends_itself():
    async def leaving(ws):
        await ws.accept()
        await ws.session.aflush()
        await ws.receive()

    FastWS().websocket("/leaving")(leaving)
    _, client = await logged_in()
    async with open_socket(client, "/leaving") as ws:
        assert await ended(ws) == SESSION
    assert not await Session.objects.aexists()


@pytest.mark.usefixtures("served", "never")
async def test_a_flush_or_a_password_that_is_rolled_back_ends_nothing():
    ada, client = await logged_in()
    session = await client.asession()

    def work():
        with transaction.atomic():
            session.flush()
            ada.set_password("another")
            ada.save()
            transaction.set_rollback(True)

    async with open_socket(client) as ws:
        await sync_to_async(work)()
        assert await is_open(ws)


@pytest.mark.usefixtures("served", "never")
async def test_what_changes_no_password_ends_nothing():
    ada, client = await logged_in()
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
        assert await is_open(ws)


@pytest.mark.usefixtures("served", "never")
async def test_a_log_out_is_told_of_the_user_at_once_and_of_the_session_when_that_is_gone(monkeypatch):
    published = []
    monkeypatch.setattr(
        "django_fastws.users.background.get_broker",
        fake_broker(publish=published.append),
    )
    _, client = await logged_in()
    await client.post("/logout/")
    await client.aforce_login(await User.objects.acreate(username="bob"))
    await sync_to_async(publisher.drain)()
    assert [(envelope.fields["reason"], "others" in envelope.fields) for envelope in published] == [
        ("logged out", True),
        ("logged out", False),
    ]


@pytest.mark.usefixtures("served", "never")
async def test_a_handshake_between_a_log_out_and_the_end_of_its_transaction_leaves_no_socket(engine):
    ada, client = await logged_in()
    request = await request_of(client)
    await user_logged_out.asend(User, request=request, user=ada)  # as logout() does, before it flushes the session
    async with open_socket(client) as ws:
        await request.session.aflush()
        assert await ended(ws) == (4401, "logged out")


@pytest.mark.usefixtures("served", "never")
async def test_who_logs_in_again_with_another_device_is_not_closed_by_the_end_of_a_log_out():
    ada, client = await logged_in()
    request = await request_of(client)
    await user_logged_out.asend(User, request=request, user=ada)
    _, elsewhere = await logged_in()
    async with open_socket(elsewhere) as ws:
        await request.session.aflush()
        assert await is_open(ws)


@pytest.mark.usefixtures("served", "never")
async def test_a_password_that_others_have_changed_is_no_change_of_a_save_that_follows():
    ada, client = await logged_in()
    await User.objects.filter(pk=ada.pk).aupdate(password="x")
    await client.aforce_login(await User.objects.aget(pk=ada.pk))
    async with open_socket(client) as ws:
        await ada.arefresh_from_db()
        ada.first_name = "Ada"
        await ada.asave()
        await ada.asave(update_fields=["password"])
        assert await is_open(ws)


@pytest.mark.usefixtures("served", "never")
async def test_a_password_that_was_not_loaded_is_compared_when_it_is_assigned():
    ada, client = await logged_in()
    partly = await User.objects.only("username").aget(pk=ada.pk)
    async with open_socket(client) as ws:
        partly.password = ada.password
        await partly.asave(update_fields=["password"])
        assert await is_open(ws)
        partly.password = "another"
        await partly.asave(update_fields=["password"])
        assert await ended(ws) == PASSWORD


@pytest.mark.usefixtures("served", "never")
async def test_a_save_that_has_failed_ends_nothing_later():
    ada, client = await logged_in()
    await User.objects.acreate(username="bob")
    async with open_socket(client) as ws:
        ada.username, ada.password = "bob", "another"
        with pytest.raises(IntegrityError):
            await ada.asave()
        await ada.arefresh_from_db()
        await ada.asave()
        assert await is_open(ws)


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
    assert published == []


# One wait, and only for changes


@pytest.fixture
def hanging(monkeypatch):
    """A layer that takes nothing for as long as the test lasts; what was tried to publish."""
    published, go_on = [], threading.Event()

    def publish(envelope):
        published.append(envelope)
        go_on.wait(30)

    monkeypatch.setattr("django_fastws.users.background.get_broker", fake_broker(publish=publish))
    monkeypatch.setattr("django_fastws.users.background._LONGEST_WAIT", 0.2)
    yield published
    go_on.set()
    publisher.drain()


def deactivate(people):
    for user in people:
        user.is_active = False
        user.save()


def in_one_transaction(people):
    with transaction.atomic():
        deactivate(people)


def delete(people):
    User.objects.filter(pk__in=[user.pk for user in people]).delete()


def delete_each(people):
    for user in people:
        user.delete()


def change_passwords(people):
    for user in people:
        user.password = "x"
        user.save()


def in_savepoints(people):
    with transaction.atomic():
        for user in people:
            with transaction.atomic():
                deactivate([user])


@pytest.mark.parametrize(
    "work",
    [deactivate, in_one_transaction, in_savepoints, delete, delete_each, change_passwords],
    ids=lambda work: work.__name__,
)
def test_however_many_users_one_request_waits_once(hanging, work):
    people = [User.objects.create(username=f"user{number}") for number in range(40)]
    began = time.monotonic()
    work([User.objects.get(pk=user.pk) for user in people])
    assert hanging
    assert time.monotonic() - began < 5  # with a wait for each, it were eight seconds


def test_one_transaction_is_one_message(monkeypatch):
    published = []
    monkeypatch.setattr(
        "django_fastws.users.background.get_broker",
        fake_broker(publish=published.append),
    )
    people = [User.objects.create(username=f"user{number}") for number in range(40)]
    in_one_transaction(people)
    assert len(published) == 1
    assert all(isinstance(value, str) for value in published[0].fields.values())
    delete(people)
    assert len(published) == 2


@pytest.mark.usefixtures("served", "never")
async def test_of_a_transaction_everybody_is_closed_and_nobody_of_a_savepoint_that_was_rolled_back():
    people = [await logged_in(name) for name in ("ada", "bob", "carl")]

    def work():
        with transaction.atomic():
            deactivate([people[0][0]])
            with transaction.atomic():
                deactivate([people[1][0]])
                transaction.set_rollback(True)
            deactivate([people[2][0]])

    async with open_socket(people[0][1]) as one, open_socket(people[1][1]) as two, open_socket(people[2][1]) as three:
        await sync_to_async(work)()
        assert [await ended(one), await ended(three)] == [INACTIVE] * 2
        assert await is_open(two)


@pytest.mark.parametrize("how", ["again", "anew", "loaded long ago"])
def test_who_was_not_active_before_is_nobodys_concern(monkeypatch, how):
    published = []
    ada = User.objects.create(username="ada")
    former = User.objects.get(pk=ada.pk)
    deactivate([ada])
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
    assert [envelope.fields["user"] for envelope in published] == [user_key(ada)]


def test_a_save_of_an_active_user_asks_nothing_more():
    ada = User.objects.create(username="ada")
    with CaptureQueriesContext(connection) as queries:
        ada.save()
    assert len(queries) == 1
