"""Identity of a connection: its user and its session, and how they are found again."""

from __future__ import annotations

import hashlib
from typing import Any

from django.apps import apps
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.backends.signed_cookies import SessionStore as CookieSession
from django.core.exceptions import ValidationError

from ..types import Scope
from ..user_keys import has_key, is_of_the_user_model, user_key, user_model
from .authentication import is_loaded

__all__ = ["Identity", "hash_of_key", "session_hash"]


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
        is_ours = has_key(user) and is_of_the_user_model(user)
        identity = cls(user_key(user, is_ours=is_ours), session_hash(session))
        if identity.user:
            if is_ours and not user._state.adding:  # type: ignore[union-attr]
                identity.pk = user.pk  # type: ignore[union-attr]
                identity.was_active = bool(getattr(user, "is_active", True))
            if isinstance(session, SessionBase) and session.session_key and is_loaded(session):
                identity._take(session, user)
        return identity

    def _take(self, session: SessionBase, user: Any) -> None:
        named = session.get(SESSION_KEY)
        if named is None or (named != str(user.pk) and _parsed(named) != user.pk):
            return  # middleware has found the user elsewhere, and the session is nobody's or another's
        self.store, self.key, self.named = session.__class__, str(session.session_key), named
        self.backend, self.auth_hash = session.get(BACKEND_SESSION_KEY, ""), session.get(HASH_SESSION_KEY, "")

    @property
    def is_known(self) -> bool:
        """Whether there is anything by which others can name the connection: a user or a session."""
        return bool(self.user or self.session)

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
