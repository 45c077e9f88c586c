"""Responder: answers the questions that are published to every process of the layer."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import socket
import uuid
from collections.abc import Callable
from typing import Any

from .._core.envelope import Envelope
from .._core.questions import GROUP, Question, Reply, decode_question, encode_reply
from ..exceptions import WebSocketConnectionError
from ..layer import get_broker
from ..loops import PerLoop
from ..rooms import Subscriptions
from ..tasks import BackgroundTasks

__all__ = ["InvalidQuestion", "Responder", "current_responder", "topics"]

logger = logging.getLogger("django_fastws.processes")

_AT_ONCE = 32  # questions that are worked on; of more, nobody gets an answer
_MOST_BYTES = 1024 * 1024  # of one answer

Topic = Callable[["Responder", Any], Any]

#: What can be asked: by the topic, a function, or an async one, of the responder and the arguments. What it returns
#: is what JSON can hold. It runs in the event loop that serves, and must not block it.
topics: dict[str, Topic] = {}


class InvalidQuestion(ValueError):
    """Error of a topic whose arguments make no sense. Who asks is told; here it is no mistake, and not logged."""


class Responder:
    """Responder of one event loop, subscribed to questions as long as something is served there.

    Questions have a subscription of their own, for the rooms' is held while the process is behind, which is when
    somebody wants to know how it is.

    Attributes:
        name: of the process, unlike that of any other: host, process id, and chance.
        kind: what it is: "server", "clients", or "asgi" for what another server runs.
        drain: begins the graceful shutdown of the process; None where nobody but its server can.
    """

    def __init__(self) -> None:
        self.name = f"{socket.gethostname()[:100]}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self.kind = "asgi"
        self.drain: Callable[[], None] | None = None
        self._is_draining: Callable[[], bool] = lambda: False
        self._served = 0
        self._working = 0
        self._has_failed = False
        self._tasks = BackgroundTasks(logger)
        # That it is not subscribed for a while is no loss: who asks is told, and outages are logged.
        self._subscriptions = Subscriptions(
            self._deliver, what="questions to processes", logger=logger, retry_level=logging.DEBUG
        )

    def start(
        self,
        kind: str = "",
        is_draining: Callable[[], bool] | None = None,
        drain: Callable[[], None] | None = None,
    ) -> None:
        """Answer from now on, until ``stop()`` was called as often. Never raises.

        Args:
            kind: of the process; empty where the caller does not know.
            is_draining: whether it is about to stop.
            drain: begins its graceful shutdown; it may be called more than once.
        """
        self.kind = kind or self.kind
        self._is_draining = is_draining or self._is_draining
        self.drain = drain or self.drain
        self._served += 1
        if self._served == 1:  # else it is kept already
            self._subscriptions.keep(GROUP)

    def stop(self) -> None:
        """Take back one ``start()``. Never raises."""
        self._served = max(0, self._served - 1)
        if not self._served:
            self._subscriptions.release(GROUP)

    @property
    def is_draining(self) -> bool:
        """Whether the process is about to stop."""
        return self._is_draining()

    async def wait_until_subscribed(self) -> None:
        """Wait until questions are heard; a second at most, and not at all while the layer is away."""
        await self._subscriptions.wait(GROUP)

    async def settled(self) -> None:
        """Wait until answers under way have ended, and the subscription, if nobody is left, is given back."""
        await self._tasks.wait()
        await self._subscriptions.settled()

    def _deliver(self, envelope: Envelope) -> None:
        """Take a question. Never raises: this is called by the broker."""
        try:
            question = decode_question(envelope)
        except Exception as error:
            # Any publisher of the layer can send anything: no traceback helps, and what it holds may be long.
            if not self._has_failed:
                self._has_failed = True
                logger.warning(
                    "Ignoring questions that make no sense: %s", f"{type(error).__name__}: {str(error)[:200]}"
                )
            return
        if question is not None and self._working < _AT_ONCE:
            self._working += 1
            self._tasks.start(self._answer(question))

    async def _answer(self, question: Question) -> None:
        try:
            async with asyncio.timeout(question.seconds):
                envelope = await self._reply(question)
                await get_broker().apublish(envelope)
        except (
            TimeoutError,
            WebSocketConnectionError,
        ) as error:  # nobody waits for it any more, or nobody can get it
            logger.debug("A question about %r was not answered: %s", question.topic, error)
        finally:
            self._working -= 1

    async def _reply(self, question: Question) -> Envelope:
        topic = topics.get(question.topic)
        if topic is None:
            return encode_reply(question.id, Reply(self.name, error="this process knows nothing of that"))
        try:
            data = topic(self, question.arguments)
            if inspect.isawaitable(data):
                data = await data
            envelope = encode_reply(question.id, Reply(self.name, data))
        except TimeoutError:
            raise
        except InvalidQuestion as error:
            return encode_reply(
                question.id, Reply(self.name, error=str(error)[:500] or "the question makes no sense")
            )
        except Exception as error:
            logger.exception("A question about %r could not be answered", question.topic)
            return encode_reply(question.id, Reply(self.name, error=f"{type(error).__name__}: {str(error)[:500]}"))
        if len(envelope.fields["data"]) > _MOST_BYTES:
            what = f"the answer has more than {_MOST_BYTES} characters; ask for less of it"
            return encode_reply(question.id, Reply(self.name, error=what))
        return envelope


_responders = PerLoop(Responder)


def current_responder() -> Responder:
    """The responder of the running event loop."""
    return _responders.get()
