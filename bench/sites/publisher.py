"""Sync code that broadcasts, as a task or a script would: it reads how many messages to send, and says when it has.

python -m bench.sites.publisher ours|channels_peer
"""

import sys
from collections.abc import Callable

import django
from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer

from bench.messages import MESSAGE, ROOM
from django_fastws import Room


def ours() -> None:
    """One broadcast."""
    Room(ROOM).broadcast(MESSAGE)


def channels_peer() -> None:
    """The same through Channels, as its documentation does."""
    layer = get_channel_layer()
    async_to_sync(layer.group_send)(ROOM, {"type": "room.message", "content": MESSAGE})


PUBLISHERS: dict[str, Callable[[], None]] = {"ours": ours, "channels_peer": channels_peer}


def main() -> None:
    """Broadcast as often as is asked for, until nobody asks any more."""
    django.setup()
    publish = PUBLISHERS[sys.argv[1]]
    print("ready", flush=True)
    for line in sys.stdin:
        for _ in range(int(line)):
            publish()
        print("done", flush=True)


if __name__ == "__main__":
    main()
