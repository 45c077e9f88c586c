"""The figures of the documentation, which are those of ``bench/results.json``: no hand copies them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.processes import ROOT

from .headline import headline
from .report import curve_table, latency_table, machine_text, markdown_table, peers_text
from .scale import capacity_table, checks_table, costs_table

__all__ = ["PAGE", "PLACES", "README", "SCALE", "filled", "fill_in"]

PAGE = ROOT / "docs" / "explanation" / "benchmarks.md"
SCALE = ROOT / "docs" / "explanation" / "scale.md"
README = ROOT / "README.md"

#: What stands between the marks of each file.
PLACES: dict[Path, dict[str, Callable[[dict[str, Any]], str]]] = {
    PAGE: {
        "table": markdown_table,
        "latencies": latency_table,
        "peers": peers_text,
        "machine": machine_text,
        "curve": curve_table,
    },
    SCALE: {"costs": costs_table, "capacity": capacity_table, "checks": checks_table},
    README: {"headline": headline},
}


def filled(path: Path, results: dict[str, Any]) -> str:
    """The text of a file with the figures of the results.

    Raises:
        ValueError: the file has lost its marks.
    """
    text = path.read_text("utf-8")
    for name, write in PLACES[path].items():
        opening, closing = f"<!-- bench: {name} -->\n", "<!-- bench: end -->"
        before, found, rest = text.partition(opening)
        _, ended, after = rest.partition(closing)
        if not (found and ended):
            raise ValueError(f"{path.name} needs a line {opening.strip()} and after it a line {closing}")
        text = f"{before}{opening}\n{write(results)}\n\n{closing}{after}"
    return text


def fill_in(results: dict[str, Any]) -> list[Path]:
    """Write the figures of the results into the documentation; returns the files."""
    for path in PLACES:
        path.write_text(filled(path, results), "utf-8")
    return list(PLACES)
