"""Sessions and users that are read with queries compiled once: they are what Django reads, in two queries."""

import pytest
from django.contrib.auth.models import User, UserManager
from django.contrib.sessions.backends.cached_db import SessionStore as CachedStore
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_fastws.users.authentication import load_user
from django_fastws.users.stored_rows import read_session, read_user
from tests.users.stored import log_in, store

pytestmark = [pytest.mark.usefixtures("routes"), pytest.mark.django_db(transaction=True)]


@pytest.fixture
def ada(db):
    return User.objects.create(username="ada", password="x", last_login=timezone.now())


def test_a_user_costs_two_queries_and_is_the_one_that_django_reads(ada):
    key = log_in(ada)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        user = load_user(store(key))
    assert [query["sql"].split()[0] for query in queries] == ["SELECT", "SELECT"]
    theirs = User.objects.get(pk=ada.pk)
    assert (user, user._state.db, user._state.adding) == (theirs, "default", False)
    assert vars(user).keys() == vars(theirs).keys()
    assert {name: value for name, value in vars(user).items() if name != "_state"} == {
        name: value for name, value in vars(theirs).items() if name != "_state"
    }
    assert user.get_deferred_fields() == set()


@pytest.mark.parametrize("engine", ["cached_db", "cache", "signed_cookies"])
def test_a_user_whose_session_is_not_looked_for_in_the_database_costs_one(ada, settings, engine):
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    key = log_in(ada)
    with CaptureQueriesContext(connection) as queries:
        assert load_user(store(key)) == ada
    assert len(queries) == 1


def test_a_session_is_the_one_that_django_reads(ada):
    key = log_in(ada)
    ours, theirs = store(key), store(key)
    assert read_session(ours)
    assert dict(ours.items()) == dict(theirs.items())
    assert (ours.session_key, ours.modified) == (key, theirs.modified)


@pytest.mark.parametrize("change", ["deleted", "expired", "spoilt"])
def test_a_session_that_is_none_any_more_is_empty(ada, change):
    key = log_in(ada)
    rows = Session.objects.filter(pk=key)
    if change == "deleted":
        rows.delete()
    elif change == "expired":
        rows.update(expire_date=timezone.now())
    else:
        rows.update(session_data="spoilt")
    ours, theirs = store(key), store(key)
    read_session(ours)
    assert dict(ours.items()) == dict(theirs.items()) == {}
    assert ours.session_key == theirs.session_key


def test_what_is_not_djangos_own_is_left_to_it(ada, monkeypatch):
    class Decoding(SessionStore):
        def load(self):
            return {"own": True}

    assert not read_session(Decoding("x"))
    assert not read_session(CachedStore("x"))

    class Active(UserManager):
        def get_queryset(self):
            return super().get_queryset().filter(is_active=True)

    assert read_user(User, ada.pk) == ada
    manager = Active()
    manager.model = User
    monkeypatch.setattr(User._meta, "default_manager", manager, raising=False)
    assert read_user(User, ada.pk) is None


@pytest.mark.parametrize("pk", [0, -1, 2**63, 10**30])
def test_who_is_not_there_is_nobody(pk):
    assert read_user(User, pk) is None
