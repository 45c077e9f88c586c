"""Checks of all processes that serve on the layer: the way there and back, versions, clocks, file descriptors."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..conf import conf
from ..exceptions import WebSocketConnectionError
from ..processes import PROCESS_TOPIC, Survey, ask_processes
from .guarded import sentence
from .machine import judge_descriptors
from .result import CheckResult, failed, ok, skipped, warning

__all__ = ["SeenProcess", "judge_clocks", "judge_processes", "look_at_processes", "seen_processes"]

_ASK_SECONDS = 2.0
_TIMES = 3  # that each is asked: the quickest answer tells most of its clock
_SLOW_SECONDS = 0.25
_SKEW_WARNING, _SKEW_FAILED = 1.0, 30.0  # seconds

_NTP = "Synchronize the clocks: run chrony or systemd-timesyncd, and see timedatectl."
_RESTART = "See its log; restart it if it does not come back."


@dataclass(frozen=True, slots=True)
class SeenProcess:
    """What a process has answered.

    Attributes:
        name: of the process.
        facts: as it tells them; empty where it has failed to.
        error: why it has.
        round_trip: seconds of its quickest answer.
        skew: how far its clock is ahead of the one here, in seconds, give or take half of the round trip; None where
            that is not known.
    """

    name: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""
    round_trip: float = 0.0
    skew: float | None = None

    @property
    def shown(self) -> str:
        """Its name for people: what it is, on which host, under which process id."""
        if not self.facts:
            return self.name
        return f"{self.facts.get('kind')} {self.facts.get('host')}:{self.facts.get('pid')}"


async def look_at_processes(layer_skew: float | None, *, is_shared: bool) -> Sequence[CheckResult]:
    """Ask all processes how they are.

    Args:
        layer_skew: how far the clock of the layer's Redis is ahead of the one here.
        is_shared: whether the layer reaches other processes.
    """
    if not is_shared:
        results = [skipped("processes", "The layer ends at this process, and reaches no other.")]
        return [*results, skipped("clocks", "There is no other process to compare with.")]
    seen: dict[str, SeenProcess] = {}
    missing, error, is_counted = 0, "", True
    for _ in range(_TIMES):
        try:
            survey = await ask_processes(PROCESS_TOPIC, seconds=_ASK_SECONDS)
        except WebSocketConnectionError as caught:
            error = sentence(caught)
            break
        missing, is_counted = survey.missing, survey.expected is not None
        for process in seen_processes(survey):
            former = seen.get(process.name)
            if former is None or process.round_trip < former.round_trip:
                seen[process.name] = process
        if not is_counted:
            break  # each time takes the whole of the deadline
        if survey.is_partial:
            await asyncio.sleep(0.2)  # one that has just started, or stopped, is no fault
    if error:
        return [failed("processes", error, "See the result of the layer.")]
    found = list(seen.values())
    return [*judge_processes(found, missing, is_counted=is_counted), judge_clocks(found, layer_skew)]


def seen_processes(survey: Survey) -> list[SeenProcess]:
    """What each process has answered."""
    found = []
    for answer in survey.answers.values():
        facts = answer.data if isinstance(answer.data, Mapping) else {}
        process = SeenProcess(answer.process, facts, answer.error, answer.seconds)
        told = facts.get("time")
        if isinstance(told, (int, float)):
            # It has looked at its clock somewhere on the way, about half of that before the answer came.
            process = replace(process, skew=told - (answer.at - answer.seconds / 2))
        found.append(process)
    return found


def judge_processes(found: Sequence[SeenProcess], missing: int, *, is_counted: bool = True) -> list[CheckResult]:
    """Whether all have answered, each with its lag; what they say of themselves; and whether they are one release.

    Args:
        missing: how many are known not to have answered.
        is_counted: whether the layer tells how many there are.
    """
    check = "processes"
    if not found and not missing:
        return [
            warning(
                check,
                "No process that serves has answered.",
                "Start the servers; if they run, see that CHANNEL_LAYERS, its prefix and the release are the same.",
            )
        ]
    results = [_answered(check, len(found), missing, is_counted=is_counted)]
    for process in sorted(found, key=lambda process: process.shown):
        results.append(_lag(process))
        facts = process.facts.get("descriptors")
        if isinstance(facts, Mapping):
            judged = judge_descriptors(
                "descriptors", process.shown, facts.get("open"), facts.get("limit"), conf.max_connections
            )
            results.append(judged)
    versions = _versions(found)
    return [*results, *([versions] if versions else [])]


def _answered(check: str, count: int, missing: int, *, is_counted: bool) -> CheckResult:
    if missing:
        return failed(
            check,
            f"Partial: {count} of {count + missing} processes have answered within {_ASK_SECONDS:g} seconds; "
            f"{missing} {'has' if missing == 1 else 'have'} not.",
            "One that is stopped, or whose event loop is blocked, does not answer: see which is missing below. One "
            "whose machine has died counts until Redis notices that (tcp-keepalive).",
        )
    detail = f"{count} {'process has' if count == 1 else 'processes have'} answered"
    if not is_counted:
        return ok(check, f"{detail} within {_ASK_SECONDS:g} seconds; this layer does not tell how many there are.")
    return ok(check, f"{detail}, which is all of them.")


def _lag(process: SeenProcess) -> CheckResult:
    check = "lag"
    if process.error:
        return failed(check, f"{process.shown} has failed to answer: {process.error}", _RESTART)
    version = process.facts.get("versions", {}).get("django_fastws", "?")
    detail = f"{process.shown}, {version}: there and back in {1000 * process.round_trip:.1f} ms, a lag of about "
    detail += f"{500 * process.round_trip:.1f} ms."
    if process.facts.get("draining"):
        detail += " It drains."
    if process.round_trip > _SLOW_SECONDS:
        return warning(check, detail, "Its event loop is busy or blocked, or the layer is far away.")
    return ok(check, detail)


def _versions(found: Sequence[SeenProcess]) -> CheckResult | None:
    releases: dict[str, list[str]] = {}
    for process in found:
        versions = process.facts.get("versions")
        if isinstance(versions, Mapping):
            shown = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
            releases.setdefault(shown, []).append(process.shown)
    if not releases:
        return None
    if len(releases) == 1:
        return ok("versions", f"{next(iter(releases))} everywhere.")
    detail = "; ".join(f"{', '.join(names)}: {shown}" for shown, names in releases.items())
    return warning("versions", f"{detail}.", "If no deploy is under way, restart those of the older release.")


def judge_clocks(found: Sequence[SeenProcess], layer_skew: float | None) -> CheckResult:
    """Whether the clocks of all processes, of the layer and of this machine agree."""
    check = "clocks"
    skews = {process.shown: process.skew for process in found if process.skew is not None}
    if layer_skew is not None:
        skews["the layer"] = layer_skew
    if not skews:
        return skipped(check, "There is no other clock to compare with.")
    name, worst = max(skews.items(), key=lambda item: abs(item[1]))
    most = max(skews.values()) - min(skews.values()) if len(skews) > 1 else 0.0
    spread = max(abs(worst), most)
    if spread < _SKEW_WARNING:
        return ok(check, f"{len(skews) + 1} clocks agree within {_shown(spread)}.")
    detail = f"The clock of {name} is {_shown(abs(worst))} {'ahead of' if worst > 0 else 'behind'} the one here."
    judge = failed if spread >= _SKEW_FAILED else warning
    return judge(check, detail, _NTP)


def _shown(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms" if seconds < 1 else f"{seconds:.1f} seconds"
