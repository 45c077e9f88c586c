"""Writing of a live socket: the answers of one turn of the loop go out in one write, and nothing overtakes them."""

from __future__ import annotations

import asyncio

import pytest

from django_fastws.exceptions import WebSocketDisconnect
from django_fastws.live.frame_writer import FrameWriter
from tests.live.client import turns


class Socket:
    """Notes each write: the messages of it."""

    def __init__(self):
        self.writes = []
        self.is_full = self.is_closed = False

    def _check(self):
        if self.is_closed:
            raise WebSocketDisconnect(1006, "")

    def try_send_all(self, payloads, call):
        self._check()
        if not self.is_full:
            self.writes.append([payload.raw.decode() for payload in payloads])
        return not self.is_full

    def try_send(self, payload, call):
        return self.try_send_all([payload], call)

    async def send_payload(self, payload, call):
        await asyncio.sleep(0)
        self._check()
        self.writes.append([payload.raw.decode()])

    def post(self, payload):
        if not self.is_closed:
            self.writes.append([payload.raw.decode()])


class Writer(FrameWriter):
    def __init__(self):
        super().__init__(Socket())
        self.tasks = []

    def start_task(self, work):
        self.tasks.append(asyncio.ensure_future(work))
        return self.tasks[-1]


@pytest.fixture
def writer():
    return Writer()


async def hold(writer, *frames):
    writer.holds = True
    for frame in frames:
        assert writer.answering(frame) is None
    writer.holds = False


async def test_an_answer_is_written_at_once(writer):
    assert writer.answering(b"1") is None
    assert writer.ws.writes == [["1"]]


async def test_answers_are_written_with_the_one_that_nothing_follows(writer):
    await hold(writer, b"1", b"2")
    assert writer.ws.writes == []
    assert writer.answering(b"3") is None
    assert writer.ws.writes == [["1", "2", "3"]]
    await turns()
    assert writer.ws.writes == [["1", "2", "3"]]


async def test_whatever_is_sent_besides_goes_behind_them(writer):
    await hold(writer, b"1")
    writer.holds = True
    await writer.send(b"item")
    assert writer.ws.writes == [["1", "item"]]
    assert writer.answering(b"2") is None
    writer.post(b"left")
    assert writer.ws.writes[1:] == [["2"], ["left"]]


async def test_they_are_written_in_the_next_turn_whatever_happens(writer):
    await hold(writer, b"1", b"2")
    await asyncio.sleep(0)
    assert writer.ws.writes == [["1", "2"]]
    assert writer.tasks == []


async def test_no_more_are_held_than_a_few_pages(writer):
    big = b"x" * 9_000
    await hold(writer, big, big, b"1", b"2")
    assert [len(write) for write in writer.ws.writes] == [3]
    await turns()
    assert [len(write) for write in writer.ws.writes] == [3, 1]


async def test_a_client_that_does_not_read_gets_each_in_its_turn(writer):
    writer.ws.is_full = True
    await hold(writer, b"1", b"2")
    await writer.send(b"3")
    assert writer.ws.writes == [["1"], ["2"], ["3"]]
    await hold(writer, b"4", b"5")
    await turns()
    await asyncio.gather(*writer.tasks)
    assert writer.ws.writes[3:] == [["4"], ["5"]]


async def test_on_a_closed_connection_they_are_dropped(writer):
    await hold(writer, b"1")
    writer.ws.is_closed = True
    writer.post(b"left")
    await hold(writer, b"2")
    with pytest.raises(WebSocketDisconnect):
        writer.sending(b"3")
    await hold(writer, b"4")
    await turns()
    assert (writer.ws.writes, writer.tasks) == ([], [])
