"""Statistics for people: the metrics of one or several processes as a text, with rates between two readings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .instruments import Histogram, HistogramValue, Labels, Metric

__all__ = ["Readings", "added", "readings_of", "stats_text"]

Readings = dict[str, dict[Labels, Any]]
"""What was read, by the name of the metric and the values of its labels: a number, or a ``HistogramValue``."""

_MOST_LINES = 15  # of one metric
_UNITS = {"seconds": "s", "bytes": "B"}


def readings_of(metrics: Iterable[Metric]) -> dict[str, list[list[Any]]]:
    """What metrics have counted until now, as JSON can hold it: by name, labels and numbers."""
    found: dict[str, list[list[Any]]] = {}
    for metric in metrics:
        values: Mapping[Labels, Any] = metric.values  # type: ignore[attr-defined]  # each kind has its own
        if values:
            found[metric.name] = [[list(labels), _as_json(value)] for labels, value in values.items()]
    return found


def _as_json(value: Any) -> Any:
    return [value.counts, value.sum] if isinstance(value, HistogramValue) else value


def added(every: Iterable[Mapping[str, Any]]) -> Readings:
    """The readings of several processes, added up; what another version counts otherwise is left out.

    Args:
        every: as ``readings_of()`` makes them.
    """
    found: Readings = {}
    for readings in every:
        for name, rows in readings.items():
            mine = found.setdefault(name, {})
            for labels, value in rows:
                key = tuple(labels)
                if not isinstance(value, list):
                    mine[key] = mine.get(key, 0) + value
                    continue
                counts, total = value
                before = mine.get(key)
                if before is None:
                    mine[key] = HistogramValue(list(counts), total)
                elif len(before.counts) == len(counts):
                    before.counts = [one + other for one, other in zip(before.counts, counts, strict=True)]
                    before.sum += total
    return found


def stats_text(metrics: Iterable[Metric], now: Readings, before: Readings | None = None, seconds: float = 0.0) -> str:
    """A text of what there is, one line for each metric and value of its labels; the largest first.

    Args:
        metrics: what can be in the readings.
        before: an earlier reading: then counters and histograms show what has come since, in a second.
        seconds: since that.
    """
    lines: list[tuple[str, str]] = []
    for metric in metrics:
        values = now.get(metric.name, {})
        rows = [
            row for row in (_row(metric, labels, values, before, seconds) for labels in values) if row is not None
        ]
        rows.sort(key=lambda row: (-row[0], row[1]))
        lines += [(name, text) for _, name, text in rows[:_MOST_LINES]]
        if len(rows) > _MOST_LINES:
            lines.append((f"{metric.name}{{…}}", f"and {len(rows) - _MOST_LINES} more"))
    width = max((len(name) for name, _ in lines), default=0)
    return "\n".join(f"{name.ljust(width)}  {text}" for name, text in lines)


def _row(
    metric: Metric, labels: Labels, values: Mapping[Labels, Any], before: Readings | None, seconds: float
) -> tuple[float, str, str] | None:
    """How large it is, what is shown in front, and the text; None for what is nothing."""
    value = values[labels]
    shown = ", ".join(f"{name}={label or '-'}" for name, label in zip(metric.labels, labels, strict=False))
    name = f"{metric.name}{{{shown}}}" if shown else metric.name
    earlier = None if before is None else before.get(metric.name, {}).get(labels)
    if isinstance(metric, Histogram):
        since = _since(value, earlier)
        count = since.count
        if not count:
            return None
        rate = f", {count / seconds:,.1f}/s" if before is not None and seconds > 0 else ""
        middle, late = (_quantile(metric.bounds, since.counts, part) for part in (0.5, 0.99))
        mean = _rounded(since.sum / count)
        return count, name, f"{count:,}{rate}; mean {mean} s, half {middle}, 99 % {late}"
    unit = _UNITS.get(metric.unit, "")
    text = f"{_number(value)}{' ' + unit if unit else ''}"
    if metric.kind == "counter" and before is not None and seconds > 0:
        text += f", {(value - (earlier or 0)) / seconds:,.1f}/s"
    return None if not value and metric.kind == "counter" else (value, name, text)


def _since(value: HistogramValue, earlier: HistogramValue | None) -> HistogramValue:
    if earlier is None or len(earlier.counts) != len(value.counts) or earlier.count > value.count:
        return value
    counts = [now - before for now, before in zip(value.counts, earlier.counts, strict=True)]
    return HistogramValue(counts, value.sum - earlier.sum)


def _quantile(bounds: Sequence[float], counts: Sequence[int], part: float) -> str:
    """The bound of the bucket that has this part of the observations and all that are shorter."""
    wanted, seen = part * sum(counts), 0
    for bound, count in zip(bounds, counts, strict=False):
        seen += count
        if seen >= wanted:
            return f"up to {bound:g} s"
    return f"over {bounds[-1]:g} s"


def _number(value: float) -> str:
    return f"{int(value):,}" if value == int(value) else f"{value:,.1f}"


def _rounded(seconds: float) -> str:
    return f"{seconds:.2g}" if seconds < 10 else f"{seconds:,.0f}"
