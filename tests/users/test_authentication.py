"""Who is logged in on a handshake: as Django finds it for a request, and without harm to the session."""

import pytest
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.contrib.sessions.models import Session
from django.core.cache import caches
from django.db import OperationalError
from django.test import override_settings

from django_fastws.users import authentication
from django_fastws.users.authentication import cache_of, is_known, load_user
from tests.users.conftest import ENGINES
from tests.users.stored import MODEL_BACKEND, Request, log_in, new_key, store

pytestmark = [pytest.mark.usefixtures("routes"), pytest.mark.django_db(transaction=True)]


COOKIES = "django.contrib.sessions.backends.signed_cookies"


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


def stored(key):
    """What is stored under a key now."""
    return dict(store(key).items())


@pytest.fixture
def ada(db):
    return User.objects.create(username="ada", password="x")


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


def test_what_else_is_asked_of_a_session_is_answered_by_it(ada, monkeypatch):
    key = log_in(ada)

    def another_get_user(request):
        assert (request.session.session_key, request.session["basket"], "basket" in request.session) == (
            key,
            [1, 2],
            True,
        )
        return request.META.get("nobody", ada)

    monkeypatch.setattr("django.contrib.auth.get_user", another_get_user)
    assert load_user(store(key)) == ada


def test_a_session_without_a_cache_of_its_own_has_that_of_the_settings(settings):
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cached_db"
    session = store()
    own = session._cache = object()
    assert cache_of(session) is own
    del session._cache
    assert cache_of(session) is caches[settings.SESSION_CACHE_ALIAS]


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


class OfOurs(DatabaseStore):
    """An engine of a project's own."""


class FindsThemToo(ModelBackend):
    """A backend that finds users as Django's own."""


def test_what_django_loads_itself_is_known(settings):
    settings.AUTHENTICATION_BACKENDS = [MODEL_BACKEND, f"{__name__}.FindsThemToo"]
    assert is_known(DatabaseStore("x"))


@pytest.mark.parametrize("backend", [f"{__name__}.Ours", "nowhere.Backend", f"{__name__}.Missing"])
def test_backends_of_ones_own_are_not_known_and_those_that_cannot_be_had_harm_nobody(settings, backend):
    settings.AUTHENTICATION_BACKENDS = [MODEL_BACKEND, backend]
    assert not is_known(DatabaseStore("x"))


def test_sessions_of_other_engines_are_not_known():
    assert not is_known(OfOurs("x"))
    assert not is_known({})
