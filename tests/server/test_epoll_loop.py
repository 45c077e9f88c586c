"""Descriptors are watched as asyncio watches them: whatever is tested here, asyncio's own loop does as well."""

from __future__ import annotations

import asyncio
import contextvars
import os
import socket
import struct
from collections.abc import Callable
from typing import Any

import pytest

from django_fastws.server.epoll_loop import EpollLoop
from tests.support.processes import HOST

LIMIT = 20
LOOPS = [asyncio.SelectorEventLoop, EpollLoop]


def on_both(test: Callable[..., Any]) -> Callable[..., None]:
    """Run a test, which gets its loop, on either."""

    @pytest.mark.parametrize("make", LOOPS, ids=lambda make: make.__name__)
    def run(make: Callable[[], Any]) -> None:
        with asyncio.Runner(loop_factory=make) as runner:
            runner.run(asyncio.wait_for(test(runner.get_loop()), LIMIT))

    run.__doc__ = test.__doc__
    return run


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server((HOST, 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
    server.setblocking(False)
    return server, client


@on_both
async def test_what_comes_before_a_reset_is_read_and_then_the_reset(loop: Any):
    """uvloop's own loop calls a reader once, and never again, when the socket has an error."""
    server, client = tcp_pair()
    seen, done = [], loop.create_future()

    def read() -> None:
        try:
            seen.append(server.recv(1))
        except ConnectionResetError:
            loop.remove_reader(server)
            done.set_result(None)

    client.send(b"ab")
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    loop.add_reader(server, read)
    await done
    assert seen == [b"a", b"b"]
    server.close()


@on_both
async def test_one_descriptor_has_a_reader_and_a_writer_and_each_ends_alone(loop: Any):
    server, client = tcp_pair()
    calls: list[str] = []
    written, read = asyncio.Event(), asyncio.Event()

    def on_write() -> None:
        calls.append("write")
        assert loop.remove_writer(server.fileno())
        written.set()

    def on_read() -> None:
        calls.append(server.recv(10).decode())
        read.set()

    loop.add_reader(server.fileno(), on_read)
    loop.add_writer(server.fileno(), on_write)
    await written.wait()
    client.send(b"one")
    await read.wait()
    assert calls == ["write", "one"]
    assert loop.remove_reader(server.fileno())
    assert not loop.remove_reader(server.fileno())
    assert not loop.remove_writer(server.fileno())
    client.send(b"two")
    await asyncio.sleep(0.02)
    assert calls == ["write", "one"]
    for end in (server, client):
        end.close()


@on_both
async def test_a_reader_may_end_the_writer_of_its_own_descriptor_and_both_of_another(loop: Any):
    pairs = [socket.socketpair() for _ in range(2)]
    calls: list[int] = []
    done = asyncio.Event()

    def end_all(number: int) -> None:
        calls.append(number)
        for one, _ in pairs:
            loop.remove_reader(one)
            loop.remove_writer(one)
        done.set()

    for number, (one, other) in enumerate(pairs):
        other.send(b"x")
        loop.add_reader(one, end_all, number)
        loop.add_writer(one, end_all, 10 + number)
    await done.wait()
    await asyncio.sleep(0.02)
    assert len(calls) == 1
    for end in [end for pair in pairs for end in pair]:
        end.close()


@on_both
async def test_a_new_file_under_the_number_of_a_closed_one_is_watched(loop: Any):
    one, other = socket.socketpair()
    number = one.fileno()
    loop.add_reader(number, lambda: None)
    loop.remove_reader(number)
    one.close()
    read_end, write_end = os.pipe()
    if read_end != number:
        os.dup2(read_end, number)
    seen = loop.create_future()

    def read() -> None:
        loop.remove_reader(number)
        seen.set_result(os.read(number, 10))

    loop.add_reader(number, read)
    os.write(write_end, b"new")
    assert await seen == b"new"
    other.close()
    for descriptor in {read_end, write_end, number}:
        os.close(descriptor)


@on_both
async def test_a_file_on_a_disk_cannot_be_waited_for(loop: Any):
    with open(__file__, "rb") as file, pytest.raises(PermissionError):
        loop.add_reader(file.fileno(), lambda: None)


@on_both
async def test_a_callback_runs_in_the_context_in_which_it_was_added(loop: Any):
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")
    one, other = socket.socketpair()
    seen = loop.create_future()
    variable.set("mine")

    def read() -> None:
        loop.remove_reader(one)
        seen.set_result(variable.get())
        variable.set("changed")

    loop.add_reader(one, read)
    variable.set("later")
    other.send(b"x")
    assert (await seen, variable.get()) == ("mine", "later")
    one.close()
    other.close()


@on_both
async def test_an_error_of_a_callback_is_told_and_others_go_on(loop: Any):
    pairs = [socket.socketpair() for _ in range(2)]
    told, called = [], asyncio.Event()
    loop.set_exception_handler(lambda _, context: told.append(context["exception"]))

    def fail() -> None:
        loop.remove_reader(pairs[0][0])
        raise LookupError("failed")

    loop.add_reader(pairs[0][0], fail)
    loop.add_reader(pairs[1][0], lambda: (loop.remove_reader(pairs[1][0]), called.set()))
    for _, other in pairs:
        other.send(b"x")
    await called.wait()
    await asyncio.sleep(0)
    assert [str(error) for error in told] == ["failed"]
    for end in [end for pair in pairs for end in pair]:
        end.close()


@pytest.mark.parametrize("make", LOOPS, ids=lambda make: make.__name__)
def test_an_interrupt_in_a_callback_ends_the_loop(make):
    loop = make()
    one, other = socket.socketpair()

    def interrupt() -> None:
        loop.remove_reader(one)
        raise KeyboardInterrupt

    loop.add_reader(one, interrupt)
    other.send(b"x")
    with pytest.raises(KeyboardInterrupt):
        loop.run_forever()
    loop.close()
    loop.close()
    one.close()
    other.close()
