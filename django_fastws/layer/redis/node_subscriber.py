"""Subscriptions at one node of a cluster: those of a slot that has moved are made again where it is now."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from typing import Any, Protocol

from ..._core.slots import Redirect, parse_redirect, slot_of
from ..errors import cluster_down
from .deadlines import Deadlines
from .subscriber import ChannelState, PendingCommand, RedisSubscriber

__all__ = ["NodeSubscriber", "Subscription", "SubscriberRoutes"]

_RETRY_SECONDS = 0.1  # after which a slot that nobody serves is asked for again

#: A channel, and who waits for it.
Subscription = tuple[bytes, list[asyncio.Future[None]]]


class SubscriberRoutes(Protocol):
    """The ways between the nodes, as their subscribers use them."""

    def subscriber_was_redirected(self, subscriber: NodeSubscriber, slot: int, redirect: Redirect) -> None:
        """A channel of this slot is at another node."""

    def has_resubscribed(self) -> None:
        """A subscription that was moved stands again."""


class NodeSubscriber(RedisSubscriber):
    """Subscriptions at one node, to sharded channels where it has them.

    Args:
        routes: between the nodes.
        is_sharded: whether the channels are sharded ones.
    """

    def __init__(self, *args: Any, routes: SubscriberRoutes, is_sharded: bool, **options: Any) -> None:
        super().__init__(*args, **options)
        self._routes = routes
        self._is_sharded = is_sharded
        #: Channels that were subscribed to at another node, and are not yet here.
        self._moved_here: set[bytes] = set()
        if is_sharded:
            self._SUBSCRIBE, self._UNSUBSCRIBE = b"SSUBSCRIBE", b"SUNSUBSCRIBE"
            self._AT_ONCE = 1  # those of one command must be of one slot

    def release(self, slots: Collection[int]) -> list[Subscription]:
        """Give up the channels of these slots, which another node has now."""
        released: list[Subscription] = []
        for channel in list(self._channels.values()):
            if not channel.is_wanted or slot_of(channel.name) not in slots:
                continue
            waiters, channel.waiters = channel.waiters, []
            released.append((channel.name, waiters))
            self._moved_here.discard(channel.name)
            self.abandon(channel.name)
        return released

    def adopt(self, subscriptions: Iterable[Subscription], former: NodeSubscriber) -> None:
        """Subscribe to what another node had."""
        for name, waiters in subscriptions:
            channel = self._channels.get(name)
            if channel is None:
                channel = self._channels[name] = ChannelState(name)
            channel.is_wanted = True
            channel.waiters += waiters
            former.hand_over(waiters, self._joining, self._leaving)
            self._moved_here.add(name)
            self._touch(channel)

    def hand_over(self, waiters: list[asyncio.Future[None]], joining: Deadlines, leaving: Deadlines) -> None:
        """Let another subscriber see to it that these do not wait too long."""
        self._joining.hand_over(waiters, joining)
        self._leaving.hand_over(waiters, leaving)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is subscribed to."""
        return not any(channel.is_wanted for channel in self._channels.values())

    def _agreed(self, channel: ChannelState) -> None:
        super()._agreed(channel)
        if channel.name in self._moved_here and channel.is_wanted and channel.is_asked:
            self._moved_here.discard(channel.name)
            self._routes.has_resubscribed()

    # Answers to commands of one channel each, some of which come unasked

    def _answered(self, name: bytes) -> None:
        if not self._is_sharded:
            super()._answered(name)
            return
        channel = self._channels.get(name)
        pending = next((one for one in self._pending if one.channels and one.channels[0].name == name), None)
        if pending is not None:
            self._settle(pending)
            answered = pending.channels[0]
            answered.unanswered -= 1
            if not answered.unanswered:
                self._agreed(answered)
        elif channel is not None and channel.is_asked:
            # The node has given the slot away. Asked again, it says to whom.
            self._moved_here.add(name)
            channel.is_asked = False
            self._touch(channel)

    def _count(self) -> None:
        if not self._is_sharded:
            super()._count()
        elif pending := next((one for one in self._pending if not one.channels), None):  # that was a PING's
            self._settle(pending)

    def _settle(self, pending: PendingCommand) -> None:
        """A command of one channel is answered."""
        self._pending.remove(pending)
        if not self._pending and self._confirmed is not None and not self._confirmed.done():
            self._confirmed.set_result(None)

    def _refused(self, text: str) -> None:
        redirect = parse_redirect(text)
        if redirect is None or not self._is_sharded:
            super()._refused(text)
            return
        pending = next((one for one in self._pending if one.channels and _is_of(one, redirect.slot)), None)
        if pending is None:
            return  # of a channel that was given up, just when the node gave the slot away
        self._settle(pending)
        channel = pending.channels[0]
        channel.unanswered -= 1
        channel.is_asked = False
        if channel.unanswered:
            return
        if not channel.is_wanted:
            self._agreed(channel)
        elif redirect.kind == "CLUSTERDOWN":
            self._give_up(cluster_down(self._server.name, text))
        elif redirect.slot is None:
            self._loop.call_later(_RETRY_SECONDS, self._ask_again, channel)
        else:
            self._routes.subscriber_was_redirected(self, redirect.slot, redirect)

    def _give_up(self, error: Exception) -> None:
        """The node cannot serve now: connect again until it can."""
        if self._connection is not None:
            self._connection.drop(error)
        elif self._confirmed is not None and not self._confirmed.done():
            self._confirmed.set_exception(error)

    def _ask_again(self, channel: ChannelState) -> None:
        if self._channels.get(channel.name) is channel:
            self._touch(channel)


def _is_of(pending: PendingCommand, slot: int | None) -> bool:
    """Whether a command that was refused may be this one; by its slot, if that was said."""
    return slot is None or slot_of(pending.channels[0].name) == slot
