"""A subscription to one group of the layer, kept for as long as somebody wants it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .._core.backoff import delays
from ..exceptions import WebSocketConnectionError
from ..layer import BrokerClient, get_broker

__all__ = ["Listener"]

logger = logging.getLogger("django_fastws.users")

_LONGEST_WAIT = 1.0  # seconds


class Listener:
    """Listens to one group while it is wanted; what fails is tried again. It belongs to one event loop.

    Args:
        group: of the layer; not a room's.
        deliver: is called with what is published; must not raise.
        begun: is called when it begins to listen, for what was published before and not heard; must not raise.
    """

    def __init__(
        self,
        group: str,
        deliver: Callable[[Mapping[str, Any]], None],
        begun: Callable[[], None] | None = None,
    ) -> None:
        self._group = group
        self._deliver = deliver
        self._begun = begun
        self._is_deaf = True  # other than _listens: not while a subscription is refreshed
        self._is_wanted = self._listens = False
        self._client: BrokerClient | None = None
        self._settling: asyncio.Task[None] | None = None
        self._since = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._delays: Iterator[float] | None = None  # while the layer is out of reach
        #: When somebody first noticed that the subscription was lost; None while it stands.
        self._deaf_since: float | None = None

    @property
    def listens(self) -> bool:
        """Whether all that is published is delivered."""
        is_heard = self._client is None or self._client.is_subscribed(
            self._group
        )  # else it was lost, and is made again
        return self._is_wanted and not self._is_deaf and is_heard

    def start(self) -> None:
        """It is wanted."""
        self._is_wanted = True
        if not self._listens and self._delays is None:
            self._settle_soon()

    def stop(self) -> None:
        """It is not wanted any more."""
        self._is_wanted = False
        self._settle_soon()

    async def wait(self) -> None:
        """Wait until it listens: a second at most, and not at all while the layer is known to be out of reach."""
        if self._settling is not None and self._delays is None:
            left = self._since + _LONGEST_WAIT - asyncio.get_running_loop().time()
            await asyncio.wait([self._settling], timeout=max(0.0, left))
        elif self._listens and self._client is not None:
            await self._wait_for_the_layer(self._client)

    async def _wait_for_the_layer(self, former: BrokerClient) -> None:
        """Wait while a subscription that was lost is made again: a second since the first noticed it."""
        if former.is_subscribed(self._group):
            self._deaf_since = None
            return
        now = asyncio.get_running_loop().time()
        self._deaf_since = now if self._deaf_since is None else self._deaf_since
        left = self._deaf_since + _LONGEST_WAIT - now
        if left > 0:
            with contextlib.suppress(TimeoutError, WebSocketConnectionError):
                async with asyncio.timeout(left):
                    await former.resubscribed(self._group)

    async def settled(self) -> None:
        """Wait until a subscription that is not wanted any more is given back."""
        while self._settling is not None:
            await asyncio.wait([self._settling])

    def _settle_soon(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._settling is None:
            loop = asyncio.get_running_loop()
            self._since = loop.time()
            self._settling = loop.create_task(self._settle())

    async def _settle(self) -> None:
        try:
            # After the last look nothing is waited for, so a start or stop is either seen here or begins anew.
            while self._is_wanted != self._listens or (self._client is not None and not self._is_wanted):
                await (self._subscribe() if self._is_wanted else self._unsubscribe())
        except Exception as error:
            self._failed(error)
        finally:
            self._settling = None

    async def _subscribe(self) -> None:
        if self._client is None:
            self._client = get_broker().client(self._deliver)
        await self._client.subscribe(self._group)
        self._listens = True
        if self._delays is not None:
            self._delays = None
            logger.warning("disconnect() is heard of again")
        if self._is_deaf:
            self._is_deaf = False
            if self._begun is not None:
                self._begun()
        self._refresh_later()

    async def _unsubscribe(self) -> None:
        former, self._client = self._client, None
        self._listens, self._is_deaf, self._delays = False, True, None
        if former is not None:
            try:
                await former.unsubscribe(self._group)
            except WebSocketConnectionError as error:  # the layer is away, and forgets by itself
                logger.debug("Could not unsubscribe: %s", error)
            await former.close()

    def _failed(self, error: Exception) -> None:
        self._is_deaf = True
        if self._delays is None:
            self._delays = delays(base=1.5)
            logger.warning(
                "disconnect() is not heard of here, and that is tried again: %s",
                error,
                exc_info=None if isinstance(error, WebSocketConnectionError) else error,
            )
        delay = next(self._delays) if self._is_wanted else 0
        self._timer = asyncio.get_running_loop().call_later(delay, self._settle_soon)

    def _refresh_later(self) -> None:
        seconds = self._client.refresh_seconds if self._client is not None else None
        if seconds is not None:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._refresh)

    def _refresh(self) -> None:
        """Layers that store groups forget members after a day, however alive they are: tell them again."""
        self._listens = False
        self._settle_soon()
