"""Probe of the channel layer, at the start of a server and for its readiness check."""

from __future__ import annotations

import asyncio
import logging
import time

from ..exceptions import WebSocketConnectionError
from .default import check_layer, layer_status

__all__ = ["announce_layer", "first_problem", "layer_problem"]

logger = logging.getLogger("django_fastws.layer")

_PROBE_SECONDS = 2.0  # for the layer to answer
_POLL_SECONDS = 0.1  # between two looks at whether it is known to be lost
_LONGEST_PAUSE = 2.0  # seconds between two attempts to reach it


async def layer_problem() -> str | None:
    """Reason why the channel layer cannot be reached, in a few words; None if it can, or is in this process."""
    try:
        await check_layer(_PROBE_SECONDS)
    except WebSocketConnectionError as error:
        return layer_status().error or str(error)
    return None


async def first_problem(probe: asyncio.Task[str | None]) -> str | None:
    """Result of a task that asks for the ``layer_problem()``, as soon as it is known. The task goes on."""
    while not probe.done():
        if (problem := _known_problem()) is not None:
            return problem
        await asyncio.wait({probe}, timeout=_POLL_SECONDS)
    return probe.result()


def _known_problem() -> str | None:
    try:
        status = layer_status()
    except Exception:  # of a layer that is configured wrongly, of which the probe will tell
        return None
    return None if status.is_reachable else status.error or "it was lost"


async def announce_layer() -> None:
    """Say loudly if the channel layer cannot be reached at start, and when it can."""
    probe = asyncio.get_running_loop().create_task(layer_problem())
    started, problem = time.monotonic(), await first_problem(probe)
    if problem is None:
        return
    tells_by_itself = not layer_status().is_reachable
    logger.error(
        "The channel layer cannot be reached, and rooms do not work: %s. "
        "Start it, or correct CHANNEL_LAYERS. Trying again.",
        problem.rstrip("."),
    )
    pause = 0.1
    while problem is not None:
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
        problem = await layer_problem()
    if not tells_by_itself:
        logger.warning("The channel layer can be reached, after %.1f seconds", time.monotonic() - started)
