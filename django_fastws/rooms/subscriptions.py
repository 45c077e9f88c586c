"""Subscriptions of the hub and of users, on any layer: confirmed, retried with backoff, refreshed, given back."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from .._core.backoff import delays
from ..exceptions import WebSocketConnectionError
from ..layer import BrokerClient, Deliver, get_broker
from ..tasks import BackgroundTasks

__all__ = ["Subscriptions"]

_LONGEST_WAIT = 1.0  # seconds for which wait() holds up a handshake


class _Subscription:
    """State of one group: what is wanted, and what the layer has.

    Attributes:
        is_wanted: set by the client at any time, which then calls ``Subscriptions._settle``, now or later.
        is_kept: whether it is made in the background, and retried.
        is_made: the layer has confirmed it.
        was_requested: the layer may have it, whether it has confirmed that or not.
        lock: held while the layer is asked.
        task, since: that settles it in the background, and the loop's time at which that has begun.
        delays, timer: of the retries, while they are needed.
        lost_since: the loop's time at which somebody first noticed that it was lost; None while it stands.
    """

    __slots__ = (
        "delays",
        "group",
        "is_kept",
        "is_made",
        "is_wanted",
        "lock",
        "lost_since",
        "since",
        "task",
        "timer",
        "was_requested",
    )

    def __init__(self, group: str) -> None:
        self.group = group
        self.is_wanted = self.is_kept = self.is_made = self.was_requested = False
        self.lock = asyncio.Lock()
        self.task: asyncio.Task[None] | None = None
        self.since = 0.0
        self.delays: Iterator[float] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.lost_since: float | None = None


class Subscriptions:
    """The groups that one client, such as the hub, is subscribed to in one event loop.

    There are two ways to subscribe. ``subscribe()`` and ``unsubscribe()`` return when the layer has confirmed it, and
    raise when it cannot. ``keep()`` and ``release()`` return at once: the rest happens in the background, and what
    ``keep()`` wants is retried until it is released. Either way, calls for one group may overlap and may be
    cancelled; in the end the layer has a subscription if the last call wanted one.

    An event loop has three: the hub's, for rooms, that of the registry of users, for ``disconnect()``, and that for
    questions to processes. With one, users could not be disconnected while the hub is held, which is when a process
    is behind, and it would not say that it is. So the connection to the
    layer, and with it ``hold()``, is this client's own. It is opened for the first group and closed after the last.

    Args:
        deliver: called with what is published to the groups; must not raise.
        what: the groups are for, for the log.
        on_subscribed: called when a group that is kept has been subscribed to, for what was published before and
            missed; must not raise.
        on_restored: called when what was published may have been missed, which a history has; must not raise.
        retry_level: level of logging at which it is said that a group that is kept is retried, and that it has come.
    """

    def __init__(
        self,
        deliver: Deliver,
        *,
        what: str,
        logger: logging.Logger,
        on_subscribed: Callable[[], None] | None = None,
        on_restored: Callable[[], None] = lambda: None,
        retry_level: int = logging.WARNING,
    ) -> None:
        self._deliver = deliver
        self._what = what
        self._logger = logger
        self._on_subscribed = on_subscribed
        self._on_restored = on_restored
        self._retry_level = retry_level
        self._groups: dict[str, _Subscription] = {}
        self._client: BrokerClient | None = None
        self._refresher: asyncio.TimerHandle | None = None
        self._tasks = BackgroundTasks(logger)
        #: Whether the layer delivers nothing for now.
        self.is_held = False

    @property
    def is_open(self) -> bool:
        """Whether the layer is used."""
        return self._client is not None

    def is_subscribed(self, group: str) -> bool:
        """Whether nothing that is published to a group from now on is missed, as far as that is known."""
        subscription = self._groups.get(group)
        return subscription is not None and subscription.is_wanted and self._stands(subscription)

    def _stands(self, subscription: _Subscription) -> bool:
        client = self._client
        return subscription.is_made and client is not None and client.is_subscribed(subscription.group)

    # Flow control

    def hold(self) -> None:
        """Have the layer deliver nothing more for now."""
        if self._client is not None and not self.is_held:
            self.is_held = True
            self._client.hold()

    def resume(self) -> None:
        """Have the layer deliver again, after ``hold()``."""
        if self._client is not None and self.is_held:
            self.is_held = False
            self._client.resume()

    # At once

    def is_ready(self, group: str) -> bool:
        """Whether ``subscribe()`` has nothing to do, nor to wait for. It is asked for every join."""
        subscription = self._groups.get(group)
        return (
            subscription is not None
            and subscription.is_wanted
            and not subscription.lock.locked()
            and self._stands(subscription)
        )

    def subscribe(self, group: str) -> Coroutine[Any, Any, None]:
        """Subscribe; when awaited, returns when nothing that is published from now on is missed.

        A caller which finds that nobody wants the group, because this has failed or was cancelled, calls
        ``release()``: the layer may have the subscription all the same.

        Raises:
            WebSocketConnectionError: the layer cannot be reached.
        """
        return self._settle(self._wanted(group))  # not awaited here: one coroutine less for each room

    async def unsubscribe(self, group: str) -> None:
        """Unsubscribe; returns when the layer has confirmed it. A call that is cancelled goes on in the background.

        Raises:
            WebSocketConnectionError: the layer cannot be reached. It forgets the subscription by itself.
        """
        subscription = self._groups.get(group)
        if subscription is None:
            return
        subscription.is_wanted = False
        try:
            await self._settle(subscription)
        except asyncio.CancelledError:
            # Maybe while it waited for a refresh, which does not look whether the group is still wanted.
            if not subscription.is_wanted:
                self._settle_soon(subscription)
            raise

    # In the background

    def keep(self, group: str) -> None:
        """Subscribe in the background, and retry until that has succeeded. Never raises."""
        subscription = self._wanted(group)
        subscription.is_kept = True
        if not subscription.is_made and subscription.delays is None:
            self._settle_soon(subscription)

    def release(self, group: str) -> None:
        """Unsubscribe in the background. Never raises, not even when the loop has ended."""
        subscription = self._groups.get(group)
        if subscription is not None:
            subscription.is_wanted = False
            self._stop_retrying(subscription)
            self._settle_soon(subscription)

    def stands(self, group: str) -> bool:
        """Whether a kept group is subscribed to, and ``wait()`` would not wait. It is asked for every handshake."""
        subscription, client = self._groups.get(group), self._client
        if subscription is None or subscription.task is not None or not subscription.is_made or client is None:
            return False
        if not client.is_subscribed(group):
            return False
        subscription.lost_since = None
        return True

    async def wait(self, group: str) -> None:
        """Wait until a kept group is subscribed to: a second at most, and not at all while that is retried."""
        subscription = self._groups.get(group)
        if subscription is None:
            return
        if subscription.task is not None and subscription.delays is None:
            left = subscription.since + _LONGEST_WAIT - asyncio.get_running_loop().time()
            await asyncio.wait([subscription.task], timeout=max(0.0, left))
        elif subscription.is_made and self._client is not None:
            await self._wait_until_made_again(subscription, self._client)

    async def _wait_until_made_again(self, subscription: _Subscription, client: BrokerClient) -> None:
        """Wait while a subscription that was lost is made again: a second since the first noticed it."""
        if client.is_subscribed(subscription.group):
            subscription.lost_since = None
            return
        now = asyncio.get_running_loop().time()
        subscription.lost_since = now if subscription.lost_since is None else subscription.lost_since
        left = subscription.lost_since + _LONGEST_WAIT - now
        if left > 0:
            with contextlib.suppress(TimeoutError, WebSocketConnectionError):
                async with asyncio.timeout(left):
                    await client.resubscribed(subscription.group)

    async def settled(self) -> None:
        """Wait until what goes on in the background, apart from retries, has ended."""
        await self._tasks.wait()

    # Whatever was wanted last

    def _wanted(self, group: str) -> _Subscription:
        subscription = self._groups.get(group)
        if subscription is None:
            subscription = self._groups[group] = _Subscription(group)
        subscription.is_wanted = True
        return subscription

    async def _settle(self, subscription: _Subscription) -> None:
        """Make what the layer has agree with what is wanted."""
        await subscription.lock.acquire()  # not by `async with`, which takes two coroutines more for each room
        try:
            if subscription.is_wanted:
                await self._make(subscription)
            if not subscription.is_wanted:
                await self._give_back(subscription)
        finally:
            subscription.lock.release()
            if not self._groups:
                await self._close_if_idle()

    async def _make(self, subscription: _Subscription) -> None:
        if self._client is None:
            self._client = get_broker().client(self._deliver)
            self._client.restored = self._on_restored
            self._refresh_later()
        if not subscription.is_made:
            subscription.was_requested = True
            await self._client.subscribe(subscription.group)
            subscription.is_made = True
            if subscription.is_kept:
                self._made(subscription)
        elif not self._client.is_subscribed(subscription.group):
            # The layer was lost, and the subscription is made again: a member that joins must not miss what comes.
            await self._client.resubscribed(subscription.group)

    async def _give_back(self, subscription: _Subscription) -> None:
        try:
            if subscription.was_requested and self._client is not None:
                await self._client.unsubscribe(subscription.group)
        except asyncio.CancelledError:
            subscription.is_made = False  # the layer may have it; it is given back by the caller that was cancelled
            raise
        except Exception:
            self._forget(subscription)
            raise
        self._forget(subscription)

    def _forget(self, subscription: _Subscription) -> None:
        """The layer has no subscription any more."""
        subscription.is_made = subscription.was_requested = False
        # Who wants it again by now waits for the lock, and finds it still here.
        if not subscription.is_wanted and self._groups.get(subscription.group) is subscription:
            del self._groups[subscription.group]

    async def _close_if_idle(self) -> None:
        if self._groups or self._client is None:
            return
        self.resume()
        idle, self._client = self._client, None
        if self._refresher is not None:
            self._refresher.cancel()
            self._refresher = None
        await idle.close()

    # Tasks and retries

    def _settle_soon(self, subscription: _Subscription) -> None:
        if subscription.task is None:
            with contextlib.suppress(RuntimeError):  # the loop is gone, and the layer's connections with it
                subscription.task = self._tasks.start(self._settle_in_background(subscription))
                subscription.since = asyncio.get_running_loop().time()

    async def _settle_in_background(self, subscription: _Subscription) -> None:
        was_made, is_settled = subscription.is_made, False
        try:
            while not is_settled:
                await self._settle(subscription)
                # After this look nothing is awaited, so a change is either seen here or begins anew.
                is_settled = self._is_settled(subscription)
        except Exception as error:
            self._failed(subscription, error, was_made=was_made)
        finally:
            subscription.task = None

    @staticmethod
    def _is_settled(subscription: _Subscription) -> bool:
        if subscription.is_wanted:
            return subscription.is_made or not subscription.is_kept  # else the client that wants it asks for it
        return not subscription.was_requested

    def _made(self, subscription: _Subscription) -> None:
        if subscription.delays is not None:
            subscription.delays = None
            self._logger.log(self._retry_level, "Subscribed to %s again", self._what)
        if self._on_subscribed is not None:
            self._on_subscribed()

    def _failed(self, subscription: _Subscription, error: Exception, *, was_made: bool) -> None:
        if subscription.is_kept and subscription.is_wanted:
            self._retry_later(subscription, error)
        elif subscription.was_requested and not subscription.is_wanted:
            asyncio.get_running_loop().call_soon(self._settle_soon, subscription)
        elif isinstance(error, WebSocketConnectionError):
            # Of what was not made, somebody has got the error; what is kept is of the process, and no socket's.
            level = logging.WARNING if was_made and not subscription.is_kept else logging.DEBUG
            self._logger.log(level, "Could not unsubscribe from %s: %s", self._what, error)
        else:
            self._logger.error("Could not unsubscribe from %s", self._what, exc_info=error)

    def _retry_later(self, subscription: _Subscription, error: Exception) -> None:
        if subscription.delays is None:
            subscription.delays = delays(base=1.5)
            self._logger.log(
                self._retry_level,
                "Not subscribed to %s, which is retried: %s",
                self._what,
                error,
                exc_info=None if isinstance(error, WebSocketConnectionError) else error,
            )
        delay, loop = next(subscription.delays), asyncio.get_running_loop()
        subscription.timer = loop.call_later(delay, self._settle_soon, subscription)

    def _stop_retrying(self, subscription: _Subscription) -> None:
        if subscription.timer is not None:
            subscription.timer.cancel()
        subscription.timer = subscription.delays = None

    # Refreshing: layers that store groups forget members after a day, however alive they are

    def _refresh_later(self) -> None:
        seconds = self._client.refresh_seconds if self._client is not None else None
        if seconds is not None:
            self._refresher = asyncio.get_running_loop().call_later(seconds, self._refresh_soon)

    def _refresh_soon(self) -> None:
        self._tasks.start(self._refresh())
        self._refresh_later()

    async def _refresh(self) -> None:
        """Subscribe to everything again, one after the other."""
        for subscription in list(self._groups.values()):
            async with subscription.lock:
                if self._client is not None and subscription.is_made and subscription.is_wanted:
                    try:
                        await self._client.subscribe(subscription.group)
                    except Exception as error:
                        self._not_refreshed(subscription, error)

    def _not_refreshed(self, subscription: _Subscription, error: Exception) -> None:
        if subscription.is_kept:
            subscription.is_made = False
            self._retry_later(subscription, error)
        else:
            self._logger.warning("Could not refresh the subscription of %s: %s", self._what, error)
