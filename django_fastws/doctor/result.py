"""Result of one check of the doctor: its status, what was found, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

__all__ = ["CheckResult", "Status", "exit_status", "failed", "ok", "skipped", "summary", "warning"]

Status = Literal["ok", "warning", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """Result of one check.

    Attributes:
        check: what was looked at; several results may be of one check.
        status: "ok"; "warning" for what works, and may not for long; "failed"; "skipped" for what could not be looked
            at, or was not asked for.
        detail: what was found.
        hint: what to do; empty where there is nothing to be done.
    """

    check: str
    status: Status
    detail: str
    hint: str = ""

    def as_dict(self) -> dict[str, str]:
        """The result as ``--json`` has it."""
        return asdict(self)


def ok(check: str, detail: str) -> CheckResult:
    """What is as it should be."""
    return CheckResult(check, "ok", detail)


def warning(check: str, detail: str, hint: str) -> CheckResult:
    """What works, and may not for long."""
    return CheckResult(check, "warning", detail, hint)


def failed(check: str, detail: str, hint: str) -> CheckResult:
    """What does not work."""
    return CheckResult(check, "failed", detail, hint)


def skipped(check: str, detail: str, hint: str = "") -> CheckResult:
    """What could not be looked at, or was not asked for."""
    return CheckResult(check, "skipped", detail, hint)


def exit_status(results: Iterable[CheckResult]) -> int:
    """1 if a check has failed, else 0."""
    return int(any(result.status == "failed" for result in results))


def summary(results: Iterable[CheckResult]) -> str:
    """How many results have which status, in words.

    >>> summary([ok("layer", "it answers"), failed("clocks", "an hour apart", "run NTP")])
    '1 failed, 1 ok'
    """
    counts: dict[str, int] = dict.fromkeys(("failed", "warning", "skipped", "ok"), 0)
    for result in results:
        counts[result.status] += 1
    return ", ".join(f"{count} {status}" for status, count in counts.items() if count)
