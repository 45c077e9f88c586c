"""``python -m bench``: measures, reports, and writes down."""

from __future__ import annotations

import argparse
import dataclasses
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import compare, machine, page, plot, report, results
from .programs import Redis, cpu_seconds
from .row import Bench, Row
from .rows import ROWS
from .sizes import FULL, QUICK, Scale

__all__ = ["main", "parser"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status: 1 if something could not be measured, whatever the figures."""
    options = parser().parse_args(arguments)
    if options.list:
        print("\n".join(f"{row.name:17} {row.work(FULL)} ({row.unit})" for row in ROWS.values()))
        return 0
    if options.compare:
        return _compare(options)
    if options.page or options.plot:
        return _publish(options)
    if problem := machine.missing():
        print(f"bench: {problem}", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is stopped
    scale = QUICK if options.quick else FULL
    if options.rounds:
        scale = dataclasses.replace(scale, rounds=options.rounds)
    output = options.output or (results.QUICK_RESULTS if options.quick else results.PUBLISHED)
    return _measure([ROWS[name] for name in options.only], scale, output)


def parser() -> argparse.ArgumentParser:
    """What the command takes."""
    made = argparse.ArgumentParser(prog="python -m bench", description="Measures this package against its peers.")
    add = made.add_argument
    add("--only", type=_names, default=list(ROWS), metavar="ROW,ROW", help="only these rows")
    add("--rounds", type=_positive, metavar="N", help="how often each peer is measured (5, or 3 with --quick)")
    add("--quick", action="store_true", help="less of everything, in some minutes; what is published stays")
    add("--list", action="store_true", help="say what the rows are, and measure nothing")
    add("--output", type=Path, metavar="FILE", help="where the results go (bench/results.json)")
    add("--page", action="store_true", help="write the published results into the documentation; measure nothing")
    add("--plot", action="store_true", help="draw the published results for the documentation; measure nothing")
    add("--compare", type=Path, nargs="+", metavar="FILE", help="older results beside newer ones; measure nothing")
    return made


def _compare(options: argparse.Namespace) -> int:
    """Compare results: two files, or one with those that are published (or in ``--output``)."""
    if len(options.compare) > 2:
        print("bench: two results can be compared, the older ones first", file=sys.stderr)
        return 1
    before, *after = options.compare
    found = []
    for path in (before, *(after or [options.output or results.PUBLISHED])):
        if (read := results.read(path)) is None:
            print(f"bench: there are no results in {path}", file=sys.stderr)
            return 1
        found.append(read)
    print("\n".join(compare.comparison_lines(*found)))
    return 0


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in ROWS:
            raise argparse.ArgumentTypeError(f"there is no row {name!r}; there are: {', '.join(ROWS)}")
    return names


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError("takes a number from 1")
    return int(text)


def _publish(options: argparse.Namespace) -> int:
    found = results.read(options.output or results.PUBLISHED)
    if found is None:
        print("bench: there are no results to publish; run `python -m bench` first", file=sys.stderr)
        return 1
    written = []
    try:
        if options.plot:
            plot.draw(found)
            written.append(plot.PLOT)
        if options.page:
            written += page.fill_in(found)
    except (ValueError, ImportError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    print("\n".join(f"wrote {path}" for path in written))
    return 0


def _measure(rows: Sequence[Row], scale: Scale, output: Path) -> int:
    cores = machine.choose_cores()
    now: dict[str, Any] = {
        "scale": scale.name,
        "machine": machine.describe(cores),
        "versions": machine.versions(),
        "rows": [],
    }
    print("\n".join(report.heading(now)), flush=True)
    started = time.monotonic()
    with machine.on_core(cores.load), Redis(cores.load) as redis:
        bench = Bench(scale, cores, redis, machine.raise_open_files())
        for row in rows:
            others = machine.Others(cores, lambda: cpu_seconds([redis]))
            result = row.run(bench)
            now["rows"].append(result | {"others": others.share(), "date": results.today()})
            if sys.stderr.isatty():
                print("\033[K", end="", file=sys.stderr)
            print("", *report.row_lines(now["rows"][-1]), sep="\n", flush=True)
    print("", *report.footer(now), sep="\n")
    print(f"{time.monotonic() - started:.0f} seconds")
    results.write(results.merge(results.read(output), now, list(ROWS)), output)
    print(f"wrote {output}")
    if output == results.PUBLISHED:
        print("`python -m bench --page --plot` brings the documentation up to date with it")
    return int(any(_has_problem(row) for row in now["rows"]))


def _has_problem(row: dict[str, Any]) -> bool:
    return bool("problem" in row or row.get("problems") or any("problem" in peer for peer in row["peers"]))
