"""Reading who is present, in a room or anywhere; processes that are found dead by that are buried first."""

from __future__ import annotations

from datetime import UTC, datetime

from .._core.json import loads
from .._core.presence_reports import PresenceSnapshot
from .._core.present import Present
from ..exceptions import PresenceUnavailable
from ..layer import PresenceStore, get_broker
from .presence_signals import tell

__all__ = ["aread_living", "aread_presence", "people", "presence_store", "read_living", "read_presence"]


def presence_store() -> PresenceStore:
    """The presence store of the channel layer.

    Raises:
        PresenceUnavailable: the layer has none.
    """
    store = get_broker().presence
    if store is None:
        raise PresenceUnavailable(
            "the channel layer keeps nothing of who is present: set CHANNEL_LAYERS to "
            "django_fastws.layer.RedisChannelLayer, or to none"
        )
    return store


async def aread_presence(room: str, *, counts_only: bool = False) -> PresenceSnapshot:
    """Who is present in a room, by its name.

    Raises:
        PresenceUnavailable: the layer has no presence.
        WebSocketConnectionError: the layer cannot be reached.
    """
    store = presence_store()
    snapshot = await store.aread(room, counts_only=counts_only)
    if snapshot.dead:
        for process in snapshot.dead:
            async for name, diff in store.abury(process):
                tell(name, diff)
        snapshot = await store.aread(room, counts_only=counts_only)
    return snapshot


def read_presence(room: str, *, counts_only: bool = False) -> PresenceSnapshot:
    """As ``aread_presence``, in a thread without an event loop."""
    store = presence_store()
    snapshot = store.read(room, counts_only=counts_only)
    if snapshot.dead:
        for process in snapshot.dead:
            for name, diff in store.bury(process):
                tell(name, diff)
        snapshot = store.read(room, counts_only=counts_only)
    return snapshot


async def aread_living(room: str, *, counts_only: bool = False) -> PresenceSnapshot:
    """As ``aread_presence``, for whoever asks from outside: without those of processes that nobody can bury now.

    Nobody buries where no process lives, for after a long outage all look dead until they have renewed their leases.
    """
    snapshot = await aread_presence(room, counts_only=counts_only)
    if snapshot.dead:
        snapshot = await presence_store().aread(room, without=snapshot.dead)
    return snapshot


def read_living(room: str, *, counts_only: bool = False) -> PresenceSnapshot:
    """As ``aread_living``, in a thread without an event loop."""
    snapshot = read_presence(room, counts_only=counts_only)
    if snapshot.dead:
        snapshot = presence_store().read(room, without=snapshot.dead)
    return snapshot


def people(snapshot: PresenceSnapshot) -> list[Present]:
    """Who is present, by a snapshot; who came first is first."""
    found = [
        Present(key, loads(one.meta), one.connections, datetime.fromtimestamp(one.since, UTC))
        for key, one in snapshot.keys.items()
    ]
    return sorted(found, key=lambda present: (present.since, present.key))
