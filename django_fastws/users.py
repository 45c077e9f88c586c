"""Sockets of users who are logged in: found by user and session, and closed from any process.

An event loop that has such sockets listens to one group of the layer, on which ``disconnect()`` publishes. So this
costs one subscription for each process, however many users there are, and one message to each of these processes.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from django.apps import apps
from django.conf import settings
from django.contrib.sessions.backends.signed_cookies import SessionStore as CookieSession
from django.core.exceptions import ImproperlyConfigured, ValidationError

from .exceptions import check_close
from .layer import apublish
from .listener import Listener
from .publishing import check_no_loop, publish_behind, publish_sync

__all__ = [
    "GROUP",
    "Users",
    "adisconnect",
    "count",
    "current_users",
    "disconnect",
    "disconnect_behind",
    "key_of",
    "session_hash",
    "user_key",
]

logger = logging.getLogger("django_fastws.users")

#: No room's name becomes this.
GROUP = "fastws.c.users"
_TYPE = "fastws.control"
_VERSION = "1"

_MEMORY_SECONDS = 60.0  # for handshakes that began before, or that come with the cookie of a session that has ended
_MEMORY_SIZE = 10_000


class Sitter(Protocol):
    """What is needed of a socket's seat."""

    user: str
    session: str
    began: float

    def end(self, kind: str, code: int, reason: str) -> None:
        """Close the socket, soon."""


# Who is meant


def user_key(user: Any) -> str:
    """What a user is called here: the model and the primary key; "" for nobody, and for a user without one."""
    pk = getattr(user, "pk", None)
    return "" if pk is None or not getattr(user, "is_authenticated", True) else f"{_label_of(user)}:{pk}"


def _label_of(user: Any) -> str:
    # Proxies and children of the user model stand for the same user.
    if apps.is_installed("django.contrib.auth") and isinstance(user, _user_model()):
        return settings.AUTH_USER_MODEL.lower()
    meta = getattr(user, "_meta", None)
    if meta is not None:
        return str(meta.concrete_model._meta.label_lower)
    cls = user.__class__
    return f"{cls.__module__}.{cls.__qualname__}"


def _user_model() -> Any:
    return apps.get_model(settings.AUTH_USER_MODEL, require_ready=False)


def key_of(user: Any) -> str:
    """The ``user_key`` of a user or of a primary key.

    Raises:
        TypeError, ValueError: it is no user, and no primary key of one.
        ImproperlyConfigured: it is a primary key, and there are no users.
    """
    if hasattr(user, "pk"):
        key = user_key(user)
        if not key:
            raise ValueError(f"disconnect(user={user!r}): this user has no primary key, by which sockets are found")
        return key
    if user is None or isinstance(user, bool):
        raise TypeError(f"disconnect() takes a user or a primary key, not {user!r}")
    if not apps.is_installed("django.contrib.auth"):
        raise ImproperlyConfigured(
            f"disconnect(user={user!r}): without 'django.contrib.auth' in INSTALLED_APPS there are no users to have "
            "this primary key; pass an object that has it as its pk"
        )
    try:
        pk = _user_model()._meta.pk.to_python(user)
    except (ValidationError, TypeError, ValueError, OverflowError):
        raise ValueError(f"disconnect(user={user!r}): that is no primary key of {settings.AUTH_USER_MODEL}") from None
    return f"{settings.AUTH_USER_MODEL.lower()}:{pk}"


def session_hash(session: Any) -> str:
    """What a session is called here, from which its key cannot be found; "" for none, and for one without a name."""
    key = getattr(session, "session_key", None)
    if not key or isinstance(session, CookieSession):  # whose key is all that it holds, and changes with it
        return ""
    return hashlib.sha256(f"django_fastws.session:{key}".encode()).hexdigest()


# Sockets of one event loop


