"""Nodes of a cluster, as one event loop knows them: which one has which slot, and what is on its way to where.

What the event loop believes is set right by the nodes themselves: one that is sent what it does not have says who has
it. All of them are asked when the first command is sent, and as long as one of them is out of reach.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable, Collection, Iterable
from typing import Any

from ..._core.sequences import Sender
from ..._core.slots import Node, Redirect, nodes_of, slot_of
from ...exceptions import WebSocketConnectionError
from ...tasks import BackgroundTasks, cancel_and_wait
from ..errors import unreachable
from ..outages import Outage
from .cluster_answers import NotAClusterError, ask
from .cluster_hosts import ClusterHosts
from .deadlines import Deadlines
from .node_publisher import Item, NodePublisher
from .node_shard import NodeShard
from .node_subscriber import NodeSubscriber
from .script_loads import announcement
from .shard import SETTLING_SECONDS

__all__ = ["ClusterNodes"]

logger = logging.getLogger("django_fastws.layer")

_ASK_SECONDS = 2.0  # the longest that one node may take to say who has which slot
_ASK_PAUSE_SECONDS = 0.5  # between two rounds of asking
_REFRESH_SECONDS = 1.0  # after a slot has moved
_PARKED_SECONDS = 0.05  # after which what was to be tried again is
_RESTORED_SECONDS = 1.0  # between two looks at what may have been missed, at least
_DOING = "reach the cluster"


class ClusterNodes:
    """The nodes of a cluster that have slots, each with its connections. It belongs to one event loop.

    Args:
        hosts: how they are connected to.
        outage: of the layer.
        deliver: as of ``RedisShard``.
        resubscribed: as of ``RedisShard``.

    Attributes:
        shards: of the nodes that have slots.
        is_ready: whether it is known which these are.
        parked: of the slots whose commands have to wait for a moment, those that do.
    """

    def __init__(
        self,
        hosts: ClusterHosts,
        outage: Outage,
        deliver: Callable[[bytes, bytes], None],
        resubscribed: Callable[[], None],
    ) -> None:
        self._hosts = hosts
        self._outage = outage
        self._deliver = deliver
        self._resubscribed = resubscribed
        self._loop = asyncio.get_running_loop()
        self.shards: list[NodeShard] = []
        self.is_ready = False
        self.parked: dict[int, list[Item]] = {}
        self._timers: set[asyncio.TimerHandle] = set()
        self._owners: list[NodeShard] = []
        self._senders: dict[int, Sender] = {}
        self._moved_at: dict[int, float] = {}
        self._restoring: asyncio.TimerHandle | None = None
        self._restored_at = -math.inf
        self._asking: asyncio.Task[None] | None = None
        self._is_refreshing = False
        self._tasks = BackgroundTasks(logger)
        #: The cluster, as long as no node of it is known; and who waits for that.
        self._server = outage.server(", ".join(map(str, hosts.seeds)))
        self._waiting = Deadlines(_DOING, self._server)
        self._first: deque[asyncio.Future[Any]] = deque()

    # Which node has what

    async def ready(self) -> None:
        """Wait until it is known which node has which slot.

        Raises:
            WebSocketConnectionError: no node can be reached in time, or they are no cluster.
        """
        if not self.is_ready:
            while self._first and self._first[0].done():  # who has waited long enough
                self._first.popleft()
            future = self._waiting.add()
            self._first.append(future)
            self._start_asking()
            await future

    def owner(self, channel: bytes) -> NodeShard:
        """The node that has the slot of a channel, or of a key; when it is known."""
        return self._owners[slot_of(channel)]

    def sender_of(self, slot: int) -> Sender:
        """The sender that numbers what is published in a slot, at whatever node that is."""
        sender = self._senders.get(slot)
        if sender is None:
            sender = self._senders[slot] = Sender()
        return sender

    def _shard(self, node: Node) -> NodeShard:
        for shard in self.shards:
            if shard.node == node:
                return shard
        shard = NodeShard(
            node,
            self._hosts.host(node),
            self._outage.server(str(node)),
            self._deliver,
            self,
            is_sharded=bool(self._hosts.is_sharded),
        )
        self.shards.append(shard)
        return shard

    # Asking

    def node_has_changed(self) -> None:
        """A node was lost, or is back."""
        if any(shard.server.is_lost for shard in self.shards):
            self._start_asking()

    def _start_asking(self) -> None:
        if self._asking is None:
            self._asking = self._loop.create_task(self._keep_asking())

    async def _keep_asking(self) -> None:
        try:
            while True:
                await self._ask()
                if self.is_ready and not any(shard.server.is_lost for shard in self.shards):
                    return
                await asyncio.sleep(_ASK_PAUSE_SECONDS)
        finally:
            self._asking = None

    async def _ask(self) -> None:
        """Ask one node after another, until one answers."""
        known = [shard.node for shard in sorted(self.shards, key=lambda shard: shard.server.is_lost)]
        error: Exception | None = None
        for node in self._hosts.to_ask(known):
            try:
                answers = await ask(self._hosts.host(node), node, _ASK_SECONDS)
            except Exception as reason:
                if error is None or isinstance(reason, NotAClusterError):
                    error = reason
                continue
            if self._hosts.is_sharded is None:
                self._hosts.is_sharded = answers.has_sharded
            self._learn(answers.owners)
            return
        if not self.is_ready and error is not None:
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        self._server.report_lost(self, error)
        self._waiting.check()
        if isinstance(error, NotAClusterError):
            self._settle_first(unreachable(_DOING, error))

    def _settle_first(self, error: WebSocketConnectionError | None) -> None:
        first, self._first = self._first, deque()
        for future in first:
            if future.done():
                continue
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)

    def _learn(self, found: list[Node | None]) -> None:
        nodes = nodes_of(found)
        self._hosts.found(nodes)
        shards = {node: self._shard(node) for node in nodes}
        if self.is_ready:
            self._reassign({slot: shards[node] for slot, node in enumerate(found) if node is not None})
            self._retire(set(shards.values()))
            return
        anybody = next(iter(shards.values()))  # it says of a slot that nobody has that nobody has it
        self._owners = [anybody if node is None else shards[node] for node in found]
        self._server.report_restored(self)
        self._let_go_on()

    def _let_go_on(self) -> None:
        """Let those who have waited go on first, in their order; and those who have come meanwhile."""
        if self._first:
            self._settle_first(None)
            self._loop.call_soon(self._let_go_on)
        else:
            self.is_ready = bool(self.shards)  # it may be closed by now

    def _retire(self, needed: Collection[NodeShard]) -> None:
        """Close the connections to nodes that have no slot any more."""
        for shard in [one for one in self.shards if one not in needed]:
            if shard in self._owners or not (shard.server.is_lost or shard.is_idle):
                continue
            for slot, item in shard.publisher.take():
                self._send(slot, item, shard.publisher)
            self.shards.remove(shard)
            self._tasks.start(shard.flush())

    # Slots that move

    def publisher_was_redirected(self, publisher: NodePublisher, slot: int, redirect: Redirect, item: Item) -> None:
        """The node of a publisher does not execute a command of this slot, which the publisher has no more."""
        former = next(shard for shard in self.shards if shard.publisher is publisher)
        if redirect.node is None:
            self._park({slot}, _PARKED_SECONDS)
            self._send_all([(slot, item), *publisher.take({slot})], publisher)
        elif redirect.kind == "ASK":
            to = self._shard(redirect.node.as_told_by(former.node)).publisher
            publisher.hand_over([item], to)
            item[1].add_done_callback(lambda reply: self._announce(slot, item[0], reply))
            to.put_asking(item)
        else:
            self._move(slot, redirect.node, former, item)

    def _announce(self, slot: int, data: bytes, reply: asyncio.Future[Any]) -> None:
        """Publish at the node of a slot what another one has executed, which has no subscriptions yet."""
        if reply.cancelled() or reply.exception() is not None or not self.is_ready:
            return
        if (published := announcement(data, reply.result())) is not None:
            self._owners[slot].publisher.send(published).add_done_callback(_seen)

    def subscriber_was_redirected(self, subscriber: NodeSubscriber, slot: int, redirect: Redirect) -> None:
        """A channel of this slot is at another node."""
        former = next(shard for shard in self.shards if shard.subscriber is subscriber)
        if (node := redirect.node) is None:
            return
        if self._has_just_moved(slot):
            self._later(_PARKED_SECONDS, lambda: self._move(slot, node, former))
        else:
            self._move(slot, node, former)

    def _has_just_moved(self, slot: int) -> bool:
        """Whether two nodes may each say that the other one has a slot, until they agree."""
        return self._loop.time() - self._moved_at.get(slot, -math.inf) < _PARKED_SECONDS

    def _move(self, slot: int, node: Node, former: NodeShard, item: Item | None = None) -> None:
        """A node says that another one has a slot, when it was sent a command, or asked for a channel."""
        if self._has_just_moved(slot):
            self._park({slot}, _PARKED_SECONDS)
        self._moved_at[slot] = self._loop.time()
        if not self._is_refreshing:  # who has which slot, and who has none any more, is asked when it is over
            self._is_refreshing = True
            self._later(_REFRESH_SECONDS, self._refresh)
        before, self._owners[slot] = self._owners[slot], self._shard(node.as_told_by(former.node))
        if item is not None:
            self._send(slot, item, former.publisher)
        for shard in {former, before} - {self._owners[slot]}:
            self._pass_on(shard, {slot})

    def _refresh(self) -> None:
        self._is_refreshing = False
        self._start_asking()

    def _reassign(self, changes: dict[int, NodeShard]) -> None:
        """Let nodes have slots, with all that waits for these, and all that is subscribed to in them."""
        former: dict[NodeShard, set[int]] = {}
        for slot, shard in changes.items():
            if self._owners[slot] is not shard:
                former.setdefault(self._owners[slot], set()).add(slot)
                self._owners[slot] = shard
        for shard, slots in former.items():
            if shard.server.is_lost:
                # Others who were cut off from it must have subscribed at the next one first.
                self._park(slots, SETTLING_SECONDS)
            self._pass_on(shard, slots)

    def _pass_on(self, former: NodeShard, slots: set[int]) -> None:
        self._send_all(former.publisher.take(slots), former.publisher)
        for subscription in former.subscriber.release(slots):
            self.owner(subscription[0]).subscriber.adopt([subscription], former.subscriber)

    def _send_all(self, items: Iterable[tuple[int, Item]], former: NodePublisher) -> None:
        for slot, item in items:
            self._send(slot, item, former)

    def _send(self, slot: int, item: Item, former: NodePublisher) -> None:
        publisher = self._owners[slot].publisher
        former.hand_over([item], publisher)
        waiting = self.parked.get(slot)
        if waiting is not None:
            waiting.append(item)
        else:
            publisher.put([item])

    def _park(self, slots: Iterable[int], seconds: float) -> None:
        """Let the commands of slots wait for a moment."""
        new = [slot for slot in slots if slot not in self.parked]
        if not new:
            return
        for slot in new:
            self.parked[slot] = []

        def release() -> None:
            for slot in new:
                if items := self.parked.pop(slot, None):
                    self._owners[slot].publisher.put(items)

        self._later(seconds, release)

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        def do() -> None:
            self._timers.discard(timer)
            call()

        timer = self._loop.call_later(seconds, do)
        self._timers.add(timer)

    # What may have been missed

    def has_resubscribed(self) -> None:
        """Subscriptions that were lost, or moved, stand again."""
        if self._restoring is None:
            pause = max(0.0, self._restored_at + _RESTORED_SECONDS - self._loop.time())
            self._restoring = self._loop.call_later(pause, self._restore)

    def _restore(self) -> None:
        self._restoring, self._restored_at = None, self._loop.time()
        self._resubscribed()

    async def check(self) -> None:
        """Ask every node whether it is there.

        Raises:
            WebSocketConnectionError: one of them is not.
        """
        await self.ready()
        await asyncio.gather(*(shard.check() for shard in self.shards))

    async def close(self) -> None:
        """Close all connections. They are made again when they are needed."""
        if self._asking is not None:
            await cancel_and_wait(self._asking)
        for timer in [*self._timers, *([self._restoring] if self._restoring is not None else [])]:
            timer.cancel()
        self._timers.clear()
        self._is_refreshing = False
        self._restoring = None
        parked, self.parked = self.parked, {}
        for slot, items in parked.items():
            self._owners[slot].publisher.put(items)
        shards, self.shards[:] = list(self.shards), []
        self.is_ready = False
        for shard in shards:
            await shard.flush()
        await self._tasks.wait()
        self._server.give_up(self)
        self._settle_first(unreachable(_DOING, "it was closed"))


def _seen(future: asyncio.Future[Any]) -> None:
    """Look at the error of a future that nobody awaits."""
    if not future.cancelled():
        future.exception()
