"""Django signals: what happens to the channel layer of a process.

Each is sent once for an outage, however many connections, rooms and threads notice it.

In the thread of an event loop, receivers are called soon after, by a task of that loop: a coroutine function is
awaited in the loop, and any other function runs in the thread of ``sync_to_async``, so it may use the ORM. In any
other thread, where a ``Room.broadcast()`` has found out, they are called there and then. An error of a receiver is
logged by Django, to ``django.dispatch``, and disturbs nobody.
"""

from __future__ import annotations

from django.dispatch import Signal

__all__ = ["layer_lost", "layer_restored"]

#: The channel layer cannot be reached. Arguments: ``sender``, the layer's class, and ``error``, the exception.
layer_lost = Signal()

#: It can again, and every room is subscribed to. Arguments: ``sender``; ``error``, which began the outage; and
#: ``seconds``, how long it took.
layer_restored = Signal()
