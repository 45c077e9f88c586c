"""Results in words: for a terminal, and for the documentation."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

from .results import Comparison, comparisons

__all__ = [
    "QUIET",
    "curve_table",
    "figure",
    "footer",
    "heading",
    "machine_text",
    "latency_table",
    "markdown_table",
    "peers_text",
    "ratio_text",
    "row_lines",
    "wrapped",
]

#: The share of the cores that other processes may take before figures are no good.
QUIET = 0.1


def figure(value: float, row: dict[str, Any]) -> str:
    """A figure with the row's number of digits."""
    return f"{value:,.{row['digits']}f}"


def ratio_text(comparison: Comparison) -> str:
    """The ratio, with three significant digits."""
    return "–" if comparison.ratio is None else f"{comparison.ratio:.3g} ×"


def _target_text(comparison: Comparison) -> str:
    target = comparison.target
    return f"{'≤' if target['is_most'] else '≥'} {target['ratio']:.3g} ×" if target else ""


# For a terminal


def heading(results: dict[str, Any]) -> Iterator[str]:
    """The machine and the releases."""
    machine = results["machine"]
    yield f"{machine['cpu']}, {machine['cores']} cores; {machine['system']}, Python {machine['python']}"
    yield machine["pinning"]
    yield ", ".join(f"{name} {number}" for name, number in results["versions"].items())


def row_lines(row: dict[str, Any]) -> Iterator[str]:
    """One row of the table: a line for what is done, and one for each peer."""
    yield f"{row['name']}: {row['work']} ({row['unit']})"
    if "problem" in row:
        yield f"  problem: {row['problem']}"
    if "lines" in row:
        yield from _curve_lines(row)
        return
    if "checks" in row:
        yield from _capacity_lines(row)
        return
    compared = {comparison.peer["name"]: comparison for comparison in comparisons(row)}
    for peer in row["peers"]:
        if "median" in peer:
            spread = f"({figure(peer['least'], row)} to {figure(peer['most'], row)})"
            line = f"  {peer['name']:21} {figure(peer['median'], row):>11} {spread:25}"
            line += _compared(compared.get(peer["name"]))
            for share, name in (("busy", "measured"), ("load", "load")):
                if share in peer:
                    line += f"  {name} {peer[share]:4.0%}"
            yield (line + _details(peer)).rstrip()
        for key in ("skipped", "problem"):
            if key in peer:
                yield f"  {peer['name']:21} {key}: {peer[key]}"


#: How details are called, and with how many digits they are told; p50 is mostly the value itself.
_DETAILS = {
    "p50": ("p50 {} ms", 2),
    "p99": ("p99 {} ms", 2),
    "cpu": ("{} ms CPU/1,000", 2),
    "pause": ("pause {} ms", 0),
}


def _detail(peer: dict[str, Any], name: str) -> str:
    """One detail of a peer, or nothing."""
    text, digits = _DETAILS[name]
    return text.format(f"{peer[name]['median']:,.{digits}f}") if name in peer else ""


def _details(peer: dict[str, Any]) -> str:
    return "".join(f"  {told}" for name in _DETAILS if (told := _detail(peer, name)))


def _compared(comparison: Comparison | None) -> str:
    if comparison is None:
        return " " * 28
    verdict = {True: "met", False: "NOT MET", None: ""}[comparison.is_met]
    return f"{ratio_text(comparison):>9} {_target_text(comparison):>9} {verdict:7}"


def _curve_lines(row: dict[str, Any]) -> Iterator[str]:
    yield f"  {'members':24}" + "".join(f"{count:>11,}" for count in row["members"])
    for name, values in row["lines"].items():
        cells = ["–" if value is None else figure(value, row) for value in values]
        yield f"  {name:24}" + "".join(f"{cell:>11}" for cell in cells)
    for name, problem in row["problems"].items():
        yield f"  {name}: {problem}"


def _capacity_lines(row: dict[str, Any]) -> Iterator[str]:
    yield "  " + ", ".join(f"{name} {value:,.1f}" for name, value in row["costs"].items())
    for check in row["checks"]:
        foretold, measured = check["foretold"], check["measured"]
        off = f"{foretold / measured - 1:+8.0%}" if measured else ""
        yield (
            f"  {check['processes']} processes, {check['what']:32} {foretold:>10,.1f} foretold "
            f"{measured:>10,.1f} {check['unit']} measured {off}"
        )


