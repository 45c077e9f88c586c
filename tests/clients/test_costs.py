"""What one message costs on its way, counted, not timed: it must not creep up."""

from __future__ import annotations

import asyncio
import dis
from collections import Counter
from types import CodeType
from typing import Any

import pytest

import django_fastws
from django_fastws._core.messages import Payload
from django_fastws.transports.events import as_message
from tests.support.profiling import profiled

from .conftest import run
from .peers import frame, listen, read_close, shake_hands

PACKAGE = django_fastws.__path__[0]
COUNT = 2000

_MAKES_A_DICT = {"BUILD_MAP", "BUILD_CONST_KEY_MAP", "MAP_ADD", "DICT_UPDATE", "DICT_MERGE"}


class Counted:
    """Counts what is made and called as long as the block lasts, in this thread.

    Attributes:
        tasks, futures: made by the event loop.
        calls: of the package's own functions.
    """

    def __init__(self) -> None:
        self.tasks = self.futures = 0
        self.calls: Counter[CodeType] = Counter()
        self._loop = asyncio.get_running_loop()

    @property
    def dicts(self) -> list[str]:
        """The functions that were called and make a dictionary."""
        return [
            code.co_qualname
            for code in self.calls
            if any(instruction.opname in _MAKES_A_DICT for instruction in dis.get_instructions(code))
        ]

    def __enter__(self) -> Counted:
        loop: Any = self._loop
        self._create_task, self._create_future = loop.create_task, loop.create_future
        loop.create_task, loop.create_future = self._count_task, self._count_future
        self._profiled = profiled(self._count_call)
        self._profiled.__enter__()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._profiled.__exit__(None, None, None)
        del self._loop.create_task, self._loop.create_future

    def _count_task(self, *args: Any, **options: Any) -> Any:
        self.tasks += 1
        return self._create_task(*args, **options)

    def _count_future(self) -> Any:
        self.futures += 1
        return self._create_future()

    def _count_call(self, frame: Any, event: str, arg: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(PACKAGE):
            self.calls[frame.f_code] += 1


async def count_received(app, server, wanted: int = COUNT) -> Counted:
    """Count while a route receives so many messages by ``async for``."""
    results = []

    @app.ws(server.url, max_queue=None)
    async def read(ws):
        await ws.recv()
        number = 0
        with Counted() as counted:
            async for _ in ws:
                number += 1
                if number == wanted:
                    break
        results.append(counted)

    await run(app)
    return results[0]


async def test_messages_of_a_flood_cost_no_task_no_future_and_no_dictionary(app, raw_peer):
    async def behave(reader, writer, number):
        await shake_hands(reader, writer)
        writer.write(frame(b"x" * 60) * (COUNT + 1))
        await read_close(reader)

    counted = await count_received(app, await raw_peer(behave))
    assert counted.tasks == 0
    assert counted.futures < COUNT / 20  # one for each read
    assert counted.dicts == []
    # __anext__ alone; and what reads, for each read.
    assert sum(counted.calls.values()) / COUNT < 1.2


async def test_a_message_that_is_waited_for_costs_one_future(app, raw_peer):
    go_on = asyncio.Event()

    async def behave(reader, writer, number):
        await shake_hands(reader, writer)
        writer.write(frame(b"first"))
        for _ in range(200):
            await writer.drain()
            await asyncio.sleep(0.001)
            writer.write(frame(b"x" * 60))
        go_on.set()
        await read_close(reader)

    counted = await count_received(app, await raw_peer(behave), 200)
    assert counted.dicts == []
    # Those of this test's peer are counted, too: a sleep and a drain are no more than two futures for each message.
    assert counted.tasks == 0
    assert counted.futures <= 3 * 200 + 50


async def test_messages_that_are_sent_cost_no_task_no_future_and_no_dictionary(app, peer):
    server = await peer(listen)
    results = []

    @app.ws(server.url, compression=None)
    async def speak(ws):
        await ws.send("first")
        with Counted() as counted:
            for _ in range(100):
                await ws.send("x" * 60)
        results.append(counted)

    assert await run(app)
    (counted,) = results
    assert (counted.tasks, counted.futures, counted.dicts) == (0, 0, [])
    assert sum(counted.calls.values()) / 100 < 20
    assert len((await server.visits[0].ended()).received) == 101


async def test_the_guard_sees_what_it_guards_against():
    with Counted() as counted:
        as_message(Payload("a dictionary"))
        await asyncio.create_task(asyncio.sleep(0.001))
    assert (counted.tasks, counted.futures) == (1, 1)
    assert counted.dicts == ["as_message"]


@pytest.mark.parametrize("library", ["plain"], indirect=True)
async def test_it_sees_what_the_plain_transport_costs(app, raw_peer):
    async def behave(reader, writer, number):
        await shake_hands(reader, writer)
        writer.write(frame(b"x") * (COUNT + 1))
        await read_close(reader)

    counted = await count_received(app, await raw_peer(behave))
    names = {code.co_qualname: count for code, count in counted.calls.items()}
    assert names["WebsocketsTransport.receive_data"] >= COUNT
