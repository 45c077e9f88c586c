"""Loading the session and the user of a handshake, as Django loads those of a request."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase, UpdateError
from django.contrib.sessions.backends.cache import SessionStore as CacheStore
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.contrib.sessions.backends.file import SessionStore as FileStore
from django.contrib.sessions.backends.signed_cookies import SessionStore as CookieStore
from django.core.cache import caches
from django.core.exceptions import ValidationError
from django.db import Error as DatabaseFailure
from django.db import router
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare
from django.utils.module_loading import import_string

from ..types import CallScope
from .stored_rows import read_session, read_user

__all__ = ["cache_of", "is_known", "is_loaded", "load_at_once", "load_session", "load_user", "names_a_user", "unload"]

logger = logging.getLogger("django_fastws.users")

_ATTEMPTS = 3  # to store a hash, if others write into the session meanwhile


def is_loaded(session: Any) -> bool:
    """Whether reading a session asks no database: it was loaded, or there is nothing to load."""
    if not isinstance(session, SessionBase):  # of a test, or of somebody's own
        return True
    return session.session_key is None or hasattr(session, "_session_cache")


def is_known(session: Any) -> bool:
    """Whether Django's own engine ``db`` loads a session, and backends that find users as its own do load the user.

    Then nothing is called that may want more than a thread, as ``async_to_sync`` does.
    """
    return type(session) is DatabaseStore and _are_known(tuple(settings.AUTHENTICATION_BACKENDS))


@lru_cache(maxsize=8)
def _are_known(backends: tuple[str, ...]) -> bool:
    from django.contrib.auth.backends import ModelBackend

    try:
        return all(getattr(import_string(path), "get_user", None) is ModelBackend.get_user for path in backends)
    except ImportError:  # whoever has logged in by another one is not to suffer from it
        return False


def cache_of(session: Any) -> Any:
    """The cache of a session of the engines ``cache`` and ``cached_db``."""
    cache = getattr(session, "_cache", None)  # an engine of the project's own may have another than the settings say
    return caches[settings.SESSION_CACHE_ALIAS] if cache is None else cache


def load_at_once(session: Any) -> None:
    """Load a session that is stored nowhere, for it is in a signed cookie: that blocks nothing."""
    if isinstance(session, CookieStore) and type(session).load is CookieStore.load:
        session.keys()


async def load_session(scope: CallScope) -> None:
    """Load the session of a scope, if there is one and it was not loaded yet, so that async code can read it."""
    session = scope.get("session")
    if not is_loaded(session):
        await _load(session)


def _load_now(session: Any) -> None:
    if not read_session(session):
        session.keys()


_load = sync_to_async(_load_now)


def unload(session: Any) -> None:
    """Have a session loaded anew when it is read next."""
    if isinstance(session, SessionBase) and hasattr(session, "_session_cache"):
        del session._session_cache


def load_user(session: Any) -> Any:
    """The user of a session, as ``django.contrib.auth.get_user()`` finds it for a request; blocks.

    It differs from that in two things, because a handshake cannot be relied on to set a cookie. A session that is
    verified by one of ``SECRET_KEY_FALLBACKS`` gets its new hash, but no new key. And one that is not verified is
    empty for this socket, but not deleted: the next request does that.

    Returns:
        A user, or an AnonymousUser; that one also where the session holds the primary key of another kind of user.
    """
    from django.contrib.auth import get_user
    from django.contrib.auth.models import AnonymousUser

    pk = _named_pk(session)
    if pk is None:
        return AnonymousUser()
    if (user := _verified_user(session, pk)) is not None:
        return user
    request = HttpRequest()
    request.session = noted = _Session(session)  # type: ignore[assignment]
    user = get_user(request)
    if noted.is_denied:
        _empty(session)
    for key, value in noted.changes.items():
        _change(session, key, value)
    return user


def _verified_user(session: Any, pk: Any) -> Any:
    """The user of a session of ``ModelBackend`` that is in order; None leaves it to Django what it is."""
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, get_user_model, load_backend
    from django.contrib.auth.backends import ModelBackend

    path, auth_hash = session.get(BACKEND_SESSION_KEY), session.get(HASH_SESSION_KEY)
    if not auth_hash or path not in settings.AUTHENTICATION_BACKENDS:
        return None
    backend: Any = load_backend(path)
    if type(backend).get_user is not ModelBackend.get_user:
        return None
    user = read_user(get_user_model(), pk)
    if user is None or not backend.user_can_authenticate(user) or not hasattr(user, "get_session_auth_hash"):
        return None
    return user if constant_time_compare(auth_hash, user.get_session_auth_hash()) else None


class _Session:
    """The session of a handshake: notes what ``get_user()`` would do to it, for what fits a handshake."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.is_denied = False
        self.changes: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def __getitem__(self, key: str) -> Any:
        return self._session[key]

    def __contains__(self, key: str) -> bool:
        return key in self._session

    def __setitem__(self, key: str, value: Any) -> None:
        self.changes[key] = value

    def cycle_key(self) -> None:
        """The browser might never learn of the new key, and would be logged out by that."""

    def flush(self) -> None:
        self.is_denied = True


