"""Run the fuzzing client against each server, and print what it says: ``python -m tests.autobahn [NAME...]``.

``wstest`` is of autobahntestsuite, which runs on Python 2.7 alone, and is on the PATH, or named by ``WSTEST``. The
servers are those of the tests, with a handler of the package that echoes, so what reads frames is the package's own.
The exit status is 1 if a case has failed that the server itself does not fail.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.processes import ASGIServer

__all__ = ["RUNS", "Run", "main"]

#: Cases send up to 16 MiB.
_LIMIT = 64 * 1024 * 1024
#: Seconds between the server's own pings: while it sends 65,536 fragments, the client answers none.
_SELDOM = "3600"
_SECONDS = 3600
_PLAIN = tuple(f"{section}.*" for section in range(1, 12))
_DEFLATE = ("12.*", "13.*")
_PASSED = {"OK", "NON-STRICT", "INFORMATIONAL"}
_INSTALL = """There is no wstest: set WSTEST to its path, or install it where there is a Python 2.7:
  python2.7 -m pip install --user virtualenv
  python2.7 -m virtualenv build/autobahn
  build/autobahn/bin/pip install autobahntestsuite==25.10.1
  WSTEST=build/autobahn/bin/wstest make test-autobahn"""


class Run(NamedTuple):
    """One server, and the cases that it is asked."""

    kind: str
    options: tuple[str, ...] = ()
    has_deflate: bool = False
    #: Cases that are not asked, by the size of their messages: stock daphne cuts off who sends over 1 MiB.
    excluded: tuple[str, ...] = ()
    #: Cases that fail with the server's own parser alone as well.
    known: tuple[str, ...] = ()

    @property
    def cases(self) -> tuple[str, ...]:
        """Patterns of cases; those of compression only where the server agrees to it."""
        return (*_PLAIN, *_DEFLATE) if self.has_deflate else _PLAIN


_OVER_1_MIB = ("9.1.4", "9.1.5", "9.1.6", "9.2.4", "9.2.5", "9.2.6", "9.3.*", "9.4.*")
#: A close between two fragments is answered with 1002 by the websockets library, which the suite takes for wrong.
_OF_WEBSOCKETS = ("7.1.5",)
_UVICORN = ("--ws-ping-interval", _SELDOM, "--ws-max-size", str(_LIMIT), "--loop")

_DAPHNE = ("--ping-interval", _SELDOM)
_OURS = (*_DAPHNE, "--loop")

RUNS = {
    "runws_server-asyncio": Run("runws_server", (*_OURS, "asyncio")),
    "runws_server-uvloop": Run("runws_server", (*_OURS, "uvloop")),
    "runws_server-asyncio-deflate": Run("runws_server", (*_OURS, "asyncio", "--ws-per-message-deflate"), True),
    "runws_server-uvloop-deflate": Run("runws_server", (*_OURS, "uvloop", "--ws-per-message-deflate"), True),
    "daphne": Run("daphne", _DAPHNE, excluded=_OVER_1_MIB),
    "uvicorn-asyncio": Run(
        "uvicorn", (*_UVICORN, "asyncio", "--ws-per-message-deflate", "false"), known=_OF_WEBSOCKETS
    ),
    "uvicorn-asyncio-deflate": Run("uvicorn", (*_UVICORN, "asyncio"), True, known=_OF_WEBSOCKETS),
    "uvicorn-uvloop-deflate": Run("uvicorn", (*_UVICORN, "uvloop"), True, known=_OF_WEBSOCKETS),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line names, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.autobahn", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(RUNS)}")
    parser.add_argument("--cases", nargs="+", metavar="PATTERN", help="such as 6.* or 1.1.1; those of each server")
    parser.add_argument("--reports", type=Path, help="the folder for the reports of the suite, which is kept")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.names if name not in RUNS]:
        parser.error(f"there is no {unknown[0]!r}: {', '.join(RUNS)}")
    wstest = os.environ.get("WSTEST") or shutil.which("wstest")
    if wstest is None:
        print(_INSTALL, file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="fastws-autobahn-") as temporary:
        reports = options.reports or Path(temporary)
        reports.mkdir(parents=True, exist_ok=True)
        failed = 0
        for name in options.names or RUNS:
            cases = _results(str(Path(wstest).resolve()), name, options.cases, reports.resolve())
            print(summary(name, cases), flush=True)
            failed += sum(_has_failed(case) for id_, case in cases.items() if id_ not in RUNS[name].known)
    return 1 if failed else 0


def _results(wstest: str, name: str, cases: Sequence[str] | None, reports: Path) -> dict[str, dict[str, Any]]:
    run = RUNS[name]
    with ASGIServer(run.kind, settings={"FASTWS_MAX_MESSAGE_BYTES": _LIMIT}, options=run.options) as server:
        spec = {
            "outdir": str(reports / name),
            "servers": [{"agent": name, "url": server.url("/ws/echo")}],
            "cases": cases or run.cases,
            "exclude-cases": run.excluded,
            "exclude-agent-cases": {},
        }
        path = reports / f"{name}.json"
        path.write_text(json.dumps(spec))
        with (reports / f"{name}.log").open("wb") as log:
            command = [wstest, "-m", "fuzzingclient", "-s", str(path)]
            # It is another Python, which has no use for what this one is told; and it writes where it runs.
            environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
            subprocess.run(
                command, cwd=reports, env=environment, stdout=log, stderr=log, timeout=_SECONDS, check=True
            )
    found: dict[str, dict[str, Any]] = json.loads((reports / name / "index.json").read_text())[name]
    return found


def _has_failed(case: dict[str, Any]) -> bool:
    return case["behavior"] not in _PASSED or case["behaviorClose"] not in _PASSED


def summary(name: str, cases: dict[str, dict[str, Any]]) -> str:
    """How many cases have passed, how, and which have not."""
    counts = Counter(case["behavior"] for case in cases.values())
    failed = [
        f"{id_} ({case['behavior']}/{case['behaviorClose']})" for id_, case in cases.items() if _has_failed(case)
    ]
    told = ", ".join(f"{count} {kind.lower()}" for kind, count in sorted(counts.items()))
    return f"{name}: {len(cases)} cases, {len(failed)} failed ({told}){': ' if failed else ''}{', '.join(failed)}"


if __name__ == "__main__":
    raise SystemExit(main())
