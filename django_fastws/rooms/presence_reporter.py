"""Reporter of presence: tells the layer who is present in the rooms of an event loop, and that its process lives."""

from __future__ import annotations

import asyncio
import logging
import random
import uuid
from collections.abc import Container, Mapping, Sequence
from contextvars import Context

from .. import metrics
from .._core.presence_reports import Reported
from ..conf import conf
from ..exceptions import WebSocketConnectionError
from ..loops import PerLoop
from ..tasks import BackgroundTasks
from .attendances import Attendance, Attendances
from .presence_reading import presence_store
from .presence_signals import tell

__all__ = ["PresenceReporter", "current_presence", "forget_presence", "rest_presence"]

logger = logging.getLogger("django_fastws.rooms")

_BEATS = 3  # in the time of a lease
_AGAIN_SECONDS = 1.0  # between attempts, while the layer is away
_SPREAD_SECONDS = 0.5  # over which the processes look at a lease that should be over
_REST_SECONDS = 3.0  # for the last reports of a process that drains

_tasks = BackgroundTasks(logger)


class _RoomReports:
    """Reports of one room that are due or under way; one after the other, so that the newest is the last.

    Attributes:
        due: the keys of which another report is due.
        waiting: for the next report of a key.
    """

    __slots__ = ("due", "task", "waiting")

    def __init__(self) -> None:
        self.due: dict[str, None] = {}
        self.waiting: dict[str, list[asyncio.Future[Reported]]] = {}
        self.task: asyncio.Task[None] | None = None


