"""Database connections of the handlers' threads: set up before each piece of sync code, and reset after it."""

from __future__ import annotations

import contextlib
import functools
import inspect
import logging
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar, Token
from typing import Any, TypeVar
from weakref import WeakSet

import channels.db
from django.core.exceptions import ImproperlyConfigured
from django.db import Error as DatabaseError
from django.db import close_old_connections, connections
from django.db.backends.signals import connection_created
from django.utils.module_loading import import_string

from .conf import conf
from .types import CallScope

__all__ = [
    "Connections",
    "Owner",
    "check_setup",
    "current_owner",
    "disown",
    "is_configured",
    "own",
    "owned_by",
    "with_setup",
]

logger = logging.getLogger("django_fastws.threads")

T = TypeVar("T")
Job = Callable[[], T]

#: DISCARD ALL without DEALLOCATE ALL, of which psycopg would not learn.
_DISCARD = (
    "CLOSE ALL",
    "RESET SESSION AUTHORIZATION",
    "RESET ROLE",
    "RESET ALL",
    "UNLISTEN *",
    "SELECT pg_advisory_unlock_all()",
    "DISCARD PLANS",
    "DISCARD TEMP",
    "DISCARD SEQUENCES",
)


class Owner:
    """Owner of sync code: the inbound connection, or the outbound route, that it runs for.

    Attributes:
        scope: of the connection, as far as it is known by now; what ``FASTWS_DB_SETUP`` is called with.
    """

    __slots__ = ("scope",)

    def __init__(self, scope: CallScope) -> None:
        self.scope = scope


_owner: ContextVar[Owner | None] = ContextVar("django_fastws.owner", default=None)


def current_owner() -> Owner | None:
    """Owner of the sync code of the running task."""
    return _owner.get()


def own(scope: CallScope | None) -> Token[Owner | None]:
    """Make the connection of a scope the owner of what this task, and those that it starts, run."""
    return _owner.set(Owner({} if scope is None else scope))


def disown(token: Token[Owner | None]) -> None:
    """Undo what ``own`` has done."""
    with contextlib.suppress(ValueError):  # a coroutine that was thrown away ends in another context
        _owner.reset(token)


@contextlib.contextmanager
def owned_by(owner: Owner | None) -> Iterator[None]:
    """Context manager in which sync code is of this owner; None is nobody, and ``FASTWS_DB_SETUP`` is not called."""
    token = _owner.set(owner)
    try:
        yield
    finally:
        disown(token)


def is_configured() -> bool:
    """Whether there is a setup or a reset of connections around sync code."""
    return conf.db_setup is not None or conf.db_reset is not None


def check_setup() -> None:
    """Look up ``FASTWS_DB_SETUP`` and ``FASTWS_DB_RESET``.

    Raises:
        ImproperlyConfigured: one of them cannot be what it is.
    """
    _ = conf.db_reset
    if conf.db_setup is not None:
        _setup_function(conf.db_setup)


def _setup_function(setup: Any) -> Callable[[CallScope], Any]:
    try:
        function: Any = import_string(setup) if isinstance(setup, str) else setup
    except ImportError as error:
        raise ImproperlyConfigured(f"FASTWS_DB_SETUP = {setup!r} cannot be imported: {error}") from error
    if not callable(function) or inspect.iscoroutinefunction(function):
        raise ImproperlyConfigured(
            f"FASTWS_DB_SETUP = {setup!r} is not a sync function that takes the scope: it is called in the thread "
            "that runs the sync code"
        )
    checked: Callable[[CallScope], Any] = function
    return checked


def with_setup(job: Job[T]) -> Job[T]:
    """Wrap a call of sync code, as asgiref hands it to an executor, in ``FASTWS_DB_SETUP``.

    What the function sets in context variables is there for the piece, and so are those of its handler. On error the
    piece is not run.
    """
    setup, owner = conf.db_setup, _owner.get()
    if setup is None or owner is None:
        return job
    if isinstance(job, functools.partial) and getattr(job.func, "__name__", "") == "thread_handler" and job.args:
        # What asgiref calls in the handler's context; around it, Channels' database_sync_to_async closes connections.
        *args, child = job.args
        if getattr(child, "func", None) in (close_old_connections, channels.db.close_old_connections):
            return job  # Channels' consumers do so before each message: nothing to set a connection up for
        child = functools.partial(_run, setup, owner, child)
        return functools.partial(job.func, *args, child, **job.keywords)
    return functools.partial(_run, setup, owner, job)


def _run(setup: Any, owner: Owner, job: Job[T]) -> T:
    _set_up(setup, owner.scope)
    return job()


