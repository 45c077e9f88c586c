"""Publishing to one node of a cluster: what another node has by now is passed on to it, in order."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from typing import Any, Protocol

from ..._core.resp import ErrorReply, command
from ..._core.slots import Redirect, parse_redirect, slot_of_command
from ..errors import cluster_down
from .deadlines import Deadlines
from .publisher import RedisPublisher

__all__ = ["Item", "NodePublisher", "PublisherRoutes"]

#: A command, and the future of its reply.
Item = tuple[bytes, asyncio.Future[Any]]

_ASKING, _READINESS = command(b"ASKING"), command(b"CLUSTER", b"INFO")


class PublisherRoutes(Protocol):
    """The ways between the nodes, as their publishers use them."""

    #: Of the slots whose commands have to wait, those that do.
    parked: dict[int, list[Item]]

    def publisher_was_redirected(self, publisher: NodePublisher, slot: int, redirect: Redirect, item: Item) -> None:
        """The node of a publisher does not execute a command of this slot, which the publisher has no more."""


class NodePublisher(RedisPublisher):
    """Pipeline to one node. What it says of a slot that it does not serve is left to the routes.

    Args:
        routes: between the nodes.
    """

    def __init__(self, *args: Any, routes: PublisherRoutes, **options: Any) -> None:
        super().__init__(*args, **options)
        self._routes = routes
        #: In place of commands that are sent elsewhere: whatever is answered to them is passed over.
        self._nobody: asyncio.Future[Any] = self._loop.create_future()
        self._nobody.set_result(None)
        #: Of commands before which the node is told that it is asked.
        self._asked: set[asyncio.Future[Any]] = set()

    def send(self, data: bytes) -> asyncio.Future[Any]:
        if self._routes.parked:
            slot = slot_of_command(data)
            if slot is not None and (waiting := self._routes.parked.get(slot)) is not None:
                future = self._deadlines.add()
                waiting.append((data, future))
                return future
        return super().send(data)

    def put(self, items: Iterable[Item]) -> None:
        """Send commands that have a future already."""
        self.use_scripts()
        for item in items:
            self._queue.append(item)
            self._queued_bytes += len(item[0])
        if self._connection is None:
            self._connect()
        elif not self._is_flushing:
            self._is_flushing = True
            self._loop.call_soon(self._flush)

    def put_asking(self, item: Item) -> None:
        """Send a command of a slot that the node does not have yet: it gets the keys just now."""
        self._asked.add(item[1])
        item[1].add_done_callback(self._asked.discard)
        self.put([self._asking(), item])

    def _asking(self) -> Item:
        future: asyncio.Future[Any] = self._loop.create_future()
        future.add_done_callback(_seen)
        return _ASKING, future

    def _lost(self, error: Exception) -> None:
        if self._sent and self._sent[0][1] in self._asked:  # it is sent again, and the answer to ASKING had come
            item = self._asking()
            self._sent.appendleft(item)
            self._sent_bytes += len(item[0])
        super()._lost(error)

    def take(self, slots: Collection[int] | None = None) -> list[tuple[int, Item]]:
        """Take back the commands of these slots, in order; whatever the node answers to those it has is passed over.

        Args:
            slots: None takes those of all slots.
        """
        taken: list[tuple[int, Item]] = []

        def is_taken(item: Item) -> bool:
            slot = None if item[1].done() else slot_of_command(item[0])
            if slot is None or (slots is not None and slot not in slots):
                return False
            taken.append((slot, item))
            return True

        for index, item in enumerate(self._sent):
            if is_taken(item):
                self._sent[index] = item[0], self._nobody
        kept = [item for item in self._queue if not is_taken(item)]
        self._queue.clear()
        self._queue.extend(kept)
        self._queued_bytes = sum(len(data) for data, _ in kept)
        return taken

    def hand_over(self, items: Iterable[Item], to: NodePublisher) -> None:
        """Let another publisher see to it that these commands do not wait too long."""
        self._deadlines.hand_over([future for _, future in items], to.deadlines)

    @property
    def deadlines(self) -> Deadlines:
        """What sees to it that no command waits too long."""
        return self._deadlines

    @property
    def is_idle(self) -> bool:
        """Whether it has nothing to send, and waits for no reply."""
        return not self._queue and not self._sent

    def _take_oldest(self) -> Item:
        item = self._sent.popleft()
        self._sent_bytes -= len(item[0])
        return item

    def _is_redirected(self, reply: ErrorReply) -> bool:
        redirect = parse_redirect(reply.text)
        if redirect is None:
            return False
        data, future = self._sent[0]
        slot = redirect.slot if redirect.slot is not None else slot_of_command(data)
        if slot is None:
            return False
        if future.done():
            self._take_oldest()
        elif redirect.kind == "CLUSTERDOWN":
            self._drop_until_ready(_READINESS, cluster_down(self._server.name, reply.text))
        else:
            self._routes.publisher_was_redirected(self, slot, redirect, self._take_oldest())
        return True

    def _readiness_error(self, reply: Any) -> Exception | None:
        if isinstance(reply, bytes) and b"cluster_state:fail" in reply:
            return cluster_down(self._server.name, "cluster_state:fail")
        return super()._readiness_error(reply)


def _seen(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()
