"""Examination: all checks of the doctor, one after the other, each with a deadline."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

from .guarded import results_of
from .layer_checks import LayerFindings, look_at_layer
from .machine import look_at_machine
from .outside import look_from_outside
from .process_checks import look_at_processes
from .project import look_at_checks, look_at_client_module, look_at_settings
from .result import CheckResult, skipped
from .room_checks import look_at_rooms

__all__ = ["examine"]

_CHECK_SECONDS = 30.0  # of one group of checks, beside the deadlines inside
_ROOMS_SECONDS, _OUTSIDE_SECONDS = 90.0, 120.0
_LATE = "See what it asks, such as the database or the layer, and whether that answers."


async def examine(
    report: Callable[[CheckResult], None], *, url: str | None = None, idle_seconds: float | None = None
) -> None:
    """Examine the installation.

    Args:
        report: is called with each result, as soon as it is there.
        url: at which it is looked at from outside; None does not.
        idle_seconds: how long a silent socket is watched there; None does not.
    """
    with _quiet():
        await _run("settings", look_at_settings, report)
        await _run("checks", look_at_checks, report)
        layer = await _layer(report)

        async def processes() -> Sequence[CheckResult]:
            if not layer.is_usable:
                away = "The channel layer cannot be used."
                return [skipped("processes", away), skipped("clocks", away)]
            return await look_at_processes(layer.clock_skew, is_shared=layer.is_shared)

        await _run("processes", processes, report)
        await _run("rooms", lambda: look_at_rooms(is_layer_usable=layer.is_usable), report, _ROOMS_SECONDS)
        await _run("client module", look_at_client_module, report)
        await _run("machine", look_at_machine, report)
        if url is None:
            report(
                skipped("outside", "No URL was given.", "Add --url wss://example.org/ws/live to look from outside.")
            )
            return

        async def outside() -> Sequence[CheckResult]:
            is_usable = layer.is_usable and layer.is_shared
            await look_from_outside(url, idle_seconds, is_layer_usable=is_usable, report=report)
            return []

        await _run("outside", outside, report, _OUTSIDE_SECONDS + (idle_seconds or 0.0))


async def _layer(report: Callable[[CheckResult], None]) -> LayerFindings:
    findings = LayerFindings([], is_usable=False, is_shared=False)

    async def look() -> Sequence[CheckResult]:
        nonlocal findings
        findings = await look_at_layer()
        return findings.results

    await _run("layer", look, report)
    return findings


async def _run(
    check: str,
    work: Callable[[], Awaitable[Sequence[CheckResult]]],
    report: Callable[[CheckResult], None],
    seconds: float = _CHECK_SECONDS,
) -> None:
    _silence()  # again, for what was looked at before may have set Django up, and the log with it: asgi.py does
    for result in await results_of(check, seconds, work, _LATE):
        report(result)


_SAID_BY_RESULTS = [logging.getLogger(name) for name in ("django_fastws", "asyncio", "httpx2", "websockets")]


def _silence() -> None:
    for one in _SAID_BY_RESULTS:
        one.setLevel(logging.CRITICAL + 1)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the package, and what it asks by, from logging what the results say."""
    former = [one.level for one in _SAID_BY_RESULTS]
    try:
        _silence()
        yield
    finally:
        for one, level in zip(_SAID_BY_RESULTS, former, strict=True):
            one.setLevel(level)