class Users:
    """The sockets of users who are logged in, of one event loop."""

    def __init__(self) -> None:
        self._sitters: dict[str, dict[Sitter, None]] = {}
        #: What was ended of late, by user and session: when, and how.
        self._ended: OrderedDict[tuple[str, str], tuple[float, int, str]] = OrderedDict()
        self._listener = Listener(GROUP, self.deliver)
        self._saw_garbage = False

    def __len__(self) -> int:
        """How many users there are."""
        return len(self._sitters)

    async def add(self, sitter: Sitter) -> tuple[int, str] | None:
        """Add a socket; returns when other processes can close it. If the layer is away, that is not waited for.

        Returns:
            Close code and reason, if it was ended while its handshake was on its way; None if it may go on.
        """
        self._sitters.setdefault(sitter.user, {})[sitter] = None
        self._listener.start()
        await self._listener.wait()
        return self._ended_for(sitter)

    def discard(self, sitter: Sitter) -> None:
        """Remove a socket, if it is there."""
        sitters = self._sitters.get(sitter.user)
        if sitters is not None:
            sitters.pop(sitter, None)
            if not sitters:
                del self._sitters[sitter.user]
                if not self._sitters:
                    self._listener.stop()

    async def settled(self) -> None:
        """Wait until the layer's subscription, if nobody is left, is given back."""
        await self._listener.settled()

    def _ended_for(self, sitter: Sitter) -> tuple[int, str] | None:
        at, code, reason = self._ended.get((sitter.user, ""), (-1.0, 0, ""))
        if at >= sitter.began:
            return code, reason
        # A session that has ended never comes back, so whoever still has its cookie was quicker than the log-out.
        ended = self._ended.get((sitter.user, sitter.session)) if sitter.session else None
        return None if ended is None else ended[1:]

    def deliver(self, crossing: Mapping[str, Any]) -> None:
        """Close whom a message is about. Never raises: this is called by the layer."""
        if crossing.get("type") != _TYPE or crossing.get("v") != _VERSION or crossing.get("do") != "disconnect":
            return  # of another release
        try:
            code, reason = int(crossing["code"]), str(crossing["reason"])
            check_close(code, reason)
            session = str(crossing.get("session", ""))
            self._end(str(crossing["user"]), session, code, reason, others=not session or "others" in crossing)
        except Exception:
            if not self._saw_garbage:
                self._saw_garbage = True
                logger.warning("Ignoring messages about users that make no sense", exc_info=True)

    def _end(self, user: str, session: str, code: int, reason: str, *, others: bool) -> None:
        now = asyncio.get_running_loop().time()
        for ended in {session, ""} if others else {session}:
            self._ended[user, ended] = (now, code, reason)
            self._ended.move_to_end((user, ended))
        while len(self._ended) > _MEMORY_SIZE or next(iter(self._ended.values()))[0] < now - _MEMORY_SECONDS:
            self._ended.popitem(last=False)
        for sitter in list(self._sitters.get(user, ())):
            if others or sitter.session == session:
                sitter.end("disconnect", code, reason)


_users: WeakKeyDictionary[asyncio.AbstractEventLoop, Users] = WeakKeyDictionary()


def current_users() -> Users:
    """The sockets of the running event loop."""
    loop = asyncio.get_running_loop()
    users = _users.get(loop)
    if users is None:
        users = _users[loop] = Users()
    return users


def count() -> int:
    """How many users have a socket in this process."""
    return len({key for users in list(_users.values()) for key in list(users._sitters)})


# From anywhere


def disconnect(*, user: Any, code: int = 4401, reason: str = "", on_commit: bool = True) -> None:
    """Close every socket of a user, in every process, from sync code.

    Inside ``transaction.atomic()`` it happens once the transaction commits, and not at all if it is rolled back. It
    does not wait for the sockets to be closed, and does not keep the user from connecting again.

    Args:
        user: a user, or a primary key.
        code, reason: as ``WebSocket.close`` takes them.
        on_commit: False closes at once, whatever becomes of the transaction.
    Raises:
        TypeError, ValueError: it is no user, or the code or reason cannot be sent.
        WebSocketStateError: this thread runs an event loop, which would be blocked; await adisconnect() there.
        WebSocketConnectionError: the channel layer cannot be reached. (Logged, not raised, after a commit.)
    """
    check_no_loop("disconnect()", "adisconnect(...)")
    key = key_of(user)
    publish_sync(GROUP, _envelope(key, code, reason), f"Disconnecting {key}", logger, on_commit=on_commit)


async def adisconnect(*, user: Any, code: int = 4401, reason: str = "") -> None:
    """Close every socket of a user, in every process. It does not wait for open transactions.

    Args:
        user: a user, or a primary key.
        code, reason: as ``WebSocket.close`` takes them.
    Raises:
        TypeError, ValueError: it is no user, or the code or reason cannot be sent.
        WebSocketConnectionError: the channel layer cannot be reached.
    """
    await apublish(GROUP, _envelope(key_of(user), code, reason))


def disconnect_behind(key: str, code: int, reason: str, session: str = "", *, others: bool = True) -> None:
    """Close the sockets of a user, for receivers of signals: it never raises, and never waits for long.

    Args:
        key: the ``user_key``; "" is nobody's.
        session: the ``session_hash`` of the one that ends, with which nobody comes back; "" for none.
        others: whether the user's other sockets are closed, too. Without a session, all are.
    """
    if key:
        crossing = _envelope(key, code, reason)
        if session:
            crossing["session"] = session
            if others:
                crossing["others"] = "1"
        publish_behind(GROUP, crossing, f"Disconnecting {key}", logger)


def _envelope(key: str, code: int, reason: str) -> dict[str, str | bytes]:
    check_close(code, reason)
    crossing: dict[str, str | bytes] = {"type": _TYPE, "v": _VERSION, "do": "disconnect", "user": key}
    return crossing | {"code": str(int(code)), "reason": reason}
