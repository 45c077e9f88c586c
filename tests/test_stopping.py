"""The second signal, where the system does not end a process by it."""

from __future__ import annotations

import subprocess
import sys

import pytest

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
time.sleep(20)
"""


@pytest.mark.parametrize(("name", "status"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_a_second_signal_ends_the_first_process_of_a_container(name, status):
    ended = subprocess.run([sys.executable, "-c", PROGRAM.replace("{name}", name)], timeout=15, check=False)
    assert ended.returncode == status
