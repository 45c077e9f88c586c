"""Health checks: ``/healthz`` (liveness of the process) and ``/readyz`` (readiness for connections)."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from typing import Any

from ..conf import conf
from ..layer import first_problem, layer_problem
from ..types import ASGIApp, Receive, Scope, Send

__all__ = ["Health"]

logger = logging.getLogger("django_fastws.server")

_FRESH_SECONDS = 1.0  # for which an answer holds, however often it is asked for


class Health:
    """Health checks, answered before Django is asked.

    Args:
        is_draining: whether the server is about to stop.
    """

    def __init__(self, is_draining: Callable[[], bool]) -> None:
        self._is_draining = is_draining
        self._probe: asyncio.Task[str | None] | None = None
        self._probed_at = float("-inf")

    def application(self, scope: Scope) -> ASGIApp | None:
        """The application that answers a health check, or None if a request is none."""
        if scope["type"] != "http":
            return None
        path = scope["path"]
        if path == conf.health_path:
            return self._alive
        return self._ready if path == conf.ready_path else None

    async def _alive(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _answer(scope, send, 200, {"status": "alive"})

    async def _ready(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._is_draining():
            await _answer(scope, send, 503, {"status": "draining"})
        elif await self._layer_problem() is not None:
            # What the problem is may name a host, and is in the log.
            await _answer(scope, send, 503, {"status": "unavailable", "reason": "the channel layer is unreachable"})
        else:
            await _answer(scope, send, 200, {"status": "ready"})

    async def _layer_problem(self) -> str | None:
        probe = self._probe
        if probe is None or (probe.done() and time.monotonic() - self._probed_at > _FRESH_SECONDS):
            probe = self._probe = asyncio.get_running_loop().create_task(self._probe_layer())
        return await first_problem(probe)

    async def _probe_layer(self) -> str | None:
        try:
            return await layer_problem()
        except Exception as error:  # of a layer that is configured wrongly
            logger.exception("The channel layer could not be probed")
            return str(error)
        finally:
            self._probed_at = time.monotonic()


async def _answer(scope: Scope, send: Send, status: int, facts: dict[str, Any]) -> None:
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    if scope["method"] not in ("GET", "HEAD"):
        status, facts = 405, {"status": "method not allowed"}
        headers.append((b"allow", b"GET, HEAD"))
    body = json.dumps(facts).encode() + b"\n"
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
