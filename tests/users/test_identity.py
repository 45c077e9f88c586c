"""Identities of connections: the hashes of sessions, and what a session says."""

import pytest
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.sessions.backends.cache import SessionStore
from django.contrib.sessions.backends.signed_cookies import SessionStore as CookieStore

from django_fastws.users.identity import Identity, hash_of_key, session_hash

KEY = "key-of-a-session"


def test_the_hash_of_a_session_is_that_of_its_key_and_does_not_show_it():
    session = SessionStore("secret-key")
    assert session_hash(session) == hash_of_key("secret-key") != hash_of_key("another")
    assert "secret-key" not in session_hash(session)


@pytest.mark.parametrize("session", [None, {}, SessionStore(), CookieStore("all that it holds")])
def test_a_session_without_a_name_has_no_hash(session):
    assert session_hash(session) == ""


def logged_in(user, named):
    """A session that says who the user is, as it is after the middleware has loaded it."""
    session = SessionStore(KEY)
    session._session_cache = {SESSION_KEY: named, BACKEND_SESSION_KEY: "backend", HASH_SESSION_KEY: "hash"}
    user._state.adding = False
    return {"user": user, "session": session}


def test_the_identity_of_who_is_logged_in_is_the_user_and_the_session():
    found = Identity.of(logged_in(User(pk=5, is_active=False), "5"))
    assert (found.user, found.session, found.pk, found.was_active) == ("auth.user:5", hash_of_key(KEY), 5, False)
    assert (found.store, found.key, found.named, found.backend) == (SessionStore, KEY, "5", "backend")
    assert found.is_stored


@pytest.mark.parametrize("named", ["6", "no number", None])
def test_a_session_that_names_another_user_is_not_looked_at_again(named):
    found = Identity.of(logged_in(User(pk=5), named))
    assert (found.user, found.pk, found.store) == ("auth.user:5", 5, None)


@pytest.mark.parametrize("scope", [{}, {"user": AnonymousUser()}, {"user": User(pk=5)}])
def test_of_nobody_and_of_who_is_not_stored_there_is_nothing_to_look_at(scope):
    found = Identity.of(scope)
    assert not found.is_stored
