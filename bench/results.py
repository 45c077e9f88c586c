"""What was measured, in a file: ``bench/results.json``."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["PUBLISHED", "QUICK_RESULTS", "Comparison", "comparisons", "merge", "read", "write"]

#: What the documentation shows.
PUBLISHED = Path(__file__).resolve().parent / "results.json"
#: What a short run leaves.
QUICK_RESULTS = PUBLISHED.with_name("results-quick.json")

Results = dict[str, Any]


@dataclass(frozen=True)
class Comparison:
    """The subject of a row against one of its peers.

    Attributes:
        row: of the results.
        subject: of the row's peers, as in the results.
        peer: against which it is compared; the subject itself in a row without peers.
        ratio: of their medians; None if one of them has none.
        target: as in the results; None if there is none.
    """

    row: dict[str, Any]
    subject: dict[str, Any]
    peer: dict[str, Any]
    ratio: float | None
    target: dict[str, Any] | None

    @property
    def is_met(self) -> bool | None:
        """Whether the target is reached; None if there is none, or nothing to compare."""
        if self.ratio is None or self.target is None:
            return None
        is_most: bool = self.target["is_most"]
        wanted: float = self.target["ratio"]
        return self.ratio <= wanted if is_most else self.ratio >= wanted


def comparisons(row: dict[str, Any]) -> Iterator[Comparison]:
    """The subject of a row against each of its peers, in the row's order."""
    by_name = {peer["name"]: peer for peer in row["peers"]}
    targets = {target["peer"]: target for target in row["targets"]}
    subject = by_name.pop(row["subject"], None)
    if subject is None:
        return
    for name, peer in by_name.items():
        ratio = subject["median"] / peer["median"] if subject.get("median") and peer.get("median") else None
        yield Comparison(row, subject, peer, ratio, targets.get(name))


def merge(before: Results | None, now: Results, order: Sequence[str]) -> Results:
    """Keep the rows of an earlier run that were not measured now, if all else was the same."""
    rows = {row["name"]: row for row in now["rows"]}
    if before and all(before.get(key) == now[key] for key in ("scale", "machine", "versions")):
        rows = {row["name"]: row for row in before["rows"]} | rows
    return now | {"rows": [rows[name] for name in order if name in rows]}


def today() -> str:
    """The date of a row."""
    return dt.datetime.now(dt.UTC).date().isoformat()


def read(path: Path = PUBLISHED) -> Results | None:
    """The results in a file; None if there is none."""
    if not path.exists():
        return None
    found: Results = json.loads(path.read_text("utf-8"))
    return found


def write(results: Results, path: Path) -> None:
    """Put results into a file."""
    path.write_text(json.dumps(_rounded(results), indent=1, ensure_ascii=False) + "\n", "utf-8")


def _rounded(value: Any) -> Any:
    """With five significant digits: more are noise, and differ in every line of a diff."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(item) for item in value]
    return value
