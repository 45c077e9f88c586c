"""Django signals: what happens to the channel layer of a process, and who joins and leaves rooms with presence.

Those of the layer are sent in each process, once for an outage, however many connections, rooms and threads notice
it.
Those of presence are sent in one process of the whole cluster, whichever has found out.

In the thread of an event loop, receivers are called soon after, in order, by a task of that loop: a coroutine
function is awaited in the loop, and any other function runs in the thread of ``sync_to_async``, so it may use the
ORM. A receiver is waited for before the next one of these signals is sent; what is slow is a task of its own.
In any other thread, such as that of a ``Room.broadcast()`` that has found out, they are called there and then.
An error of a receiver is logged by Django, to ``django.dispatch``, and disturbs nobody.
"""

from __future__ import annotations

from django.dispatch import Signal

__all__ = ["layer_lost", "layer_restored", "presence_joined", "presence_left"]

#: The channel layer cannot be reached. Arguments: ``sender``, the layer's class, and ``error``, the exception.
layer_lost = Signal()

#: It can again, and every room is subscribed to. Arguments: ``sender``; ``error``, which began the outage; and
#: ``seconds``, how long it took.
layer_restored = Signal()

#: Somebody is present in a room who was not before. Arguments: ``sender``, which is ``Present``; ``room``, its name;
#: ``key``, the user's primary key as a str, or an anonymous client's id; and ``meta``, the card.
presence_joined = Signal()

#: Somebody is not present in a room any more: the last connection has ended, in all processes, and the grace is over.
#: Arguments as of ``presence_joined``; ``meta`` is the last card. A process that dies between the change and the
#: signal has not sent it.
presence_left = Signal()
