"""Who is logged in on a handshake: as Django finds it for a request, and without harm to the session."""

from importlib import import_module

import pytest
from asgiref.sync import sync_to_async
from channels.routing import URLRouter
from django.conf import settings as django_settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.models import Session
from django.core.cache import caches
from django.db import OperationalError
from django.test import AsyncClient, override_settings

from django_fastws import FastWS, asgi
from django_fastws.asgi import Handshake, SessionMiddleware
from django_fastws.routing import websocket_urlpatterns
from django_fastws.testing import HandshakeDenied, connect
from django_fastws.users import SessionLoadingMiddleware, authentication, identity
from django_fastws.users.authentication import cache_of, load_user
from tests.users.conftest import ENGINES

pytestmark = [pytest.mark.usefixtures("routes"), pytest.mark.django_db(transaction=True)]

COOKIES = "django.contrib.sessions.backends.signed_cookies"
MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"


class NoHash:
    """A user of a backend of one's own."""

    pk = 7
    is_authenticated = True


class Ours(ModelBackend):
    def get_user(self, user_id):
        return NoHash()


with_engines = pytest.mark.parametrize("engine", ENGINES, indirect=True, ids=lambda name: name.rpartition(".")[2])
with_all_engines = pytest.mark.parametrize(
    "engine", [*ENGINES, COOKIES], indirect=True, ids=lambda name: name.rpartition(".")[2]
)


def store(key=None):
    return import_module(django_settings.SESSION_ENGINE).SessionStore(key)


def stored(key):
    """What is stored under a key now."""
    return dict(store(key).items())


def log_in(user, **more):
    """A session of a user; its key."""
    session = store()
    session.create()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = MODEL_BACKEND
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.update({"basket": [1, 2], **more})
    session.save()
    return session.session_key


class Request:
    def __init__(self, session):
        self.session = session


@pytest.fixture
def ada(db):
    return User.objects.create(username="ada", password="x")


new_key = override_settings(SECRET_KEY="the new one", SECRET_KEY_FALLBACKS=["other", "for tests only"])
no_fallback = override_settings(SECRET_KEY="the new one", SECRET_KEY_FALLBACKS=[])


@with_all_engines
def test_after_a_rotation_of_the_secret_key_the_user_is_the_same(engine, ada):
    key = log_in(ada)
    with new_key:
        session = store(key)
        assert load_user(session) == ada
        assert session["basket"] == [1, 2]
        assert session.session_key == key
        assert get_user(Request(store(key))) == ada  # so is HTTP's


def test_a_session_without_a_cache_of_its_own_has_that_of_the_settings(settings):
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cached_db"
    session = store()
    own = session._cache = object()
    assert cache_of(session) is own
    del session._cache
    assert cache_of(session) is caches[settings.SESSION_CACHE_ALIAS]


def test_the_names_of_what_a_session_says_are_djangos():
    ours = identity.SESSION_KEY, identity.BACKEND_KEY, identity.HASH_KEY
    assert ours == (SESSION_KEY, BACKEND_SESSION_KEY, HASH_SESSION_KEY)


@with_engines
def test_the_hash_is_renewed_where_it_is_stored(engine, ada):
    key = log_in(ada)
    with new_key:
        session = store(key)
        load_user(session)
        assert session[HASH_SESSION_KEY] == ada.get_session_auth_hash()
        assert not session.modified
        assert stored(key)["basket"] == [1, 2]
        with override_settings(SECRET_KEY_FALLBACKS=[]):
            assert stored(key)[HASH_SESSION_KEY] == ada.get_session_auth_hash()
            assert load_user(store(key)) == ada


@with_engines
def test_what_a_request_writes_meanwhile_is_not_lost(engine, ada):
    key = log_in(ada)
    with new_key:
        session = store(key)
        session.load() if engine.endswith("file") else session.keys()
        request = store(key)
        request["basket"] = [3]
        request.save()
        assert load_user(session) == ada
        assert stored(key)["basket"] == [3]
        assert stored(key)[HASH_SESSION_KEY] == ada.get_session_auth_hash()


