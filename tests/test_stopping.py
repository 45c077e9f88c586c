"""A second signal, where the system does not end a process by it, and signals behind a stop."""

from __future__ import annotations

import os

import pytest

from tests.support import interpreter

pytestmark = pytest.mark.slow

#: A process that is told to stop twice. Its kill() does nothing, as that of the first process of a container.
PROGRAM = """
import asyncio, logging, os, signal, threading, time
from django_fastws.stopping import OrderlyStop

kill, done = os.kill, []
loop = asyncio.new_event_loop()
stop = OrderlyStop(
    loop, lambda: done.append(1), seconds=lambda: 20, status=lambda: 1, logger=logging.getLogger("x")
)
stop.install()
os.kill = lambda pid, signum: None
for _ in range(2):
    kill(os.getpid(), signal.{name})
    time.sleep({pause})
time.sleep({rest})
"""


@pytest.mark.parametrize(("name", "status"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_a_second_signal_ends_the_first_process_of_a_container(name, status):
    assert run(name, pause=1.1, rest=20) == status


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_a_signal_that_comes_twice_at_once_counts_once(name):
    assert run(name, pause=0.05, rest=0.2) == 0


def test_a_terminal_that_closes_twice_does_not_insist():
    assert run("SIGHUP", pause=1.1, rest=0) == 0


def test_a_hangup_that_is_ignored_stays_ignored():
    ignoring = PROGRAM.replace("stop.install()", "signal.signal(signal.SIGHUP, signal.SIG_IGN)\nstop.install()")
    program = f"{fill(ignoring, 'SIGHUP', 0, 0)}\nassert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN"
    assert status_of(program) == 0


#: A process that goes on when what was stopped has ended.
GOES_ON = """
import asyncio, logging, os, signal, threading, time
from django_fastws.stopping import OrderlyStop

def stopped(*signums):
    stop = OrderlyStop(
        asyncio.new_event_loop(), lambda: None, seconds=lambda: 0.2, status=lambda: 7, logger=logging.getLogger("x")
    )
    stop.install()
    for signum in signums:
        os.kill(os.getpid(), signum)
    stop.uninstall()
    for signum in signums:  # from the terminal and from a supervisor
        os.kill(os.getpid(), signum)

former = signal.getsignal(signal.SIGINT)
"""


@pytest.mark.parametrize(
    ("then", "status"),
    [
        ("stopped(); assert signal.getsignal(signal.SIGINT) is former; time.sleep(1.5)", 0),
        ("stopped(signal.SIGINT); time.sleep(1.5)", 0),
        ("stopped(signal.SIGTERM); time.sleep(1.1); os.kill(os.getpid(), signal.SIGTERM); time.sleep(5)", -15),
        ("stopped(); os.kill(os.getpid(), signal.SIGTERM); time.sleep(5)", -15),
        ("stopped(signal.SIGTERM); stopped(signal.SIGTERM)", 0),
        ("stopped(signal.SIGTERM); threading.Thread(target=time.sleep, args=[60]).start()", 7),
    ],
    ids=["ended by itself", "stopped", "another signal later", "a first signal later", "twice", "a thread is left"],
)
def test_what_goes_on_after_a_stop_has_its_signals_and_its_time(then, status):
    assert status_of(GOES_ON + then) == status


def fill(program: str, name: str, pause: float, rest: float) -> str:
    for key, value in (("name", name), ("pause", pause), ("rest", rest)):
        program = program.replace(f"{{{key}}}", str(value))
    return program


def run(name: str, *, pause: float, rest: float) -> int:
    return status_of(fill(PROGRAM, name, pause, rest))


def status_of(program: str) -> int:
    return interpreter.run(["-c", program], os.environ, timeout_seconds=60).returncode