def footer(results: dict[str, Any]) -> Iterator[str]:
    """How many targets are met, and whether the machine was quiet."""
    found = [comparison.is_met for row in results["rows"] for comparison in comparisons(row)]
    reached, missed = found.count(True), found.count(False)
    yield f"{reached} of {reached + missed} targets are met"
    if disturbed := [row for row in results["rows"] if row["others"] > QUIET]:
        names = ", ".join(f"{row['name']} ({row['others']:.0%})" for row in disturbed)
        yield f"other processes took their share of the two cores, and these are no good figures: {names}"


# For the documentation


def markdown_table(results: dict[str, Any]) -> str:
    """The table of the documentation: each row's subject against each of its peers."""
    lines = [
        "| Row | Work | Here | Against | | Ratio | Goal |",
        "|---|---|---:|---|---:|---:|---:|",
    ]
    for row in results["rows"]:
        beginning = [f"`{row['name']}`", f"{row['work']}; {row['unit']}"]
        for comparison in comparisons(row):
            if len(beginning) == 2:
                beginning.append(_cell(comparison.subject, row))
            cells = [
                *beginning,
                comparison.peer["name"],
                _cell(comparison.peer, row),
                f"**{ratio_text(comparison)}**",
                _target_text(comparison),
            ]
            lines.append("| " + " | ".join(cells) + " |")
            beginning = ["", "", ""]
    return "\n".join(lines)


def _cell(peer: dict[str, Any], row: dict[str, Any]) -> str:
    if "median" not in peer:
        return "–"
    return f"{figure(peer['median'], row)} ({figure(peer['least'], row)}–{figure(peer['most'], row)})"


def latency_table(results: dict[str, Any]) -> str:
    """Percentiles, processor time and pauses of every row that has any; nothing where none was measured."""
    lines = [
        "| Row | Who | p50, ms | p99, ms | CPU for 1,000, ms | Longest pause, ms |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for row in results["rows"]:
        name = f"`{row['name']}`"
        for peer in row["peers"]:
            if peer.keys() & _DETAILS.keys():
                figures = [
                    f"{peer[detail]['median']:,.{digits}f}" if detail in peer else "–"
                    for detail, (_, digits) in _DETAILS.items()
                ]
                lines.append("| " + " | ".join([name, peer["name"], *figures]) + " |")
                name = ""
    return "\n".join(lines) if len(lines) > 2 else ""


def peers_text(results: dict[str, Any]) -> str:
    """What peers do not do of what this package does, and who could not be measured: a list."""
    lacks = {peer["name"]: peer["lacks"] for row in results["rows"] for peer in row["peers"] if peer.get("lacks")}
    skipped = {
        peer["name"]: peer["skipped"] for row in results["rows"] for peer in row["peers"] if peer.get("skipped")
    }
    told = {name: [text] for name, text in lacks.items()}
    for name, why in skipped.items():
        told.setdefault(name, []).append(f"not measured: {why}")
    return "\n".join(f"- *{name}*: {'; '.join(texts)}" for name, texts in told.items())


def curve_table(results: dict[str, Any]) -> str:
    """What the plot shows, in figures; nothing if it was not measured."""
    lines = []
    for row in results["rows"]:
        if "lines" in row:
            lines.append("| Members | " + " | ".join(row["lines"]) + " |")
            lines.append("|---:" * (len(row["lines"]) + 1) + "|")
            for members, *values in zip(row["members"], *row["lines"].values(), strict=True):
                cells = [f"{members:,}", *("–" if value is None else figure(value, row) for value in values)]
                lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def machine_text(results: dict[str, Any]) -> str:
    """The machine and the releases, as a paragraph."""
    machine = results["machine"]
    releases = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    dates = sorted({row["date"] for row in results["rows"]})
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    return wrapped(
        f"Measured on {when}, on {machine['cpu']} with {machine['cores']} cores, {machine['system']}, "
        f"Python {machine['python']}; {machine['pinning']}. Other processes took at most "
        f"{max(row['others'] for row in results['rows']):.0%} of the two cores meanwhile. {releases}."
    )


def wrapped(text: str) -> str:
    """A paragraph, in lines as long as those of the documentation."""
    return textwrap.fill(text, 118, break_long_words=False, break_on_hyphens=False)
