"""Verification of identities against the database: are user and session still what they were at the handshake?"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.backends.cache import SessionStore as CacheStore
from django.contrib.sessions.backends.cached_db import SessionStore as CachedStore
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.contrib.sessions.backends.signed_cookies import SessionStore as CookieSession
from django.db import Error as DatabaseFailure
from django.db import router
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from ..user_keys import user_model
from .authentication import cache_of
from .identity import Identity

__all__ = ["ACCOUNT_DELETED", "ACCOUNT_INACTIVE", "PASSWORD_CHANGED", "SESSION_ENDED", "verify"]

logger = logging.getLogger("django_fastws.users")

ACCOUNT_DELETED = "the account is deleted"
ACCOUNT_INACTIVE = "the account is not active"
PASSWORD_CHANGED = "the password has changed"
SESSION_ENDED = "the session has ended"

_ROWS = 1000  # of one query

T = TypeVar("T")
_Data = dict[str, Any]


def verify(identities: Collection[Identity]) -> dict[Identity, str]:
    """Verify identities against what is stored; blocks.

    Returns:
        Those that are not what they were any more, with the reason.

    It asks what Django asks for each request, for all at once: one query for the sessions, if they are in the
    database, and one for the users, for each thousand of them. An error of the database is raised: then nothing is
    known about anybody. One that the project's own code raises for one of them leaves that one as it is.
    """
    # Users first: a change of the password writes the user, then the session.
    users = _stored_users({one.pk for one in identities if one.pk is not None})
    failures: list[Exception] = []
    ended: dict[Identity, str] = {}
    stores = {one.store for one in identities if one.store is not None}
    for store in stores:
        of_store = [one for one in identities if one.store is store]
        found = _stored_sessions(store, {one.key for one in of_store})
        for one in of_store:
            with _collected(failures):
                if not _is_the_same(one, store, found.get(one.key)):
                    ended[one] = SESSION_ENDED
    for one in identities:
        with _collected(failures):
            if one not in ended and one.pk is not None and (reason := _reason_to_close(one, users.get(one.pk))):
                ended[one] = reason
    if failures:
        logger.error("%d sessions or users of sockets cannot be verified", len(failures), exc_info=failures[0])
    return ended


@contextlib.contextmanager
def _collected(failures: list[Exception]) -> Iterator[None]:
    try:
        yield
    except DatabaseFailure:
        raise
    except Exception as error:
        failures.append(error)


def _stored_users(pks: set[Any]) -> dict[Any, Any]:
    if not pks:
        return {}
    model = user_model()
    rows = model._default_manager.using(router.db_for_write(model))  # a replica may not know of the newest yet
    found: dict[Any, Any] = {}
    for batch in _batches(pks):
        found.update((user.pk, user) for user in rows.filter(pk__in=batch))  # in_bulk() would ask twice on SQLite
    return found


def _reason_to_close(one: Identity, user: Any) -> str:
    """Reason why a user would be denied with this session; "" for one who would be let in."""
    if user is None:
        return ACCOUNT_DELETED
    if not _is_let_in(one, user):
        return ACCOUNT_INACTIVE
    if one.store is not None and hasattr(user, "get_session_auth_hash") and not _is_verified(user, one.auth_hash):
        return PASSWORD_CHANGED
    return ""


def _is_let_in(one: Identity, user: Any) -> bool:
    if one.store is not None:
        from django.contrib.auth import load_backend

        may = getattr(load_backend(one.backend), "user_can_authenticate", None)
        if may is not None:
            return bool(may(user))
    return not one.was_active or bool(getattr(user, "is_active", True))


def _is_verified(user: Any, auth_hash: str) -> bool:
    if not auth_hash:
        return False
    hashes = [user.get_session_auth_hash()]
    if not constant_time_compare(auth_hash, hashes[0]) and hasattr(user, "get_session_auth_fallback_hash"):
        hashes += user.get_session_auth_fallback_hash()
    return any(constant_time_compare(auth_hash, one) for one in hashes)


# What is stored of a session: its text where that is cheaper than its data, else its data


def _stored_sessions(store: type[SessionBase], keys: set[str]) -> dict[str, str | _Data]:
    """Stored data of the sessions that have not expired, by their keys."""
    found: dict[str, str | _Data] = {}
    if issubclass(store, (CacheStore, CachedStore)):
        for batch in _batches(keys):
            found.update(_in_the_cache(store, batch))
        keys = keys - found.keys()
    if issubclass(store, DatabaseStore):
        model = store.get_model_class()
        rows = model._default_manager.using(router.db_for_write(model)).filter(expire_date__gt=timezone.now())
        for batch in _batches(keys):
            found.update(rows.filter(session_key__in=batch).values_list("session_key", "session_data"))
    elif not issubclass(store, CacheStore):
        found.update((key, data) for key in keys if (data := _loaded(store, key)))
    return found


def _in_the_cache(store: Any, keys: list[str]) -> Iterator[tuple[str, _Data]]:
    session = store()
    names = {session.cache_key_prefix + key: key for key in keys}
    for name, data in cache_of(session).get_many(list(names)).items():
        if data is not None:
            yield names[name], data


def _loaded(store: type[SessionBase], key: str) -> _Data | None:
    session = store(key)
    data: _Data = session.load()
    return data if isinstance(session, CookieSession) or session.session_key == key else None


def _is_the_same(one: Identity, store: type[SessionBase], stored: str | _Data | None) -> bool:
    """Whether a session still says the same; notes what it says."""
    if stored is None:
        return False
    if isinstance(stored, str):
        seen = hash(stored)
        if seen == one.seen:
            return _is_known(one.backend)
        data, one.seen = store().decode(stored), seen
    else:
        data = stored
    if data.get(SESSION_KEY) != one.named:
        one.seen = None
        return False
    one.backend, one.auth_hash = data.get(BACKEND_SESSION_KEY, ""), data.get(HASH_SESSION_KEY, "")
    return _is_known(one.backend)


def _is_known(backend: str) -> bool:
    return backend in settings.AUTHENTICATION_BACKENDS


def _batches(values: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(values)
    while batch := list(islice(iterator, _ROWS)):
        yield batch
