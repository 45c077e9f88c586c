"""A process that is forked is what a new Python process would be."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support import interpreter
from tests.support.processes import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="nothing is forked here")]

REPORT = """
import gc, json, os, signal, sys, threading, warnings

main = sys.modules["__main__"]
report = {
    "argv": sys.argv,
    "orig_argv": sys.orig_argv,
    "path": sys.path,
    "directory": os.getcwd(),
    "environment": dict(os.environ),
    "names": sorted(name for name in vars(main) if name not in ("__annotations__", "__cached__")),
    "file": vars(main).get("__file__"),
    "name": [__name__, globals() is vars(main)],
    "options": sys.warnoptions,
    "filters": [[str(part) for part in one] for one in warnings.filters],
    "writes_bytecode": sys.dont_write_bytecode,
    "streams": [
        [stream.fileno(), stream.encoding, stream.errors, stream.line_buffering, stream.write_through]
        for stream in (sys.stdout, sys.stderr)
    ],
    "is_original": [sys.stdout is sys.__stdout__, sys.stderr is sys.__stderr__],
    "stdin": [sys.stdin.fileno(), sys.stdin.encoding, sys.stdin.errors, sys.stdin.read()],
    "files": sorted(int(name) for name in os.listdir("/proc/self/fd")),
    "signals": [str(signal.getsignal(number)) for number in sorted(signal.valid_signals())],
    "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "wakeup": signal.set_wakeup_fd(-1),
    "leads": os.getsid(0) == os.getpid(),
    "threads": [threading.current_thread() is threading.main_thread(), threading.active_count()],
    "tests": sorted(name for name in sys.modules if name.partition(".")[0] == "tests"),
    "ours": sorted(name for name in sys.modules if name.startswith("django_fastws")),
}
print(json.dumps(report))
"""


def ended_by_a_terminal() -> None:
    """What is started in the background, or by nohup, ignores these, and so does whatever it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def both(
    tmp_path: Path, *arguments: str, environment: dict[str, str], new_session: bool = False
) -> list[tuple[int, str, str]]:
    """What a forked and a new process have written, and how they have ended."""
    done = []
    for is_forked in (True, False):
        with (tmp_path / "out").open("w+b") as out, (tmp_path / "err").open("w+b") as err:
            if is_forked:
                process = interpreter.start(
                    arguments, environment, out, err, directory=tmp_path, new_session=new_session
                )
            else:
                process = subprocess.Popen(
                    [sys.executable, *arguments],
                    cwd=tmp_path,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    start_new_session=new_session,
                    preexec_fn=ended_by_a_terminal,
                )
            assert (type(process) is subprocess.Popen) is not is_forked
            status = process.wait(60)
        done.append((status, (tmp_path / "out").read_text(), (tmp_path / "err").read_text()))
    return done


def environment(**variables: str | None) -> dict[str, str]:
    """This process's, with these; None for one that is not there."""
    changed = {**os.environ, **variables}
    return {name: value for name, value in changed.items() if value is not None}


BARE: dict[str, Any] = dict.fromkeys(["PYTHONPATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PYTHONWARNINGS"])
STRICT = {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error,ignore::ImportWarning", "PYTHONUNBUFFERED": "1"}
PATHS = {"PYTHONPATH": f"below{os.pathsep}{ROOT}{os.pathsep}below", "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.mark.parametrize(
    ("arguments", "variables", "new_session"),
    [
        (["-c", REPORT, "more", "-W"], STRICT, False),
        (["-W", "error", "-W", "ignore::DeprecationWarning", "main.py", "x"], STRICT, False),
        (["below/main.py"], BARE, True),
        (["-m", "below.main", "x"], PATHS, False),
    ],
    ids=["code", "file", "below", "module"],
)
def test_it_begins_with_the_same(tmp_path, arguments, variables, new_session):
    for path in (tmp_path / "main.py", tmp_path / "below" / "main.py"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(REPORT)
    (tmp_path / "below" / "__init__.py").touch()
    forked, new = both(tmp_path, *arguments, environment=environment(**variables), new_session=new_session)
    assert [forked[::2], new[::2]] == [(0, "")] * 2
    assert json.loads(forked[1]) == json.loads(new[1])


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("pass", 0),
        ("import sys; print('out'); sys.exit(3)", 3),
        ("import sys; sys.exit('words')", 1),
        ("print('out', end=''); raise SystemExit", 0),
        ("import os; print('buffered'); os._exit(4)", 4),
        ("import atexit; atexit.register(print, 'at exit'); print('first')", 0),
        ("import threading, time; threading.Thread(target=lambda: (time.sleep(0.1), print('later'))).start()", 0),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
        ("import sys; sys.stderr.write('to stderr'); print('out')", 0),
        ("import warnings; warnings.warn('shown', UserWarning)", 0),
        ("import pickle; C = type('C', (), {}); print(pickle.loads(pickle.dumps(C())).__class__ is C)", 0),
    ],
)
def test_it_ends_as_the_other_does(tmp_path, code, status):
    forked, new = both(tmp_path, "-c", code, environment=environment(PYTHONUNBUFFERED=None))
    assert forked == new
    assert new[0] == status


@pytest.mark.parametrize("code", ["1 / 0", "raise KeyboardInterrupt", "x ="])
def test_an_error_ends_it_with_a_traceback(tmp_path, code):
    """Which begins with lines of ours."""
    forked, new = both(tmp_path, "-c", code, environment=environment())
    assert forked[:2] == new[:2]
    assert forked[2].startswith("Traceback (most recent call last):\n")
    assert forked[2].splitlines()[-1] == new[2].splitlines()[-1]


def test_it_is_killed_with_what_it_leads():
    reading, writing = os.pipe()
    with os.fdopen(reading) as read:
        with os.fdopen(writing, "wb") as write:
            code = "import os, time; os.fork(); os.write(1, b'%d\\n' % os.getpid()); time.sleep(60)"
            process = interpreter.start(["-c", code], environment(), write, new_session=True)
        leader_and_follower = {int(read.readline()) for _ in range(2)}
        assert process.pid in leader_and_follower
        assert process.poll() is None
        os.killpg(process.pid, signal.SIGKILL)
        assert read.read() == ""  # nobody is left who could write
    assert process.wait(60) == -signal.SIGKILL


def test_what_python_reads_at_its_start_is_not_forked(tmp_path):
    with (tmp_path / "out").open("wb") as out:
        process = interpreter.start(
            ["-c", "import sys; print(sys.flags.dev_mode)"], environment(PYTHONDEVMODE="1"), out
        )
    assert type(process) is subprocess.Popen
    assert process.wait(60) == 0
    assert (tmp_path / "out").read_text() == "True\n"


def test_a_run_returns_what_was_written():
    done = interpreter.run(["-c", "import sys; print('größe'); sys.exit('words')"], environment())
    assert (done.returncode, done.stdout, done.stderr) == (1, "größe\n", "words\n")


def test_a_run_that_takes_too_long_is_ended():
    with pytest.raises(subprocess.TimeoutExpired):
        interpreter.run(["-c", "import time; time.sleep(60)"], environment(), timeout_seconds=0.2)
