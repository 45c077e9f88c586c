"""How a handler's end gets to the test: the handler tells, the test asks, in whatever order."""

from __future__ import annotations

import asyncio
from typing import Any

_reports: dict[str, asyncio.Future[dict[str, Any]]] = {}


def _report(token: str) -> asyncio.Future[dict[str, Any]]:
    if token not in _reports:
        _reports[token] = asyncio.get_running_loop().create_future()
    return _reports[token]


def tell(token: str, **facts: Any) -> None:
    """Tell whoever asks for this token, once."""
    _report(token).set_result(facts)


async def told(token: str) -> dict[str, Any]:
    """Wait for what is told under this token."""
    return await asyncio.shield(_report(token))
