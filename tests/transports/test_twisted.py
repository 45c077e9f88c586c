"""Twisted's transports: what they hold, and any number of tasks that wait until it is sent; without a socket."""

import asyncio
from types import SimpleNamespace

import pytest
from twisted.internet import asyncioreactor

from django_fastws.transports.twisted import (
    SharedProducer,
    push,
    read_directly,
    release_senders,
    request_has_room,
    tcp_below,
    transport_has_room,
    unsent_bytes,
    until_drained,
)
from tests.transports.connections import DAPHNE, connected, on
from tests.transports.fakes import start, turns


class Tcp:
    """What is used of twisted.internet.abstract.FileDescriptor."""

    bufferSize = 100

    def __init__(self, unsent=0):
        self.connected = True
        self.producer, self.streamingProducer = None, False
        self.dataBuffer, self.offset, self._tempDataLen = b"x" * unsent, 0, 0

    def registerProducer(self, producer, streaming):
        assert self.producer is None
        if not self.connected:
            producer.stopProducing()
            return
        self.producer, self.streamingProducer = producer, streaming
        if not streaming:
            producer.resumeProducing()

    def unregisterProducer(self):
        self.producer = None

    def take(self, size):
        """The client reads; Twisted asks the producer once nothing is left."""
        self.offset += size
        if not unsent_bytes(self) and self.producer is not None:
            self.producer.resumeProducing()

    def lose(self):
        self.connected = False
        if self.producer is not None:
            self.producer.stopProducing()


def test_the_transport_that_holds_the_socket_is_found_below_tls():
    tcp = Tcp()
    assert tcp_below(tcp) is tcp
    assert tcp_below(SimpleNamespace(transport=SimpleNamespace(transport=tcp))) is tcp
    assert tcp_below(SimpleNamespace(transport=None)) is None
    assert tcp_below(None) is None


def test_what_was_taken_of_the_buffer_is_not_unsent():
    tcp = Tcp(10)
    tcp.offset, tcp._tempDataLen = 4, 3
    assert unsent_bytes(tcp) == 9


@pytest.mark.parametrize(
    ("room", "is_closing", "left"), [(300, False, 0), (250, False, 50), (0, False, 300), (300, True, 300)]
)
def test_a_socket_is_given_what_it_takes_unless_it_is_being_closed(room, is_closing, left):
    tcp, tries = Tcp(300), []
    tcp.disconnecting = is_closing

    def write():
        """As Twisted's does: some at a time."""
        tries.append(taken := min(100, room - sum(tries)))
        tcp.offset += taken

    tcp.doWrite = write
    push(tcp)
    assert unsent_bytes(tcp) == left
    assert len(tries) <= 4


def test_a_socket_that_is_broken_is_left_to_the_reactor():
    tcp = Tcp(10)
    tcp.disconnecting, tcp.doWrite = False, lambda: ConnectionError()
    push(tcp)
    assert unsent_bytes(tcp) == 10


async def test_every_task_that_waits_is_woken_when_all_is_sent_and_the_former_producer_is_back():
    tcp, former = Tcp(10), SimpleNamespace(resumeProducing=lambda: None)
    tcp.registerProducer(former, True)
    waiting = [start(until_drained(tcp)) for _ in range(3)]
    await turns()
    assert isinstance(tcp.producer, SharedProducer)
    tcp.take(5)
    await turns()
    assert not any(task.done() for task in waiting)
    tcp.take(5)
    await turns()
    assert all(task.done() for task in waiting)
    assert (tcp.producer, tcp.streamingProducer) == (former, True)


async def test_one_that_is_cancelled_leaves_the_others_waiting():
    tcp = Tcp(10)
    first, second = start(until_drained(tcp)), start(until_drained(tcp))
    await turns()
    first.cancel()
    await turns()
    assert not second.done()
    tcp.take(10)
    await turns()
    assert second.done()
    assert tcp.producer is None


@pytest.mark.parametrize("when", ["before", "meanwhile"])
async def test_a_connection_that_is_lost_is_not_waited_for(when):
    tcp = Tcp(10)
    if when == "before":
        tcp.lose()
    waiting = start(until_drained(tcp))
    await turns()
    if when == "meanwhile":
        assert not waiting.done()
        tcp.lose()
        await turns()
    assert waiting.done()


async def test_there_is_room_up_to_the_limit_and_nobody_waits_then():
    await asyncio.wait_for(transport_has_room(Tcp(10), 10), 30)
    waiting = start(transport_has_room(tcp := Tcp(11), 10))
    await turns()
    assert not waiting.done()
    tcp.take(11)
    await turns()
    assert waiting.done()


class Request:
    """What is used of twisted.web.http.Request."""

    def __init__(self, tcp):
        self.channel = SimpleNamespace(transport=tcp)
        self.producer = None

    def registerProducer(self, producer, streaming):
        self.producer = producer

    def unregisterProducer(self):
        self.producer = None


async def test_senders_of_a_request_wait_for_the_size_at_which_twisted_pauses_and_are_let_go_with_it():
    request = Request(Tcp(101))
    await asyncio.wait_for(request_has_room(Request(Tcp(100)), 10), 30)
    waiting = [start(request_has_room(request, 10)) for _ in range(2)]
    await turns()
    assert not any(task.done() for task in waiting)
    request.channel.transport.take(101)
    release_senders(request)
    await turns()
    assert all(task.done() for task in waiting)
    assert request.producer is None


async def test_somebody_elses_producer_sees_to_the_pace_itself():
    request = Request(Tcp(101))
    request.producer = somebody = object()
    await asyncio.wait_for(request_has_room(request, 10), 30)
    assert request.producer is somebody


@on(*DAPHNE)
async def test_what_comes_is_read_without_twisteds_context_for_its_log(kind, monkeypatch):
    calls = []

    def call_with_logger(*args, original=asyncioreactor.callWithLogger):
        calls.append(args)
        original(*args)

    monkeypatch.setattr(asyncioreactor, "callWithLogger", call_with_logger)
    async with connected(kind) as connection:
        assert calls  # by the handshake
        calls.clear()
        for text in "abc":
            await connection.client.send(text)
            assert await connection.transport.receive_data() == text
        assert [args[1:] for args in calls if args[1].__name__ == "_readOrWrite" and args[-1]] == []


def test_a_transport_that_is_paused_stays_so():
    added = []
    loop = SimpleNamespace(add_reader=lambda *args: added.append(args))
    tcp = Tcp()
    tcp.fileno = lambda: 7
    tcp.reactor = SimpleNamespace(_readOrWrite="read", _asyncioEventloop=loop, _readers={})
    read_directly(tcp)
    assert added == []
    tcp.reactor._readers[tcp] = 7
    read_directly(tcp)
    assert added == [(7, "read", tcp, True)]
    tcp.reactor = object()  # which is none of Twisted's on asyncio
    read_directly(tcp)
    assert len(added) == 1
