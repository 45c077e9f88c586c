"""Ends of Django's sessions: log-out and a new key (``flush()``, ``cycle_key()``) close sockets opened with it."""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from django.apps import apps
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.db import router

from .._core.control import CloseRequest
from ..conf import conf
from ..user_keys import key_of
from .disconnect import close_after_commit, close_in_background
from .identity import session_hash
from .rechecks import CODE
from .verification import SESSION_ENDED

__all__ = ["LOGGED_OUT", "NEW_KEY", "note_announced", "watched"]

logger = logging.getLogger("django_fastws.users")

LOGGED_OUT = "logged out"
NEW_KEY = "the session has a new key"
_GRACE = 1.0  # seconds in which the browser gets the cookie with the new key, before it connects again
_WATCHED, _ANNOUNCED = "_fastws_watched", "_fastws_announced"

S = TypeVar("S", bound=type)


def watched(store: S) -> S:
    """Have sockets closed when a session of an engine ends, in whatever process and request that is.

    Django sends no signal for it. A receiver of the database's signals would hear of it, but for one kind of engines
    only, and would make ``clearsessions`` load every row. So four methods of the class are wrapped, once.
    """
    if not issubclass(store, SessionBase):
        return store
    for name, reason in (("flush", SESSION_ENDED), ("cycle_key", NEW_KEY)):
        for wrap, method in ((_wrapped, name), (_awrapped, f"a{name}")):
            original = getattr(store, method)
            if not hasattr(original, _WATCHED):
                wrapper = wrap(original, reason)
                setattr(wrapper, _WATCHED, True)
                setattr(store, method, wrapper)
    return store


def _wrapped(method: Callable[[Any], None], reason: str) -> Callable[[Any], None]:
    @functools.wraps(method)
    def wrapper(self: Any) -> None:
        request = None
        if _closes_sockets(self):
            with _logged():
                request = _close_request(self, self.get(SESSION_KEY), reason)
        method(self)
        if request is not None:
            with _logged():
                _announce(self, request)

    return wrapper


def _awrapped(method: Callable[[Any], Any], reason: str) -> Callable[[Any], Any]:
    @functools.wraps(method)
    async def wrapper(self: Any) -> None:
        request = None
        if _closes_sockets(self):
            with _logged():
                request = _close_request(self, await self.aget(SESSION_KEY), reason)
        await method(self)
        if request is not None:
            close_in_background([request])

    return wrapper


def _closes_sockets(session: SessionBase) -> bool:
    """Whether its end closes sockets: by the settings, and if it is stored."""
    return bool(conf.close_on_logout and session.session_key)


def _close_request(session: SessionBase, named: Any, reason: str) -> CloseRequest | None:
    if named is None or not session.session_key or not apps.is_installed("django.contrib.auth"):
        return None
    user, name = key_of(named), session_hash(session)
    if reason == NEW_KEY:
        # The user is the same, so other sockets are not concerned; and what is kept in a cookie stays valid.
        return CloseRequest(user, CODE, reason, name, others=False, delay=_GRACE) if name else None
    if getattr(session, _ANNOUNCED, None) == session.session_key:
        # The log-out was published before the session is gone: a handshake in between may have found it, in a process
        # that did not listen yet. The transaction of the request makes that as long as the request.
        return CloseRequest(user, CODE, LOGGED_OUT, name, others=False) if name else None
    return CloseRequest(user, CODE, reason, name, others=conf.close_on_logout != "session")


def _announce(session: SessionBase, request: CloseRequest) -> None:
    if isinstance(session, DatabaseStore):
        close_after_commit(request, router.db_for_write(session.model))
    else:
        close_in_background([request])


def note_announced(session: Any) -> None:
    """A log-out has published the end of a session; what it flushes after that concerns no other session."""
    if isinstance(session, SessionBase):
        setattr(session, _ANNOUNCED, session.session_key)


@contextlib.contextmanager
def _logged() -> Iterator[None]:
    try:
        yield
    except Exception:
        logger.exception("The sockets of a session that has ended could not be closed")
