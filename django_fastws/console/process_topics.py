"""What a process answers about itself, for the console, and how it is told to drain."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

from .. import metrics
from ..processes import InvalidQuestion, Responder, process_facts, topics
from ..rooms import current_hub
from ..users import count_users
from ..websocket import current_sockets
from .route_topics import outbound_routes
from .slicing import one_at_a_time, sliced

__all__ = ["DRAIN_TOPIC", "FACTS_TOPIC"]

FACTS_TOPIC = "console.process"
DRAIN_TOPIC = "console.drain"

_DRAIN_DELAY = 0.1
_NAPS, _NAP_SECONDS = 3, 0.005  # over which it is seen by how much the loop is late
_COUNTED = (
    metrics.received_messages,
    metrics.received_bytes,
    metrics.sent_messages,
    metrics.sent_bytes,
    metrics.broadcasts,
    metrics.deliveries,
    metrics.delivered_bytes,
    metrics.dropped_messages,
    metrics.handshakes,
    metrics.denials,
    metrics.closes,
    metrics.joins,
    metrics.calls,
)


async def console_facts(responder: Responder, arguments: Any = None) -> dict[str, Any]:
    """What a process tells of itself; the fields of ``ProcessRow``, but for the lag of the answer."""
    facts, delay = process_facts(responder), await _loop_delay()
    by_route: Counter[str] = Counter()
    async with one_at_a_time():
        names = {room.name async for room in sliced(current_hub().local_rooms())}
        async for ws in sliced(current_sockets().all()):
            by_route[ws.route] += 1
    return {
        "name": responder.name,
        "kind": facts["kind"],
        "host": facts["host"],
        "pid": facts["pid"],
        "started": facts["started"],
        "is_draining": facts["draining"],
        "can_drain": responder.drain is not None,
        "sockets": by_route.total(),
        "users": count_users(),
        "rooms": len(names),
        "routes": sum(len(one.rows()) for find in outbound_routes for one in find()),
        "memory_bytes": _memory_bytes(),
        "cpu_seconds": time.process_time(),
        "loop_delay": delay,
        "descriptors_open": facts["descriptors"]["open"],
        "descriptors_limit": facts["descriptors"]["limit"],
        "threads_busy": int(metrics.threads_busy.total),
        "versions": facts["versions"],
        "sockets_by_route": dict(by_route),
        "counters": {metric.name: metric.total for metric in _COUNTED},
    }


async def _loop_delay() -> float:
    """By how many seconds the loop is late for what it has to do now; the worst of a few looks."""
    worst = 0.0
    for _ in range(_NAPS):
        began = time.perf_counter()
        await asyncio.sleep(_NAP_SECONDS)
        worst = max(worst, time.perf_counter() - began - _NAP_SECONDS)
    return worst


def _memory_bytes() -> int | None:
    """Resident memory; None where the system does not tell (Linux does)."""
    with contextlib.suppress(OSError, ValueError, IndexError, AttributeError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return None


def drain_here(responder: Responder, arguments: Any) -> dict[str, int]:
    """Begin the graceful shutdown, if this is the process that is meant."""
    if not isinstance(arguments, dict) or arguments.get("process") != responder.name:
        return {"done": 0}
    if responder.drain is None:
        raise InvalidQuestion("this server stops by its own means only: runws_server can be drained from here")
    # The answer first: the drain gives the subscriptions back.
    asyncio.get_running_loop().call_later(_DRAIN_DELAY, responder.drain)
    return {"done": 1}


topics[FACTS_TOPIC] = console_facts
topics[DRAIN_TOPIC] = drain_here