class PresenceReporter:
    """Reporter of one event loop, which counts as a process of its own.

    What changes in one turn of the loop, or while a report is under way, is one report for each room. While there is
    anybody here, the lease is renewed three times in its time, by one command. What the layer does not take is
    reported later: it is the state that is reported, and not the steps that led to it.
    """

    def __init__(self) -> None:
        self._attendances = Attendances(self._changed, self._user_changed)
        self._process = uuid.uuid4().hex
        self._rooms: dict[str, _RoomReports] = {}
        #: Users of whom a report is due: when the last connection ended, by the loop's time; None for who is here.
        self._users: dict[str, float | None] = {}
        self._users_lock = asyncio.Lock()
        self._lease: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._burial: asyncio.Task[None] | None = None
        #: A beat that was due to who has left, and is here.
        self._looking: asyncio.Task[None] | None = None
        #: The process drains, and its lease ends then, by the loop's time.
        self._rests_until: float | None = None
        #: Who has gone since.
        self._left_at_rest: list[Attendance] = []

    # Who is here

    async def enter(self, attendance: Attendance, meta: bytes) -> Reported:
        """Somebody is present from now on, or shows another card; returns when the layer knows.

        Args:
            meta: the card, as JSON.
        Raises:
            WebSocketConnectionError: the layer cannot be reached; the attendance has not begun. One that had goes on,
                and shows the card as soon as that is possible.
        """
        if self._rests_until is not None and asyncio.get_running_loop().time() >= self._rests_until:
            self._begin_anew()  # the process did not end
        had_begun = self._attendances.has(attendance)
        attendance.is_over = False
        self._attendances.enter(attendance, meta)
        reported: asyncio.Future[Reported] = asyncio.get_running_loop().create_future()
        self._rooms[attendance.room].waiting.setdefault(attendance.key, []).append(reported)
        try:
            return await reported
        except BaseException:
            if not had_begun:
                self.leave(attendance)
            raise

    def leave(self, attendance: Attendance, *, has_grace: bool = True) -> None:
        """Somebody has gone; who does not come back within the grace is not present any more. Idempotent.

        Args:
            has_grace: False for who was refused, and is not expected back.
        """
        if self._rests_until is None:
            self._attendances.leave(attendance, conf.presence_grace_seconds if has_grace else 0.0)
        else:
            self._left_at_rest.append(attendance)

    async def rest(self, seconds: float) -> None:
        """The process drains: whoever is here is expected back, in another process. Raises nothing.

        Args:
            seconds: that this may take; 0 leaves it to the lease.
        """
        if self._rests_until is not None or self._lease is None or not seconds:
            return
        limit = min(seconds, _REST_SECONDS)
        seconds = conf.presence_return_seconds
        self._attendances.hold_unnamed()
        self._rests_until = asyncio.get_running_loop().time() + seconds
        self._set_timer(None)
        try:
            async with asyncio.timeout(limit):
                while tasks := [one.task for one in self._rooms.values() if one.task is not None]:
                    await asyncio.wait(tasks)
                await presence_store().arest(self._process, seconds)
        except (TimeoutError, WebSocketConnectionError) as error:
            logger.warning("Who was present here is so for no longer than the lease of this process: %s", error)

    def forget(self) -> None:
        """Forget who is here, without a word to the layer, and be another process; needs no running event loop."""
        self._attendances.forget()
        self._users.clear()
        self._left_at_rest.clear()
        self._process, self._lease, self._rests_until = uuid.uuid4().hex, None, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # Reports

    def restored(self) -> None:
        """The layer was away, and may have lost its last writes, or all that it had: report who is here once more."""
        if len(self._attendances):
            _tasks.start(self._restore(), context=Context())

    async def _restore(self) -> None:
        process = self._process
        await self._beat()  # first: a process without a lease is nowhere, whatever it reports
        if process == self._process:
            self.report_all()

    def report_all(self) -> None:
        """Report all that is here once more."""
        for room, key in self._attendances:
            self._changed(room, key)
        for user in self._attendances.users():
            self._user_changed(user, None)

    def check(self, room: str, keys: Container[str]) -> None:
        """The layer knows of these keys in a room: report again who is here, and is not among them."""
        for key in self._attendances.keys_in(room):
            if key not in keys:
                self._changed(room, key)

    def lost(self, room: str, key: str) -> None:
        """The layer says that a key has left a room: if it is here, this process may have been taken for dead.

        If it was not, the client is known to have gone by another process, where it was after this one.
        """
        is_here = self._rests_until is None and self._attendances.is_open(room, key)
        if is_here and (self._looking is None or self._looking.done()):
            self._looking = _tasks.start(self._beat(), context=Context())

    def _changed(self, room: str, key: str) -> None:
        reports = self._rooms.get(room)
        if reports is None:
            reports = self._rooms[room] = _RoomReports()
        reports.due[key] = None
        if reports.task is None:
            reports.task = _tasks.start(self._report(room, reports), context=Context())

    async def _report(self, room: str, reports: _RoomReports) -> None:
        """Report what is due of a room, until nothing is."""
        try:
            while reports.due:
                due, reports.due = list(reports.due), {}
                waiting, reports.waiting = reports.waiting, {}
                futures = [future for several in waiting.values() for future in several if not future.done()]
                try:
                    reported = await self._report_keys(room, due)
                except Exception as error:
                    for future in futures:
                        if not future.done():
                            future.set_exception(error)
                    if not isinstance(error, WebSocketConnectionError):
                        raise
                    reports.due = dict.fromkeys([*due, *reports.due])
                    await asyncio.sleep(_AGAIN_SECONDS)
                    continue
                for future in futures:
                    if not future.done():
                        future.set_result(reported)
        finally:
            reports.task = None
            if reports.due:  # what has come during a report that nobody expected to fail
                reports.task = _tasks.start(self._report(room, reports), context=Context())
            elif self._rooms.get(room) is reports:
                del self._rooms[room]

    async def _report_keys(self, room: str, keys: list[str]) -> Reported:
        store = presence_store()
        if self._lease is None:
            self._lease = asyncio.get_running_loop().create_task(self._begin_lease(), context=Context())
        await asyncio.shield(self._lease)
        await self._report_users()  # first: whoever is told of a change may ask who is online
        made = [self._attendances.report(room, key) for key in keys]
        reported = await store.areport(room, self._process, made)
        for report in made:
            self._attendances.reported(room, report, reported.stamp)
        tell(room, reported.diff)
        return reported

    def _user_changed(self, user: str, seconds: float | None) -> None:
        # With the next report of the room, which follows every such change.
        self._users[user] = None if seconds is None else asyncio.get_running_loop().time() - seconds

    async def _report_users(self) -> None:
        async with self._users_lock:
            while self._users:
                due, self._users = self._users, {}
                now = asyncio.get_running_loop().time()
                ago = {user: None if ended is None else max(0.0, now - ended) for user, ended in due.items()}
                try:
                    await presence_store().areport_users(self._process, ago)
                except BaseException:
                    self._users = {**due, **self._users}
                    raise

    # The lease

    async def _begin_lease(self) -> None:
        try:
            await presence_store().abeat(self._process, conf.presence_lease_seconds)
        except BaseException:
            self._lease = None
            raise
        self._set_timer(conf.presence_lease_seconds / _BEATS)

    def _set_timer(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = None if seconds is None else loop.call_later(seconds, self._start_beat, context=Context())

    def _start_beat(self) -> None:
        if not len(self._attendances) and not self._rooms:
            self._begin_anew()  # nobody is here: the lease ends by itself
        else:
            _tasks.start(self._beat(), context=Context())

    async def _beat(self) -> None:
        process, seconds = self._process, conf.presence_lease_seconds
        again = seconds / _BEATS
        try:
            beat = await presence_store().abeat(process, seconds)
            if process != self._process or self._rests_until is not None:
                return
            if not beat.was_known:
                self._begin_anew()
            if beat.dead and self._burial is None:
                self._burial = _tasks.start(self._bury(beat.dead), context=Context())
            if beat.next_end is not None:
                again = min(again, beat.next_end + random.uniform(0, _SPREAD_SECONDS))
        except WebSocketConnectionError as error:
            logger.debug("The lease of presence cannot be renewed: %s", error)
            again = _AGAIN_SECONDS
        finally:  # also after an error that nobody expects: without a lease, all who are here are taken for dead
            if process == self._process and self._lease is not None and self._rests_until is None:
                self._set_timer(again)

    async def _bury(self, processes: Sequence[str]) -> None:
        """Take back what dead processes have reported; beside the beats, for that may take long."""
        try:
            for process in processes:
                async for room, diff in presence_store().abury(process):
                    tell(room, diff)
        except WebSocketConnectionError as error:
            logger.debug("A process that has died cannot be buried: %s", error)  # the next beat finds it again
        finally:
            self._burial = None

    def _begin_anew(self) -> None:
        """Be another process from now on, which reports all that is here: the layer may have forgotten the former."""
        self._process, self._lease, self._rests_until = uuid.uuid4().hex, None, None
        self._set_timer(None)
        left, self._left_at_rest = self._left_at_rest, []
        for attendance in left:
            self.leave(attendance)
        self.report_all()

    @property
    def counts(self) -> Mapping[str, int]:
        """How many keys are present here in rooms of each pattern."""
        return self._attendances.counts


_reporters = PerLoop(PresenceReporter)


def _keys_present() -> Mapping[metrics.Labels, float]:
    """How many keys are present in rooms by connections of this process, by pattern."""
    found: dict[metrics.Labels, float] = {}
    for loop, reporter in _reporters.items():
        for pattern, count in list(reporter.counts.items()) if not loop.is_closed() else ():
            found[pattern,] = found.get((pattern,), 0) + count
    return found


metrics.presence_keys.read_from(_keys_present)


def current_presence() -> PresenceReporter:
    """The reporter of the running event loop."""
    return _reporters.get()


def forget_presence() -> None:
    """Forget who is present by any event loop of this process: for tests, which share it."""
    for _loop, reporter in _reporters.items():  # noqa: PERF102 (a dict's it is not)
        reporter.forget()


async def rest_presence(seconds: float) -> None:
    """The process drains: whoever is present by the running event loop is expected back in another process.

    Args:
        seconds: that this may take.
    """
    await _reporters.get().rest(seconds)
