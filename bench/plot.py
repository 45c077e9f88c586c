"""The plot of the documentation: deliveries against members."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support.processes import ROOT

__all__ = ["PLOT", "STYLES", "draw", "drawn"]

PLOT = ROOT / "docs" / "explanation" / "benchmarks.svg"

# The background is transparent: these can be read on white and on black.
_INK = "#808892"
_GRID = "#80889240"
#: How each line of the curve looks.
STYLES: dict[str, dict[str, Any]] = {
    "django_fastws on daphne": {"color": "#1f9d6b", "marker": "o"},
    "django_fastws on uvicorn": {"color": "#3d8bd4", "marker": "s"},
    "Channels on daphne": {"color": "#d9722e", "marker": "o", "linestyle": "--"},
    "Channels on uvicorn": {"color": "#b565c4", "marker": "s", "linestyle": "--"},
}


def drawn(results: dict[str, Any]) -> dict[str, Any] | None:
    """What is drawn of the results; None if it was not measured."""
    curve = next((row for row in results["rows"] if row["name"] == "curve"), None)
    if curve is None:
        return None
    latencies = {
        peer["name"]: [peer["p50"]["median"], peer["p99"]["median"]]
        for row in results["rows"]
        if row["name"] == "echo-latency"
        for peer in row["peers"]
        if "p99" in peer
    }
    return {"members": curve["members"], "lines": curve["lines"]} | ({"latencies": latencies} if latencies else {})


def draw(results: dict[str, Any], path: Path = PLOT) -> None:
    """Draw it into an SVG file, whose description holds the figures.

    Raises:
        ValueError: the results have no curve.
        ImportError: there is no matplotlib.
    """
    figures = drawn(results)
    if figures is None:
        raise ValueError("there is no curve in the results: run `python -m bench --only curve`")
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

    settings: Any = {
        "svg.fonttype": "none",  # text stays text
        "svg.hashsalt": "django_fastws",  # the same figures make the same file
        "font.family": "sans-serif",
        "font.size": 11,
        **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), _INK),
    }
    with mpl.rc_context(settings):
        latencies = figures.get("latencies", {})
        figure = Figure(figsize=(7.5, 4.6 + (0.3 * len(latencies) + 1 if latencies else 0)), layout="constrained")
        if latencies:
            axes, below = figure.subplots(2, height_ratios=(4.6, 0.3 * len(latencies) + 1))
            _draw_latencies(below, latencies)
        else:
            axes = figure.subplots()
        axes.set_xscale("log")
        axes.set_yscale("log")
        for name, values in figures["lines"].items():
            points = [(x, y) for x, y in zip(figures["members"], values, strict=True) if y is not None]
            if points:
                axes.plot(*zip(*points, strict=True), label=name, linewidth=2, markersize=5, **STYLES[name])
        axes.set_xticks(figures["members"])
        axes.minorticks_off()
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.set_xlabel("members of the room")
        axes.set_ylabel("deliveries a second")
        axes.grid(color=_GRID)
        axes.spines[["top", "right"]].set_visible(False)
        figure.legend(loc="outside upper left", ncols=2, frameon=False, labelcolor=_INK)
        figure.savefig(
            path,
            format="svg",
            transparent=True,
            metadata={"Date": None, "Title": "Deliveries a second", "Description": json.dumps(figures)},
        )


def _draw_latencies(axes: Any, latencies: dict[str, list[float]]) -> None:
    """A bar for each peer, from the latency of half of its answers to that of 99 of 100."""
    names = list(latencies)[::-1]
    for place, name in enumerate(names):
        median, most = latencies[name]
        color = "#1f9d6b" if name.startswith("ours") else _INK
        axes.plot([median, most], [place, place], color=color, linewidth=5, solid_capstyle="butt")
        axes.plot([median], [place], color=color, marker="o", markersize=7)
    axes.set_xscale("log")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("ms until an answer is back at half load: p50 (dot) to p99")
    axes.grid(color=_GRID, axis="x")
    axes.spines[["top", "right"]].set_visible(False)