def names_a_user(session: Any) -> bool:
    """Whether a session is of somebody who has logged in; blocks, unless it is loaded."""
    return _named_pk(session) is not None


def _named_pk(session: Any) -> Any:
    """The primary key of the user who has logged in, as Python has it; None where nobody has."""
    from django.contrib.auth import SESSION_KEY, get_user_model

    if not is_loaded(session):
        read_session(session)
    value = session.get(SESSION_KEY)
    if value is None:
        return None
    try:
        return get_user_model()._meta.pk.to_python(value)
    except (ValidationError, TypeError, ValueError, OverflowError):
        # The project has had another user model. Django fails at such a session; it is nobody's.
        logger.warning("A session was opened for a user that %s cannot have", settings.AUTH_USER_MODEL)
        return None


def _empty(session: Any) -> None:
    """Let nobody read what belongs to somebody else; what is stored stays as it is."""
    session.clear()
    if isinstance(session, SessionBase):
        session._session_key = None


def _change(session: Any, key: str, value: Any) -> None:
    """Change one value of a session, where it is stored and here. What others write meanwhile stays."""
    former, modified = session.get(key), getattr(session, "modified", False)
    try:
        if isinstance(session, DatabaseStore):
            _swap(session, key, former, value)
        elif isinstance(session, (CacheStore, FileStore)):
            _save(session, key, former, value)
    except (UpdateError, DatabaseFailure, OSError) as error:  # deleted meanwhile; read-only; ...
        logger.warning("The hash of a session could not be renewed: %s", str(error) or type(error).__name__)
    session[key] = value
    session.modified = modified  # it is stored, or cannot be


def _swap(session: Any, key: str, former: Any, value: Any) -> None:
    """Change the row if it is what was read, so that a request that saves at the same time loses nothing."""
    rows = session.model._default_manager.using(router.db_for_write(session.model))
    rows = rows.filter(session_key=session.session_key)
    for _ in range(_ATTEMPTS):
        text = rows.values_list("session_data", flat=True).first()
        data = {} if text is None else session.decode(text)
        if data.get(key) != former:
            return
        if rows.filter(session_data=text).update(session_data=session.encode({**data, key: value})):
            break
    if hasattr(session, "cache_key"):  # cached_db; to be read anew, for a request may have saved meanwhile
        cache_of(session).delete(session.cache_key)


def _save(session: Any, key: str, former: Any, value: Any) -> None:
    """Change what is stored now, for stores that cannot compare and swap."""
    fresh = session.__class__(session.session_key)
    if fresh.get(key) == former and fresh.session_key == session.session_key:
        fresh[key] = value
        fresh.save()
