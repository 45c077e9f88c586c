"""What is inside a hub, and in no metric: a room that nobody is in, or bytes that are never given back.

Nobody sees either until the process is full of them, so that a test which wants none has to look. All look here.
"""

from __future__ import annotations

from typing import NamedTuple

from django_fastws.rooms.hub import Hub, current_hub

__all__ = ["EMPTY", "HubState", "hub_state"]


class HubState(NamedTuple):
    """A hub at one moment.

    Attributes:
        rooms: how many members of either kind each room has, by its group.
        is_open: whether it uses the layer.
        tasks: how many go on in the background.
        due: how many rooms have something to send, in the next turn of the loop or after their pause.
        waiting: how many broadcasts, and how many bytes, the scheduler counts that it has not taken up.
        waiting_in_rooms: the same as the rooms count it.
    """

    rooms: dict[str, int]
    is_open: bool
    tasks: int
    due: int
    waiting: tuple[int, int]
    waiting_in_rooms: tuple[int, int]


#: A hub that nobody uses.
EMPTY = HubState({}, is_open=False, tasks=0, due=0, waiting=(0, 0), waiting_in_rooms=(0, 0))


def hub_state(hub: Hub | None = None) -> HubState:
    """What is inside a hub; that of the running loop if none is named."""
    hub = hub or current_hub()
    rooms, scheduler, subscriptions = hub._rooms, hub._scheduler, hub._subscriptions
    kinds = (rooms, hub._event_rooms)
    return HubState(
        {group: sum(len(kind[group].members) for kind in kinds if group in kind) for group in {*kinds[0], *kinds[1]}},
        subscriptions.is_open,
        len(subscriptions._tasks),
        len({*scheduler._due, *(room for room in rooms.values() if room.is_due)}),
        (scheduler._count, scheduler._bytes),
        (sum(len(room.arrived) for room in rooms.values()), sum(room.bytes for room in rooms.values())),
    )