def test_what_a_request_writes_between_our_look_and_our_write_is_not_lost(ada, monkeypatch):
    key = log_in(ada)
    decode, looks = store().__class__.decode, []

    def slow(self, text):
        data = decode(self, text)
        looks.append(data)
        if len(looks) == 3:  # the session, then the request's, then the look before the write
            request["basket"] = [3]
            request.save()
        return data

    with new_key:
        session, request = store(key), store(key)
        monkeypatch.setattr(store().__class__, "decode", slow)
        assert session["basket"] == request["basket"] == [1, 2]
        assert load_user(session) == ada
        assert stored(key)["basket"] == [3]
        assert stored(key)[HASH_SESSION_KEY] == ada.get_session_auth_hash()


def test_a_request_that_has_renewed_the_hash_already_is_not_undone(ada):
    key = log_in(ada)
    with new_key:
        session = store(key)
        session.keys()
        request = store(key)
        request[HASH_SESSION_KEY] = "of the request"
        request.save()
        assert load_user(session) == ada
        assert stored(key)[HASH_SESSION_KEY] == "of the request"


@pytest.mark.parametrize("error", [UpdateError(), OperationalError("read-only"), OSError("full")], ids=repr)
def test_where_it_cannot_be_stored_the_user_is_let_in_all_the_same(ada, error, monkeypatch, caplog):
    def swap(*args):
        raise error

    key = log_in(ada)
    monkeypatch.setattr(authentication, "_swap", swap)
    with new_key:
        session = store(key)
        assert load_user(session) == ada
        assert session[HASH_SESSION_KEY] == ada.get_session_auth_hash()
    assert "could not be renewed" in caplog.text


@with_engines
def test_a_session_that_is_not_verified_is_nobodys_and_stays_for_the_next_request(engine, ada):
    key = log_in(ada)
    before = stored(key)
    ada.set_password("another")
    ada.save()
    session = store(key)
    assert load_user(session) == AnonymousUser()
    assert list(session.keys()) == []
    assert session.session_key is None
    assert stored(key) == before
    request = Request(store(key))
    assert get_user(request) == AnonymousUser()  # and this deletes it
    assert stored(key) == {}


def test_a_key_that_is_not_among_the_fallbacks_verifies_nothing(ada, settings):
    key = log_in(ada)
    with no_fallback:
        assert load_user(store(key)) == AnonymousUser()
    assert load_user(store(key)) == ada  # a process that has the new key already has destroyed nothing


@pytest.mark.parametrize(
    ("changes", "who"),
    [
        ({SESSION_KEY: "404"}, None),
        ({SESSION_KEY: "not a number"}, None),
        ({SESSION_KEY: "d0a1e2c4-0b1e-4b53-8d2f-2b6a3c1f4e5d"}, None),
        ({SESSION_KEY: [1]}, None),
        ({SESSION_KEY: None}, None),
        ({SESSION_KEY: ""}, None),
        ({SESSION_KEY: str(10**30)}, None),
        ({BACKEND_SESSION_KEY: "no.such.Backend"}, None),
        ({BACKEND_SESSION_KEY: None}, None),
        ({HASH_SESSION_KEY: None}, None),
        ({HASH_SESSION_KEY: ""}, None),
        ({HASH_SESSION_KEY: "x"}, None),
        ({BACKEND_SESSION_KEY: f"{__name__}.Ours", HASH_SESSION_KEY: None}, NoHash),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_what_a_session_may_hold(ada, changes, who, settings):
    settings.AUTHENTICATION_BACKENDS = [MODEL_BACKEND, f"{__name__}.Ours"]
    key = log_in(ada, **changes)
    before = stored(key)
    user = load_user(store(key))
    assert isinstance(user, who or AnonymousUser)
    assert stored(key) == before


def test_a_session_without_a_user_is_nobodys_and_keeps_its_data(ada):
    session = store()
    session["basket"] = [1]
    session.save()
    session = store(session.session_key)
    assert load_user(session) == AnonymousUser()
    assert session["basket"] == [1]


def test_who_is_deactivated_or_deleted_is_nobody(ada):
    key = log_in(ada)
    User.objects.update(is_active=False)
    assert load_user(store(key)) == AnonymousUser()
    ada.delete()
    assert load_user(store(key)) == AnonymousUser()
    assert Session.objects.filter(pk=key).exists()


# The whole way


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


# A session, and a user who does not come from it


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
