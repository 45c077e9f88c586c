"""Matrix of supported versions: ``python -m tests.support.matrix`` runs the tests on each row that this machine can.

It needs no package. Each row has an environment of its own in ``.venvs``; ``make`` makes it with the constraints.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support import lowest

__all__ = ["ROWS", "Outcome", "Row", "find_python", "main", "newest_python", "summary"]

ROOT = Path(__file__).resolve().parents[2]
_ENVIRONMENTS = ROOT / ".venvs"
#: Of which the summary says the version.
_SHOWN = ("django", "channels", "daphne", "channels-redis", "redis")
_USABLE = "import ensurepip, sys, venv; sys.exit(sys.version_info[:2] != ({}, {}))"
_COUNT = re.compile(r"(\d+) (passed|failed|error|skipped|xfailed)")


@dataclass(frozen=True)
class Row:
    """One row of the matrix.

    Attributes:
        name: begins with the Python, and says what is special.
        python: its version, such as "3.12".
        constraints: pip's; what they do not name is the newest that goes with the rest.
        is_lowest: whether all dependencies are the lowest that pyproject.toml allows.
    """

    name: str
    python: str
    constraints: tuple[str, ...] = ()
    is_lowest: bool = False

    def lines(self) -> list[str]:
        """The constraints, as pip reads them."""
        return lowest.constraints() if self.is_lowest else [*self.constraints]


#: Each Python, each Django, each major version of redis-py; the lowest versions of all, and the newest of all.
ROWS = (
    Row("3.11-lowest", "3.11", is_lowest=True),
    Row("3.11-redis5", "3.11", ("django~=5.2.0", "redis~=5.0")),
    Row("3.11-redis6", "3.11", ("django~=5.2.0", "redis~=6.0")),
    Row("3.12-redis7", "3.12", ("redis~=7.0",)),
    Row("3.12-django5.2", "3.12", ("django~=5.2.0",)),
    Row("3.13-redis6", "3.13", ("redis~=6.0",)),
    Row("3.13", "3.13"),
    Row("3.14", "3.14"),
)


@dataclass
class Outcome:
    """What became of a row.

    Attributes:
        result: "passed", "failed", or why it was not run.
        counts: of the tests, by pytest's words.
        versions: of what is shown, by its name.
    """

    row: Row
    result: str
    seconds: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def was_run(self) -> bool:
        """Whether tests have run, or should have."""
        return self.result in ("passed", "failed")


def find_python(version: str, search_path: str | None = None, home: Path | None = None) -> str | None:
    """Find a Python that can make environments, on the PATH or among pyenv's.

    On the PATH may be a shim of pyenv's that only fails.

    Args:
        version: such as "3.12".
        search_path: directories to search, as in PATH; None searches PATH.
        home: where ``.pyenv`` is; None is the user's.
    Returns:
        Its path; None if there is none.
    """
    path = os.environ.get("PATH", "") if search_path is None else search_path
    pyenv = (home or Path.home()) / ".pyenv" / "versions"
    directories = [*filter(None, path.split(os.pathsep)), *map(str, sorted(pyenv.glob(f"{version}*/bin")))]
    for directory in directories:
        found = shutil.which(f"python{version}", path=directory)
        if found and _is_usable(found, version):
            return found
    return None


def _is_usable(python: str, version: str) -> bool:
    major, _, minor = version.partition(".")
    try:
        done = subprocess.run([python, "-c", _USABLE.format(major, minor)], capture_output=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def newest_python() -> str | None:
    """The newest Python of the matrix that is here; None if there is none."""
    versions = sorted({row.python for row in ROWS}, key=lambda version: int(version.partition(".")[2]), reverse=True)
    return next(filter(None, map(find_python, versions)), None)


def run(row: Row, target: str) -> Outcome:
    """Run the tests of a row, whose output is passed on.

    Args:
        target: of make's.
    """
    python = find_python(row.python)
    if python is None:
        return Outcome(row, f"skipped: no Python {row.python} here")
    lines = row.lines()
    print(f"== {row.name}: Python {row.python}, {', '.join(lines) or 'the newest of all'}", flush=True)
    _ENVIRONMENTS.mkdir(exist_ok=True)
    constraints = _ENVIRONMENTS / f"{row.name}.txt"
    constraints.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    environment = _ENVIRONMENTS / row.name
    command = [os.environ.get("MAKE", "make"), target, f"VENV={environment.relative_to(ROOT)}", f"PYTHON={python}"]
    started = time.monotonic()
    status, tail = _passed_on(command, {**os.environ, "PIP_CONSTRAINT": str(constraints)})
    return Outcome(
        row,
        "failed" if status else "passed",
        time.monotonic() - started,
        {word: int(number) for number, word in _COUNT.findall(tail)},
        _versions(environment),
    )


def _passed_on(command: Sequence[str], environment: dict[str, str]) -> tuple[int, str]:
    """Run a command, and print what it prints; its status, and the last line in which pytest counts."""
    counted: deque[str] = deque([""], maxlen=1)
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            sys.stdout.write(line)
            sys.stdout.flush()
            if " in " in line and _COUNT.search(line):
                counted.append(line)
    return process.returncode, counted[0]


def _versions(environment: Path) -> dict[str, str]:
    pip = [str(environment / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "list", "--format=json"]
    try:
        listed = json.loads(subprocess.run(pip, capture_output=True, timeout=120, check=True).stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return {}
    versions = {package["name"].lower().replace("_", "-"): package["version"] for package in listed}
    return {name: versions[name] for name in _SHOWN if name in versions}


def summary(outcomes: Iterable[Outcome]) -> str:
    """A table of what became of the rows."""
    lines = [("row", *_SHOWN, "passed", "failed", "skipped", "minutes", "result")]
    for outcome in outcomes:
        counts = outcome.counts
        failed = counts.get("failed", 0) + counts.get("error", 0)
        numbers = (counts.get("passed", 0), failed, counts.get("skipped", 0))
        shown = [*map(str, numbers), f"{outcome.seconds / 60:.1f}"] if outcome.was_run else [""] * 4
        versions = [outcome.versions.get(name, "") for name in _SHOWN]
        lines.append((outcome.row.name, *versions, *shown, outcome.result))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run rows one after the other, or say which Python is the newest; the exit status."""
    names = {row.name: row for row in ROWS}
    parser = argparse.ArgumentParser(prog="make test-matrix", description="Run the tests on supported versions.")
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"only these: {', '.join(names)}")
    parser.add_argument("--fast", action="store_true", help="only what is fast, and what needs Redis and is")
    parser.add_argument("--newest", action="store_true", help="run nothing; print the newest Python that is here")
    options = parser.parse_args(arguments)
    if options.newest:
        if (newest := newest_python()) is None:
            parser.error(f"there is none of the Pythons of {', '.join(names)} here")
        print(newest)
        return 0
    if unknown := [name for name in options.rows if name not in names]:
        parser.error(f"no such row: {', '.join(unknown)}; there are {', '.join(names)}")
    rows = [names[name] for name in options.rows] or list(ROWS)
    outcomes = [run(row, "test-fast-redis" if options.fast else "test") for row in rows]
    print(f"\n{summary(outcomes)}")
    if not any(outcome.was_run for outcome in outcomes):
        print("nothing was run", file=sys.stderr)
        return 1
    return int(any(outcome.result == "failed" for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
