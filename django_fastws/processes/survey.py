"""Survey: one question to every process of the layer, and the answers that come before a deadline."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from dataclasses import dataclass
from typing import Any

from .._core.envelope import Envelope
from .._core.questions import GROUP, LONGEST_SECONDS, Question, decode_reply, encode_question, reply_group
from ..exceptions import WebSocketConnectionError
from ..layer import Broker, BrokerClient, get_broker

__all__ = ["Answer", "Survey", "ask_processes"]

logger = logging.getLogger("django_fastws.processes")

_CLOSE_SECONDS = 1.0  # for the subscription to the replies to be given back


@dataclass(frozen=True, slots=True)
class Answer:
    """What one process has answered.

    Attributes:
        process: its name.
        data: the answer, as JSON has it; None where there is an error.
        error: why there is none; empty if there is one.
        seconds: from the question to the answer.
        at: when it came, in seconds since 1970 by the clock here.
    """

    process: str
    data: Any
    error: str
    seconds: float
    at: float


@dataclass(frozen=True, slots=True)
class Survey:
    """Answers of the processes of a layer.

    Attributes:
        answers: by the name of the process, in the order in which they came.
        expected: how many processes have heard the question, as far as the layer tells; None where it does not.
    """

    answers: dict[str, Answer]
    expected: int | None

    @property
    def is_partial(self) -> bool:
        """Whether answers are known to be missing: of processes that are stopped, blocked, or slow."""
        return self.missing > 0

    @property
    def missing(self) -> int:
        """How many answers are known to be missing."""
        return 0 if self.expected is None else max(0, self.expected - len(self.answers))


async def ask_processes(topic: str, arguments: Any = None, *, seconds: float = 2.0) -> Survey:
    """Ask every process that serves on this layer, this one among them if it does.

    It returns as soon as all have answered, where the layer tells how many there are; else, and where one does not
    answer, at the deadline, with what there is by then.

    Args:
        topic: which the processes know; one that does not answers with an error.
        arguments: what JSON can hold.
        seconds: the deadline, from the call on: above 0, and at most 60.
    Raises:
        ValueError: that is no deadline.
        WebSocketConnectionError: the layer cannot be reached in time.
    """
    if not 0 < seconds <= LONGEST_SECONDS:
        raise ValueError(f"ask_processes(seconds={seconds!r}): above 0, and at most {LONGEST_SECONDS:g}")
    collector = _Collector(topic, arguments, seconds)
    broker = get_broker()
    client = broker.client(collector.deliver)
    try:
        return await collector.run(broker, client)
    finally:
        await asyncio.shield(asyncio.ensure_future(_close(client, collector.group)))


class _Collector:
    """Collector of the replies to one question."""

    def __init__(self, topic: str, arguments: Any, seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._deadline = self._loop.time() + seconds
        self._question = Question(uuid.uuid4().hex, topic, arguments, seconds)
        self._asked_at = 0.0
        self._answers: dict[str, Answer] = {}
        self._expected: int | None = None
        self._is_complete = asyncio.Event()
        self.group = reply_group(self._question.id)

    async def run(self, broker: Broker, client: BrokerClient) -> Survey:
        try:
            async with asyncio.timeout_at(self._deadline):
                await client.subscribe(self.group)
                with contextlib.suppress(WebSocketConnectionError):  # who may not ask that, may publish
                    self._expected = await broker.acount_subscribers(GROUP)
                self._asked_at = self._loop.time()
                await broker.apublish(encode_question(self._question))
        except TimeoutError:
            late = f"the channel layer did not answer within {self._question.seconds:g} seconds"
            raise WebSocketConnectionError(f"cannot ask the processes: {late}") from None
        self._look()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(self._deadline):
                await self._is_complete.wait()
        return Survey(self._answers, self._expected)

    def deliver(self, envelope: Envelope) -> None:
        """Take a reply. Never raises: this is called by the broker."""
        try:
            reply = decode_reply(envelope)
        except Exception as error:
            logger.debug("A reply makes no sense: %s", error)
            return
        if reply is None or reply.process in self._answers:  # sent twice
            return
        seconds = self._loop.time() - self._asked_at
        self._answers[reply.process] = Answer(reply.process, reply.data, reply.error, seconds, time.time())
        self._look()

    def _look(self) -> None:
        if self._expected is not None and len(self._answers) >= self._expected:
            self._is_complete.set()


async def _close(client: BrokerClient, group: str) -> None:
    with contextlib.suppress(TimeoutError, WebSocketConnectionError):
        async with asyncio.timeout(_CLOSE_SECONDS):
            await client.unsubscribe(group)
    with contextlib.suppress(TimeoutError, WebSocketConnectionError):
        async with asyncio.timeout(_CLOSE_SECONDS):
            await client.close()
