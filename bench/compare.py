"""Two results side by side: what a change has made better or worse, and what is no more than the usual scatter."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .report import figure
from .row import DETAILS

__all__ = ["Change", "changes", "comparison_lines"]


@dataclass(frozen=True)
class Change:
    """One figure in both results.

    Attributes:
        row: of the newer results.
        peer: its name.
        detail: p50, p99, cpu or pause; empty for the figure of the row itself.
        before: the median of the older results, in between their least and most.
        after: those of the newer ones.
        less_is_better: whether a small figure is a good one.
    """

    row: dict[str, Any]
    peer: str
    detail: str
    before: dict[str, float]
    after: dict[str, float]
    less_is_better: bool

    @property
    def ratio(self) -> float:
        """Of the medians: the newer to the older."""
        return self.after["median"] / self.before["median"] if self.before["median"] else math.nan

    @property
    def is_clear(self) -> bool:
        """Whether all rounds of the one are above all rounds of the other.

        Of two times five rounds of the same thing, that happens in one of 126 cases. Rounds that are fewer than three
        say nothing: it is never clear with them.
        """
        rounds = min(self.before["rounds"], self.after["rounds"])
        apart = self.after["least"] > self.before["most"] or self.after["most"] < self.before["least"]
        return rounds >= 3 and apart

    @property
    def is_better(self) -> bool:
        """Whether the newer figure is the better one, however little."""
        return (self.ratio < 1) == self.less_is_better


def changes(before: dict[str, Any], after: dict[str, Any]) -> Iterator[Change]:
    """All figures that both results have, in the order of the newer ones."""
    older = {row["name"]: row for row in before["rows"]}
    for row in after["rows"]:
        old = {peer["name"]: peer for peer in older.get(row["name"], {"peers": []})["peers"]}
        for peer in row["peers"]:
            then = old.get(peer["name"], {})
            if "median" in then and "median" in peer:
                both = (_figures(figures, len(figures["samples"])) for figures in (then, peer))
                yield Change(row, peer["name"], "", *both, row["less_is_better"])
                for detail in DETAILS:
                    if detail in then and detail in peer:
                        both = (_figures(figures[detail], len(figures["samples"])) for figures in (then, peer))
                        yield Change(row, peer["name"], detail, *both, less_is_better=True)


def _figures(found: dict[str, Any], rounds: int) -> dict[str, float]:
    return {key: found[key] for key in ("median", "least", "most")} | {"rounds": rounds}


def comparison_lines(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    """The table for a terminal, and in the end what is larger than the scatter."""
    if before["machine"] != after["machine"] or before["scale"] != after["scale"]:
        yield "not of the same machine, or not of the same sizes: only ratios between peers may be compared"
    for name, number in after["versions"].items():
        if (then := before["versions"].get(name)) != number:
            yield f"{name} {then or 'was not there'}, now {number}"
    clear: list[str] = []
    last = ""
    for change in changes(before, after):
        if (name := change.row["name"]) != last:
            yield f"{name}: {change.row['work']} ({change.row['unit']})"
            last = name
        verdict = _verdict(change)
        who = f"{change.peer} {change.detail}".rstrip()
        figures = "".join(f" {_told(change, found):>32}" for found in (change.before, change.after))
        yield f"  {who:34}{figures} {change.ratio:7.3f} × {verdict}"
        if change.is_clear:
            clear.append(f"  {name}, {who}: {change.ratio:.3g} × ({verdict})")
    missing = {row["name"] for row in before["rows"]} ^ {row["name"] for row in after["rows"]}
    if missing:
        yield f"in one of the two only: {', '.join(sorted(missing))}"
    yield "larger than the scatter:" if clear else "nothing is larger than the scatter"
    yield from clear


def _verdict(change: Change) -> str:
    if not change.is_clear:
        return "within the scatter"
    return "better" if change.is_better else "worse"


def _told(change: Change, figures: dict[str, float]) -> str:
    row = change.row | {"digits": 2} if change.detail else change.row
    return f"{figure(figures['median'], row)} ({figure(figures['least'], row)} to {figure(figures['most'], row)})"
