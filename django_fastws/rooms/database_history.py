"""History of one room in the database: events are rows of the transactions in which they are broadcast."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from asgiref.sync import sync_to_async
from django.db import Error as DatabaseError
from django.db import connections, transaction

from .._core.envelope import Envelope
from .._core.history_checks import encode_history_check
from .._core.history_page import HistoryPage, PageQuery
from .._core.positions import Position
from ..database import current_owner, owned_by
from ..exceptions import WebSocketConnectionError, WebSocketStateError
from ..layer import get_broker
from ..tasks import BackgroundTasks
from ..threads import threads
from . import history_rows
from .on_commit import log_unpublished, open_transaction, publish_committed
from .room_history import RoomHistory

__all__ = ["DatabaseHistory", "database_of_histories", "too_late"]

logger = logging.getLogger("django_fastws.rooms")

T = TypeVar("T")

_publishing = BackgroundTasks(logger)


class DatabaseHistory(RoomHistory):
    """History in the tables of this app, in the database that routers name for them.

    An event is stored before it is published, and published once it is committed. Whoever does not hear of it,
    because the publisher has died between, or the layer is away, finds it in the history.

    Storing raises the errors of Django's database API, as any other query of the caller's.
    """

    is_kept = True

    # Storing

    def publish(self, envelope: Envelope, what: str, *, on_commit: bool) -> Position | None:
        alias = history_rows.alias_of_histories()
        if on_commit:
            open_alias = open_transaction()
            if open_alias is not None and not connections[alias].in_atomic_block:
                # Of another database: together with that it cannot be.
                transaction.on_commit(lambda: self._publish_late(alias, envelope, what), using=open_alias)
                return None
        elif _has_transaction(alias):
            raise WebSocketStateError(
                f"cannot broadcast to {self.name!r} with on_commit=False here: the history is kept in the database "
                f"{alias!r}, and the event is part of its open transaction; leave on_commit out, or send it volatile"
            )
        with transaction.atomic(using=alias, savepoint=False):
            position = self._store(alias, envelope)
            if envelope.position is None:  # it was stored before
                return position
            if on_commit:  # at the end of this block, where no other transaction is open
                transaction.on_commit(lambda: publish_committed(envelope, what, logger), using=alias)
        if not on_commit:
            publish_committed(envelope, what, logger)
        return position

    def store_apart(self, envelopes: Sequence[Envelope], ends: float) -> list[Position | Exception]:
        """Store envelopes in one transaction of their own, which keeps others from the room so long.

        Who publishes them is the caller: those that have a position then. One that cannot be stored keeps no other
        from it.

        Args:
            ends: by ``time.monotonic()``; behind it, none but the first is begun.
        Returns:
            The position of each, or why it is not stored.
        Raises:
            WebSocketStateError: this thread has a transaction open, of which they would be part.
            django.db.DatabaseError: none of them can be stored.
        """
        alias = history_rows.alias_of_histories()
        if _has_transaction(alias):
            raise WebSocketStateError(
                f"cannot broadcast to {self.name!r} apart here: the history is kept in the database {alias!r}, which "
                "has an open transaction; end that before, or do not begin it"
            )
        found: list[Position | Exception] = []
        with transaction.atomic(using=alias, savepoint=False):
            for envelope in envelopes:
                if found and time.monotonic() >= ends:
                    found.append(too_late())
                    continue
                try:
                    with transaction.atomic(using=alias):
                        found.append(self._store(alias, envelope))
                except Exception as error:
                    if connections[alias].needs_rollback:  # what was stored before it is lost, too
                        raise
                    found.append(error)
        return found

    def _publish_late(self, alias: str, envelope: Envelope, what: str) -> None:
        try:
            with transaction.atomic(using=alias):
                self._store(alias, envelope)
        except DatabaseError:
            logger.exception("%s after a commit was lost", what)
        else:
            if envelope.position is not None:
                publish_committed(envelope, what, logger)

    def _store(self, alias: str, envelope: Envelope) -> Position:
        position, is_new = history_rows.store(alias, self.name, self.history, envelope)
        if is_new:
            envelope.position, envelope.history, envelope.idempotency_key = position, None, None
        return position

    async def apublish(self, envelope: Envelope) -> Position | None:
        # It goes on if the caller is cancelled: what is stored is published.
        return await _publishing.shielded(self._apublish(envelope))

    async def _apublish(self, envelope: Envelope) -> Position | None:
        what = f"A broadcast to room {self.name!r}"

        def store() -> tuple[Position, bool]:
            alias = history_rows.alias_of_histories()
            has_transaction = _has_transaction(alias)
            with transaction.atomic(using=alias, savepoint=False):
                position = self._store(alias, envelope)
                if has_transaction and envelope.position is not None:
                    # Somebody holds it open in this thread over an await: it decides about the event, too.
                    transaction.on_commit(lambda: publish_committed(envelope, what, logger), using=alias)
            return position, has_transaction or envelope.position is None

        position, is_over = await _in_thread(store)
        if not is_over:
            try:
                await get_broker().apublish(envelope)
            except WebSocketConnectionError as error:
                log_unpublished(error, what, logger)
        return position

    # Reading

    def read(self, query: PageQuery, *, seconds: float | None = None) -> HistoryPage:
        with _translated("read the history of a room"):
            alias = history_rows.alias_of_histories()
            return history_rows.read(alias, self.group, self.history, query, _undecoded)

    async def aread(self, query: PageQuery) -> HistoryPage:
        return await _in_thread(lambda: self.read(query))

    async def aread_here(self, query: PageQuery) -> HistoryPage:
        return await _in_thread(lambda: self.read(query), is_apart=True)

    @classmethod
    async def atops(cls, histories: Sequence[DatabaseHistory]) -> Sequence[HistoryPage | None]:
        def read() -> list[tuple[str, int]]:
            with _translated("look at the histories of rooms"):
                return history_rows.tops(history_rows.alias_of_histories(), [one.group for one in histories])

        return [HistoryPage(epoch, top, []) for epoch, top in await _in_thread(read, is_apart=True)]

    # Forgetting

    def clear(self) -> None:
        alias = history_rows.alias_of_histories()
        check, what = encode_history_check(self.group), f"Clearing room {self.name!r}"
        with _translated("clear a room"):
            has_transaction = _has_transaction(alias)
            with transaction.atomic(using=alias, savepoint=False):
                history_rows.clear(alias, self.group, self.name)
                if has_transaction:
                    transaction.on_commit(lambda: publish_committed(check, what, logger), using=alias)
        if not has_transaction:
            publish_committed(check, what, logger)

    async def aclear(self) -> None:
        await _publishing.shielded(_in_thread(self.clear))

    async def aforget(self) -> None:
        def forget() -> None:
            with _translated("forget a room"):
                history_rows.forget(history_rows.alias_of_histories(), self.group)

        await _in_thread(forget)


def _has_transaction(alias: str) -> bool:
    """Whether this thread has a transaction open that may be committed: that of a Django test case never is."""
    connection = connections[alias]
    if not connection.in_atomic_block:
        return not connection.get_autocommit()
    return not all(getattr(block, "_from_testcase", False) for block in connection.atomic_blocks)


async def _in_thread(function: Callable[[], T], *, is_apart: bool = False) -> T:
    """Call sync code in a thread that has database connections.

    Args:
        is_apart: it is for nobody in particular, and does not wait behind what handlers do.
    """
    owner = None if is_apart else current_owner()
    with threads.assigned(), owned_by(owner), threads.unblocked() if is_apart else contextlib.nullcontext():
        return await sync_to_async(function)()


def too_late() -> WebSocketConnectionError:
    """The error of a broadcast that is one of several, and whose turn has come behind their deadline."""
    return WebSocketConnectionError("cannot broadcast: those before it have taken too long")


def database_of_histories() -> str | None:
    """The alias of the database for histories; None if it is not configured."""
    alias = history_rows.alias_of_histories()
    return None if connections[alias].settings_dict["ENGINE"] == "django.db.backends.dummy" else alias


class _Told:
    """What was said in the log already, so that it is said once."""

    def __init__(self) -> None:
        self.is_away = self.is_undecoded = False


_told = _Told()


@contextlib.contextmanager
def _translated(doing: str) -> Iterator[None]:
    """Raise the errors of a database as those of a layer: who reads a history tries again, wherever it is kept."""
    try:
        yield
    except DatabaseError as error:
        if not _told.is_away:
            _told.is_away = True
            logger.warning("The database of histories cannot be reached, or refuses: %s", str(error).strip())
        raise WebSocketConnectionError(f"cannot {doing}: the database cannot be reached, or refuses") from error
    _told.is_away = False


def _undecoded(error: Exception) -> None:
    if not _told.is_undecoded:
        _told.is_undecoded = True
        logger.warning("An event of a history cannot be read, and is left out: %s: %s", type(error).__name__, error)
