"""Sockets of users who are logged in: found by user and session, and closed from any process.

An event loop that has such sockets listens to one group of the layer, on which ``disconnect()`` publishes. So this
costs one subscription for each process, however many users there are, and one message to each of these processes.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from django.apps import apps
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.db import transaction

from .._core.control import Ending, decode, encode, is_control
from ..exceptions import check_close
from ..layer import get_broker
from ..loops import PerLoop
from ..rooms import Publisher, Subscriptions, check_no_loop, publish_sync
from ..signals import layer_restored
from .identity import session_hash, user_key, user_model
from .rechecks import Rechecks, Seat

__all__ = [
    "GROUP",
    "Ending",
    "Users",
    "adisconnect",
    "count_users",
    "current_users",
    "disconnect",
    "end_after_commit",
    "end_behind",
    "key_of",
    "session_hash",
    "user_key",
]

logger = logging.getLogger("django_fastws.users")

#: No room's name becomes this.
GROUP = "fastws.c.users"

_MEMORY_SECONDS = 60.0  # for handshakes that began before, or that come with the cookie of a session that has ended
_MEMORY_SIZE = 10_000
_HOOKS = 20  # of a transaction, among the last of which one of ours is looked for
_SHOWN = 5  # users, in the log
_SPREAD = 5.0  # seconds over which processes ask the database after an outage of the layer


class Sitter(Seat, Protocol):
    """What is needed of a socket's seat."""

    began: float


# Who is meant


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
        pk = user_model()._meta.pk.to_python(user)
    except (ValidationError, TypeError, ValueError, OverflowError):
        raise ValueError(f"disconnect(user={user!r}): that is no primary key of {settings.AUTH_USER_MODEL}") from None
    return f"{settings.AUTH_USER_MODEL.lower()}:{pk}"


# Sockets of one event loop


class Users:
    """The sockets of users who are logged in, of one event loop."""

    def __init__(self) -> None:
        self._sitters: dict[str, dict[Sitter, None]] = {}
        self._expected = 0
        #: What was ended of late, by user and session: when, and how.
        self._ended: OrderedDict[tuple[str, str], tuple[float, int, str]] = OrderedDict()
        self._rechecks = Rechecks(self._all)
        self._subscriptions = Subscriptions(
            self.deliver, what="disconnect()", logger=logger, on_subscribed=self._rechecks.soon
        )
        self._saw_garbage = False

    def __len__(self) -> int:
        """How many users there are."""
        return len(self._sitters)

    def _all(self) -> list[Sitter]:
        return [sitter for sitters in self._sitters.values() for sitter in sitters]

    # Whoever looks up a user has to listen before: what ends the user after the look is heard, and before, is seen.

    def expect(self) -> None:
        """Somebody may be logged in: listen from now on, before looking who that is, until ``unexpect()``."""
        self._expected += 1
        self._subscriptions.keep(GROUP)

    @property
    def listens(self) -> bool:
        """Whether other processes can close sockets here."""
        return self._subscriptions.is_subscribed(GROUP)

    async def listening(self) -> None:
        """Wait until other processes can close sockets here. If the layer is away, that is not waited for."""
        await self._subscriptions.wait(GROUP)

    def unexpect(self) -> None:
        """Nobody is logged in after all, or the socket is over."""
        self._expected -= 1
        self._stop_if_idle()

    def add(self, sitter: Sitter) -> None:
        """Add a socket. From now on it is ended with its user; before it is open, that is only remembered."""
        self._sitters.setdefault(sitter.identity.user, {})[sitter] = None
        self._subscriptions.keep(GROUP)  # if it has to begin only now, the socket is looked at again then
        self._rechecks.start()

    async def admitted(self, sitter: Sitter) -> tuple[int, str] | None:
        """Wait until other processes can close a socket that was added.

        Returns:
            Close code and reason, if it was ended while its handshake was on its way; None if it may go on.
        """
        await self.listening()
        return self._ended_for(sitter)

    def discard(self, sitter: Sitter) -> None:
        """Remove a socket, if it is there."""
        user = sitter.identity.user
        sitters = self._sitters.get(user)
        if sitters is not None:
            sitters.pop(sitter, None)
            if not sitters:
                del self._sitters[user]
                self._stop_if_idle()

    def _stop_if_idle(self) -> None:
        if not self._sitters:
            self._rechecks.stop()
            if not self._expected:
                self._subscriptions.release(GROUP)

    async def settled(self) -> None:
        """Wait until the layer's subscription, if nobody is left, is given back."""
        await self._rechecks.settled()
        await self._subscriptions.settled()

    def _ended_for(self, sitter: Sitter) -> tuple[int, str] | None:
        user, session = sitter.identity.user, sitter.identity.session
        at, code, reason = self._ended.get((user, ""), (-1.0, 0, ""))
        if at >= sitter.began:
            return code, reason
        # A session that has ended never comes back, so whoever still has its cookie was quicker than the log-out.
        ended = self._ended.get((user, session)) if session else None
        return None if ended is None else ended[1:]

    def recheck(self, within: float) -> None:
        """Look at sessions and users again, within so many seconds."""
        self._rechecks.soon(within)

    def deliver(self, crossing: Mapping[str, Any]) -> None:
        """Close whom a message is about. Never raises: this is called by the layer."""
        if not is_control(crossing):
            return  # of another release
        try:
            for ending in decode(crossing):
                check_close(ending.code, ending.reason)
                self._end(ending)
        except Exception as error:
            # Whoever may publish can send anything: no traceback helps, and what it holds may be long.
            if not self._saw_garbage:
                self._saw_garbage = True
                what = f"{type(error).__name__}: {str(error)[:200]}"
                logger.warning("Ignoring messages about users that make no sense: %s", what)

    def _end(self, ending: Ending) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for ended in {ending.session, ""} if ending.others else {ending.session}:
            self._ended[ending.user, ended] = (now, ending.code, ending.reason)
            self._ended.move_to_end((ending.user, ended))
        while len(self._ended) > _MEMORY_SIZE or next(iter(self._ended.values()))[0] < now - _MEMORY_SECONDS:
            self._ended.popitem(last=False)
        meant = [
            sitter
            for sitter in self._sitters.get(ending.user, ())
            if ending.others or sitter.identity.session == ending.session
        ]
        if ending.delay and meant:
            loop.call_later(ending.delay, _end_all, meant, ending)
        else:
            _end_all(meant, ending)


