"""Calls that are done once in the cluster: their answer is kept for a while, for the client that asks again."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import Awaitable
from typing import TYPE_CHECKING

import orjson

from ..exceptions import LiveError, WebSocketConnectionError
from ..layer import Broker, get_broker
from ..tasks import BackgroundTasks
from .calls import EventCall
from .introduction import owner_of
from .live_errors import FAILED, as_live_error, logger, significant_error

if TYPE_CHECKING:
    from .session import LiveSession

__all__ = ["OnceCall", "once_calls_ended"]

_KEPT_SECONDS = 60.0
_MOST_WAITING = 30.0  # seconds for the answer of a call that another process has under way
_PAUSES = (0.02, 0.05, 0.1, 0.25)  # between two looks; the last is repeated

_AWAY_SECONDS = 1.0  # between two tries to give a claim back
_MOST_GIVEN_BACK = 1000  # at a time; others are unknown for as long as they are kept

# The first byte of what is kept: a call under way, with a name of its own; an answer; an error. And all that is kept
# of a call of which it is certain that it was not done.
_UNDER_WAY, _ANSWER, _ERROR, _NOT_DONE = b"?", b"=", b"!", b"-"

_running = BackgroundTasks(logger)
_giving_back = BackgroundTasks(logger)
_alone: set[asyncio.Future[bytes]] = set()  # calls whose connection is over


class OnceCall(EventCall):
    """Call with a client-made id that is done once, however often and in whatever process it is asked for.

    Who asks again, within a minute, gets the answer of the first time, or the error it ended with. It counts for one
    client of one user, else of one session. The loss of the connection does not end it, as it ends other calls: the
    client comes back for the answer. At most once: where nobody can know whether a call was done, because its process
    has died or the layer was away, the answer is ``unavailable`` as long as that is kept in mind.
    """

    __slots__ = ()

    outlives_connection = True

    def begin(self, session: LiveSession) -> Awaitable[bytes]:
        return self.perform(session)

    def value(self, session: LiveSession, result: bytes) -> bytes:
        return result

    async def perform(self, session: LiveSession) -> bytes:
        if not self.membership.is_joined:
            raise LiveError("not_joined", "join the room first")
        if self.handler.is_generator:
            raise LiveError("bad_request", "an event that answers with items cannot be called once")
        claimed = asyncio.ensure_future(self._claim(session))
        try:
            return await asyncio.shield(claimed)
        except asyncio.CancelledError:
            if self.is_cancelled:  # by the client
                claimed.cancel()
                await asyncio.wait([claimed])
            else:  # by the end of the connection: it goes on, even if it was only claimed so far
                _alone.add(claimed)
                claimed.add_done_callback(self._ended_alone)
            raise

    async def _claim(self, session: LiveSession) -> bytes:
        """Do it, unless that was asked for before; returns the answer."""
        broker, key, claim = get_broker(), _key(session, self), _UNDER_WAY + uuid.uuid4().bytes
        while (kept := await self._claimed(broker, key, claim)) is not None:
            if (kept := await _kept_outcome(broker, key, kept)) != _NOT_DONE:
                return _answer_of(kept)
        work = asyncio.ensure_future(super().perform(session))
        done = _running.start(self._finish(broker, key, claim, work))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            work.cancel()
            await asyncio.wait([done])
            raise

    async def _claimed(self, broker: Broker, key: str, claim: bytes) -> bytes | None:
        """None if the call is to be done, else what is kept of it."""
        try:
            return await broker.claim(key, claim, _KEPT_SECONDS, _NOT_DONE)
        except WebSocketConnectionError:
            if len(_giving_back) < _MOST_GIVEN_BACK:
                _giving_back.start(_give_back(broker, key, claim))
            raise

    def _ended_alone(self, work: asyncio.Future[bytes]) -> None:
        """Log how it failed, as nobody waits for it any more."""
        _alone.discard(work)
        problem = None if work.cancelled() else work.exception()
        if problem is not None and as_live_error(significant_error(problem)) is None:
            self._failed(problem)

    async def _finish(self, broker: Broker, key: str, claim: bytes, work: asyncio.Future[bytes]) -> None:
        """Keep the claim while the call is under way, and what it has come to afterwards."""
        is_over = False
        while not is_over:
            await asyncio.wait([work], timeout=_KEPT_SECONDS / 3)
            is_over = work.done()
            value = self._outcome(work) if is_over else claim
            try:
                await broker.store(key, value, _KEPT_SECONDS)
            except WebSocketConnectionError as error:
                logger.warning("What becomes of a call that is done once cannot be kept: %s", error)

    def _outcome(self, work: asyncio.Future[bytes]) -> bytes:
        """Outcome of a call, as it is kept; b"" for one that has not begun."""
        if work.cancelled():
            return _error(LiveError("cancelled", "the call was cancelled"))
        problem = work.exception()
        if problem is None:
            return _ANSWER + work.result()
        error = as_live_error(significant_error(problem)) or FAILED
        return _NOT_DONE if error.code == "not_joined" else _error(error)


def _key(session: LiveSession, call: EventCall) -> str:
    named = [owner_of(session), session.client_id, call.membership.name, call.handler.event, call.id]
    return f"once:{hashlib.sha256(orjson.dumps(named)).hexdigest()}"


async def _kept_outcome(broker: Broker, key: str, kept: bytes) -> bytes:
    """What is kept of a call that was asked for before; waits for its end if it is under way.

    Raises:
        LiveError: it is not known whether it was done.
    """
    ends, looks = asyncio.get_running_loop().time() + _MOST_WAITING, 0
    while kept.startswith(_UNDER_WAY):
        if asyncio.get_running_loop().time() >= ends:
            raise LiveError("unavailable", "it is not known yet whether this call was done")
        await asyncio.sleep(_PAUSES[min(looks, len(_PAUSES) - 1)])
        looks += 1
        found = await broker.claim(key, _UNDER_WAY + uuid.uuid4().bytes, _KEPT_SECONDS)
        if found is None:  # nobody has kept it in mind for a minute, and it stays unknown for the next one
            raise LiveError("unavailable", "it is not known whether this call was done")
        kept = found
    return kept


def _answer_of(kept: bytes) -> bytes:
    """The answer that is kept.

    Raises:
        LiveError: the one that the call has ended with.
    """
    if kept.startswith(_ANSWER):
        return kept[1:]
    code, message, fields, retry_after = orjson.loads(kept[1:])
    raise LiveError(code, message, fields=fields, retry_after=retry_after)


async def _give_back(broker: Broker, key: str, claim: bytes) -> None:
    """Give back a claim that may be kept though the layer did not answer, as soon as it does: nothing was done."""
    ends = asyncio.get_running_loop().time() + _KEPT_SECONDS
    while asyncio.get_running_loop().time() < ends:
        try:
            if await broker.claim(key, claim, _KEPT_SECONDS) is None:
                await broker.store(key, _NOT_DONE, _KEPT_SECONDS)
            return
        except WebSocketConnectionError:
            await asyncio.sleep(_AWAY_SECONDS)


async def once_calls_ended(seconds: float) -> None:
    """Wait until the calls of this event loop that are done once have ended and are kept, for at most so long."""
    loop = asyncio.get_running_loop()
    if running := [task for task in _running if task.get_loop() is loop]:
        _, late = await asyncio.wait(running, timeout=seconds)
        if late:
            logger.warning("%d calls that are done once last longer than the drain, and are cut off", len(late))


def _error(error: LiveError) -> bytes:
    return _ERROR + orjson.dumps([error.code, error.message, error.fields, error.retry_after])
