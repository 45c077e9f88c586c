"""TCP progress of what was sent, on real sockets: while a peer takes it, an answer is not overdue."""

import socket
import sys
import time

import pytest

from django_fastws.transports.progress import PingProgress, acknowledged_bytes, queued_bytes

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what was acknowledged")


@pytest.fixture
def ends():
    """Two ends of a TCP connection whose buffers hold little."""
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        with socket.create_connection(listening.getsockname()) as here, listening.accept()[0] as there:
            here.setblocking(False)
            yield here, there


def fill(sock):
    """Send until the system takes nothing more; returns how many bytes it has taken."""
    sent = 0
    while True:
        try:
            sent += sock.send(b"x" * 65536)
        except BlockingIOError:
            return sent


def until(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_what_the_peer_has_not_taken_is_queued(ends):
    here, _ = ends
    assert queued_bytes(here) == 0
    before, sent = acknowledged_bytes(here), fill(here)
    until(lambda: acknowledged_bytes(here) - before + queued_bytes(here) == sent)
    assert 0 < queued_bytes(here) < sent


def test_what_a_closed_socket_or_none_has_cannot_be_told():
    closed = socket.socket()
    closed.close()
    for sock in (closed, None):
        assert acknowledged_bytes(sock) is None
        assert queued_bytes(sock) == 0


def test_with_nothing_before_it_a_ping_is_overdue_after_the_timeout(ends):
    progress = PingProgress(ends[0], 0, now=100)
    assert progress.look(101) is None
    assert (progress.time_left(105, 20), progress.time_left(125, 20)) == (15, -5)


def test_a_ping_behind_what_the_peer_has_not_taken_waits_for_that_and_as_long_again(ends):
    here, there = ends
    sent = fill(here)
    progress = PingProgress(here, 0, now=100)
    assert progress.look(150) is not None
    assert progress.time_left(150, 20) == 20  # the whole of it, however long that takes
    there.settimeout(5)
    while sent:
        sent -= len(there.recv(65536))
    here.send(b"ping")
    there.recv(4)
    until(lambda: progress.look(150) is None)
    assert progress.time_left(160, 20) == 40  # it took 50 seconds
