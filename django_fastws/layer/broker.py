"""What a hub subscribes through, whatever the channel layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping

__all__ = ["Deliver", "Envelope", "Link"]

#: What crosses for one broadcast. Receivers ignore keys that they do not know.
Envelope = Mapping[str, str | bytes]
Deliver = Callable[[Envelope], None]


class Link:
    """What a hub subscribes through. It belongs to the event loop that made it.

    Args:
        deliver: called in that loop with every envelope of the groups subscribed to; must not raise.
    """

    #: Groups must be subscribed to again after so many seconds; None if never.
    refresh_seconds: float | None = None

    def __init__(self, deliver: Deliver) -> None:
        self.deliver = deliver

    async def subscribe(self, group: str) -> None:
        """Subscribe; returns when nothing that is published from now on is missed.

        Raises:
            WebSocketConnectionError: the layer cannot be reached.
        """
        raise NotImplementedError

    async def unsubscribe(self, group: str) -> None:
        """Unsubscribe.

        Raises:
            WebSocketConnectionError: the layer cannot be reached.
        """
        raise NotImplementedError

    def is_subscribed(self, group: str) -> bool:
        """Whether the layer still has a subscription, as far as that is known: it may have been lost with Redis."""
        return True

    async def resubscribed(self, group: str) -> None:
        """Wait until a subscription that was lost is made again.

        Raises:
            WebSocketConnectionError: that takes too long. It is made later all the same.
        """

    def hold(self) -> None:
        """Deliver nothing more for now: the hub has more than enough to send. What comes waits, or is dropped."""

    def resume(self) -> None:
        """Deliver again, after ``hold()``."""

    async def close(self) -> None:
        """Give back what the link holds, after its last group."""
