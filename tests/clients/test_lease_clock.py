"""What waits to be sent when a process is suspended: the leases are looked at before it goes out."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest

from django_fastws.clients.lease_clock import LeaseSelector, new_loop


def sent_after_a_suspension(selector, suspended_seconds):
    """Fill a transport's buffer, suspend the process, make room; returns how much goes out then."""

    async def run():
        ours, theirs = socket.socketpair()
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
        selector.check = transport.abort
        while not transport.get_write_buffer_size():
            transport.write(bytes(100_000))
        theirs.setblocking(False)
        drained = drain(theirs)
        assert drained
        time.sleep(suspended_seconds)
        for _ in range(5):
            await asyncio.sleep(0)
        sent = drain(theirs)
        transport.abort()
        theirs.close()
        return sent

    loop = new_loop(selector)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(run())


def drain(connection):
    size = 0
    try:
        while data := connection.recv(1_000_000):
            size += len(data)
    except BlockingIOError:
        pass
    return size


@pytest.mark.parametrize(("seconds", "is_sent"), [(0.3, False), (0.0, True)])
def test_after_a_suspension_the_check_comes_before_what_was_buffered(seconds, is_sent):
    assert bool(sent_after_a_suspension(LeaseSelector(), seconds)) is is_sent


def test_a_loop_of_another_kind_is_kept(monkeypatch):
    class Other(asyncio.SelectorEventLoop):
        pass

    other = Other()
    monkeypatch.setattr(asyncio, "new_event_loop", lambda: other)
    assert new_loop(LeaseSelector()) is other
    other.close()
