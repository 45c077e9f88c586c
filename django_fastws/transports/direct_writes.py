"""Writing to the descriptor of a socket directly, past the loop's transport, as long as that holds nothing.

The order is kept by watching: whatever the server does with the transport meanwhile ends it first.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from types import MethodType
from typing import Any, cast

__all__ = ["Watched", "direct_write"]

#: The transports whose ``write()`` hands all of it to the system at once, or else holds it, and which call
#: ``connection_lost()`` of their protocol before they close the descriptor. None has TLS.
_KNOWN = {
    ("asyncio.selector_events", "_SelectorSocketTransport"),
    ("uvloop.loop", "TCPTransport"),
    ("uvloop.loop", "UnixTransport"),
}


def direct_write(tcp: Any) -> Callable[[bytes], int] | None:
    """What writes to the descriptor of a transport without waiting, as ``os.write`` does.

    None where the transport is not known, or has no descriptor that can be written to so. It must not be called any
    more once ``connection_lost()`` of its protocol was: the descriptor may be that of something else then.
    """
    kind = type(tcp)
    if os.name != "posix" or (kind.__module__, kind.__name__) not in _KNOWN:
        return None
    sock = tcp.get_extra_info("socket")
    number = -1 if sock is None else sock.fileno()
    # A bound method costs less than a partial, in time and in memory.
    return None if number < 0 else cast("Callable[[bytes], int]", MethodType(os.write, number))


class Watched:
    """A transport, as the server's protocol has it while its socket is written to directly.

    To ask it for anything calls ``end``, which takes the watch off the protocol, and gives what the transport has.
    """

    __slots__ = ("_end", "_transport")

    def __init__(self, transport: Any, end: Callable[[], None]) -> None:
        self._transport = transport
        self._end = end

    def __getattr__(self, name: str) -> Any:
        self._end()
        return getattr(self._transport, name)