def _set_up(setup: Any, scope: CallScope) -> None:
    function = _setup_function(setup)
    try:
        answer = function(scope)
    except DatabaseError as error:  # as the piece itself would raise it, for code that catches that
        error.add_note(f"raised by FASTWS_DB_SETUP = {setup!r}: the sync code was not run")
        raise
    except Exception as error:
        # Not as it is: a handler might take a DoesNotExist for that of its own query.
        raise RuntimeError(
            f"FASTWS_DB_SETUP = {setup!r} failed with {type(error).__name__}: {error}; the sync code was not run"
        ) from error
    if inspect.isawaitable(answer):
        if inspect.iscoroutine(answer):
            answer.close()
        raise ImproperlyConfigured(
            f"FASTWS_DB_SETUP = {setup!r} returned an awaitable: it must be sync; the sync code was not run"
        )


class Connections:
    """Database connections of one thread; all but ``with_reset`` is called in it.

    Args:
        seconds: returns how long connections are left alone between two looks at their age.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._looked = 0.0
        self._cursors: WeakSet[Any] = WeakSet()
        #: Connections whose rows are still to be read; nothing else uses them any more.
        self._kept: list[Any] = []

    @property
    def are_read(self) -> bool:
        """Whether rows of a query are still to be read."""
        return bool(self._cursors)

    def watch(self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:  # noqa: FBT001 (Django's)
        """Note the cursor of a query (Django's execute wrapper): one that is there after the call is still read."""
        self._cursors.add(context["cursor"])
        return execute(sql, params, many, context)

    # Age

    def close_stale(self) -> None:
        """Close connections that are too old or unusable, at most so often."""
        now = time.monotonic()
        is_due = now - self._looked >= self._seconds()
        if is_due:
            self._looked = now
        self._close_read()
        for connection in connections.all(initialized_only=True):
            if connection.connection is None or connection.in_atomic_block:
                continue
            with _logged():
                if self._cursors:
                    # A handler reads rows in parts, by aiterator(). It needs the connection, however old.
                    if connection.errors_occurred and not connection.is_usable():
                        connection.close()
                elif is_due or connection.errors_occurred:
                    connection.close_if_unusable_or_obsolete()

    def close_all(self) -> None:
        """Close every connection."""
        with _logged():
            connections.close_all()
        kept, self._kept = self._kept, []
        for connection in kept:
            with _logged():
                _close(connection)

    # Reset

    def with_reset(self, job: Job[T]) -> Job[T]:
        """Wrap a call of sync code in ``FASTWS_DB_RESET``; called in the event loop."""
        reset = conf.db_reset
        return job if reset is None else functools.partial(self._run, reset, job)

    def _run(self, reset: str, job: Job[T]) -> T:
        try:
            return job()
        finally:
            for connection in connections.all(initialized_only=True):
                self._reset(connection, reset)

    def _reset(self, connection: Any, reset: str) -> None:
        alias = connection.alias
        if self._is_read(connection):
            self._kept.append(connection)
            del connections[alias]
            return
        try:
            if connection.connection is None:
                del connections[alias]  # with what a backend keeps on it: the tenant of django-tenants
            elif connection.vendor == "sqlite" and connection.is_in_memory_db():
                connection.connection.rollback()  # there is no other way to this database
            elif reset == "discard" and _is_tidy(connection) and not getattr(connection, "pool", None):
                _discard(connection)
                connection.init_connection_state()
                connection_created.send(sender=connection.__class__, connection=connection)
            else:
                _throw_away(connection)
        except Exception:
            logger.exception("The database connection %r could not be reset, and is thrown away", alias)
            with contextlib.suppress(AttributeError):
                del connections[alias]
            with contextlib.suppress(Exception):
                connection.connection.close()

    def _close_read(self) -> None:
        """Close connections that were kept for rows which are read by now, or which nobody reads any more."""
        for connection in [kept for kept in self._kept if not self._is_read(kept)]:
            self._kept.remove(connection)
            with _logged():
                _close(connection)

    def _is_read(self, connection: Any) -> bool:
        return any(cursor.db is connection and not _is_closed(cursor) for cursor in self._cursors)


def _is_closed(cursor: Any) -> bool:
    return bool(getattr(cursor.cursor, "closed", False))


def _is_tidy(connection: Any) -> bool:
    """Whether a connection can be reset where it is: of PostgreSQL, and in no transaction."""
    return (
        connection.vendor == "postgresql"
        and not connection.in_atomic_block
        and not connection.closed_in_transaction
        and connection.get_autocommit()
        and connection.is_usable()
    )


def _discard(connection: Any) -> None:
    """Undo what was set in a session of PostgreSQL's."""
    raw = connection.connection
    raw.rollback()
    raw.autocommit = True
    with raw.cursor() as cursor:
        for statement in _DISCARD:
            cursor.execute(statement)
    connection.run_on_commit = []


def _throw_away(connection: Any) -> None:
    del connections[connection.alias]
    _close(connection)


def _close(connection: Any) -> None:
    """Close a connection; one of Django's pool goes back there as it came, or closed."""
    raw = connection.connection
    if raw is not None and getattr(connection, "pool", None):
        try:
            _discard(connection)
            connection._configure_connection(raw)
        except Exception:
            raw.close()  # the pool makes another
    connection.close()


@contextlib.contextmanager
def _logged() -> Iterator[None]:
    try:
        yield
    except Exception:
        logger.exception("A database connection could not be closed")
