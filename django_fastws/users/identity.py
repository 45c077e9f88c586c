"""Identity of a connection: its user and its session, and how they are found again."""

from __future__ import annotations

import hashlib
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.backends.signed_cookies import SessionStore as CookieSession
from django.core.exceptions import ValidationError

from ..types import Scope
from .authentication import is_loaded

__all__ = [
    "BACKEND_KEY",
    "HASH_KEY",
    "SESSION_KEY",
    "Identity",
    "hash_of_key",
    "is_of_the_user_model",
    "session_hash",
    "user_key",
    "user_model",
]

#: How Django calls them in a session: SESSION_KEY, BACKEND_SESSION_KEY and HASH_SESSION_KEY of its auth app, which
#: cannot be imported where it is not installed.
SESSION_KEY, BACKEND_KEY, HASH_KEY = "_auth_user_id", "_auth_user_backend", "_auth_user_hash"


def user_key(user: Any) -> str:
    """Key of a user: the model and the primary key; "" for nobody, and for a user without one."""
    pk = getattr(user, "pk", None)
    return "" if pk is None or not getattr(user, "is_authenticated", True) else f"{_label_of(user)}:{pk}"


def _label_of(user: Any) -> str:
    # Proxies and children of the user model stand for the same user.
    if is_of_the_user_model(user):
        return settings.AUTH_USER_MODEL.lower()
    meta = getattr(user, "_meta", None)
    if meta is not None:
        return str(meta.concrete_model._meta.label_lower)
    cls = user.__class__
    return f"{cls.__module__}.{cls.__qualname__}"


def user_model() -> Any:
    """The model of ``AUTH_USER_MODEL``."""
    return apps.get_model(settings.AUTH_USER_MODEL, require_ready=False)


def is_of_the_user_model(user: Any) -> bool:
    """Whether there are users, and this is one."""
    return apps.is_installed("django.contrib.auth") and isinstance(user, user_model())


def session_hash(session: Any) -> str:
    """Hash of a session, from which its key cannot be found; "" for none, and for one without a name."""
    key = getattr(session, "session_key", None)
    if not key or isinstance(session, CookieSession):  # whose key is all that it holds, and changes with it
        return ""
    return hash_of_key(key)


def hash_of_key(key: str) -> str:
    """Hash of the session that has a key."""
    return hashlib.sha256(f"django_fastws.session:{key}".encode()).hexdigest()


class Identity:
    """User and session of a socket, as they are found again.

    Attributes:
        user: the ``user_key``; "" where nobody is logged in.
        session: the ``session_hash``; "" for none, and for one without a name.
        pk: of a user who is stored in the database; else None.
        was_active: whether that user was active at the handshake.
        store, key: of the session that says who the user is; None where none does.
        named: what that session says who the user is.
        backend, auth_hash: what else it says, as it was last seen.
        seen: the hash of what was stored when it was last seen; None before.
    """

    __slots__ = ("auth_hash", "backend", "key", "named", "pk", "seen", "session", "store", "user", "was_active")

    def __init__(self, user: str = "", session: str = "") -> None:
        self.user, self.session = user, session
        self.pk: Any = None
        self.was_active = True
        self.store: type[SessionBase] | None = None
        self.key = self.named = self.backend = self.auth_hash = ""
        self.seen: int | None = None

    @classmethod
    def of(cls, scope: Scope) -> Identity:
        """The identity of a connection; asks no database."""
        user, session = scope.get("user"), scope.get("session")
        identity = cls(user_key(user))
        if identity.user:
            identity.session = session_hash(session)
            if is_of_the_user_model(user) and not user._state.adding:  # type: ignore[union-attr]
                identity.pk = user.pk  # type: ignore[union-attr]
                identity.was_active = bool(getattr(user, "is_active", True))
            if isinstance(session, SessionBase) and session.session_key and is_loaded(session):
                identity._take(session, user)
        return identity

    def _take(self, session: SessionBase, user: Any) -> None:
        named = session.get(SESSION_KEY)
        if named is None or _parsed(named) != user.pk:
            return  # middleware has found the user elsewhere, and the session is nobody's or another's
        self.store, self.key, self.named = session.__class__, str(session.session_key), named
        self.backend, self.auth_hash = session.get(BACKEND_KEY, ""), session.get(HASH_KEY, "")

    @property
    def is_stored(self) -> bool:
        """Whether there is anything that can be looked at again."""
        return self.pk is not None or self.store is not None


def _parsed(named: Any) -> Any:
    if not apps.is_installed("django.contrib.auth"):
        return named
    try:
        return user_model()._meta.pk.to_python(named)
    except (ValidationError, TypeError, ValueError, OverflowError):
        return None
<<<<<<< HEAD


def verify(identities: Collection[Identity]) -> dict[Identity, str]:
    """The identities that are not what they were any more, with the reason; blocks.

    It asks what Django asks for each request, for all at once: one query for the sessions, if they are in the
    database, and one for the users, for each thousand of them. An error of the database is raised: then nothing is
    known about anybody. One that the project's own code raises for one of them leaves that one as it is.
    """
    # Users first: whoever changes a password writes the user, then the session.
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
            if one not in ended and one.pk is not None and (reason := _refusal(one, users.get(one.pk))):
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
    for part in _parts(pks):
        found.update((user.pk, user) for user in rows.filter(pk__in=part))  # in_bulk() would ask twice on SQLite
    return found


def _refusal(one: Identity, user: Any) -> str:
    """Why a user would not be let in with this session; "" who would be."""
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
        for part in _parts(keys):
            found.update(_in_the_cache(store, part))
        keys = keys - found.keys()
    if issubclass(store, DatabaseStore):
        model = store.get_model_class()
        rows = model._default_manager.using(router.db_for_write(model)).filter(expire_date__gt=timezone.now())
        for part in _parts(keys):
            found.update(rows.filter(session_key__in=part).values_list("session_key", "session_data"))
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
    one.backend, one.auth_hash = data.get(_BACKEND, ""), data.get(_HASH, "")
    return _is_known(one.backend)


def _is_known(backend: str) -> bool:
    return backend in settings.AUTHENTICATION_BACKENDS


def _parts(values: Iterable[T]) -> Iterator[list[T]]:
    rest = iter(values)
    while part := list(islice(rest, _ROWS)):
        yield part
=======
>>>>>>> afbae51 (Users: verification of identities is a file of its own; fan-outs batch, in the words too)