def _end_all(sitters: Iterable[Sitter], ending: Ending) -> None:
    for sitter in sitters:
        sitter.end("disconnect", ending.code, ending.reason)


_users = PerLoop(Users)


def current_users() -> Users:
    """The sockets of the running event loop."""
    return _users.get()


def count_users() -> int:
    """How many users have a socket in this process."""
    return len({key for _, users in _users.items() for key in list(users._sitters)})


def _heard_again(**kwargs: Any) -> None:
    """The layer is back: what was published meanwhile was not heard."""
    for loop, users in _users.items():
        with contextlib.suppress(RuntimeError):  # of a loop that is closed
            loop.call_soon_threadsafe(users.recheck, _SPREAD)


layer_restored.connect(_heard_again, dispatch_uid="django_fastws.users")


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
    await get_broker().apublish(GROUP, _envelope(key_of(user), code, reason))


def end_behind(endings: Iterable[Ending]) -> None:
    """Close sockets, for receivers of signals: it never raises, and never waits for long. "" is nobody's user key."""
    if named := [ending for ending in endings if ending.user]:
        _publisher.publish(named)


def end_after_commit(ending: Ending, using: str) -> None:
    """The same once the open transaction of a database commits, and not at all if it is rolled back.

    What belongs to one transaction is published together.
    """
    connection = transaction.get_connection(using)
    if not connection.in_atomic_block:
        end_behind([ending])
        return
    # As Django notes it: whatever is registered within the same savepoints is run, or is not, together.
    within = set(connection.savepoint_ids)
    for savepoints, hook, *_ in connection.run_on_commit[-_HOOKS:]:
        if isinstance(hook, _Batch) and savepoints == within:
            hook.endings.append(ending)
            return
    transaction.on_commit(_Batch(ending), using=using)


class _Batch:
    """What a transaction ends when it commits."""

    def __init__(self, ending: Ending) -> None:
        self.endings = [ending]

    def __call__(self) -> None:
        end_behind(self.endings)


def _describe(endings: list[Ending]) -> str:
    users = list(dict.fromkeys(ending.user for ending in endings))
    more = f" and {len(users) - _SHOWN} more" if len(users) > _SHOWN else ""
    return f"Disconnecting {', '.join(users[:_SHOWN])}{more}"


_publisher = Publisher(GROUP, encode, _describe, logger)
atexit.register(_publisher.drain)


def _envelope(key: str, code: int, reason: str) -> dict[str, str | bytes]:
    check_close(code, reason)
    ((crossing, _),) = encode([Ending(key, int(code), reason)])
    return crossing
