"""One thread, and what it is given to do."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from django_fastws.worker import Worker
from tests.support.pools import look_often

LIMIT = 30  # seconds that any one thing may take
VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("test_worker", default="none")


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    look_often(monkeypatch)
    made = Worker("test-worker")
    yield made
    end = made.stop()
    if end is not None:
        end.result(LIMIT)


class Gate:
    """A function that waits until the gate is opened."""

    def __init__(self) -> None:
        self.begun, self.opened = threading.Event(), threading.Event()

    def __call__(self, answer: Any) -> Any:
        self.begun.set()
        assert self.opened.wait(LIMIT)
        return answer


async def begun(gate: Gate) -> None:
    assert await asyncio.to_thread(gate.begun.wait, LIMIT)


async def test_a_call_runs_in_the_thread_with_the_variables_of_the_task_and_leaves_them(worker):
    def look(value: str) -> tuple[str, str]:
        former = VARIABLE.get()
        VARIABLE.set(value)
        return threading.current_thread().name, former

    VARIABLE.set("of the task")
    assert await worker.call(look, "of the call") == ("test-worker", "of the task")
    assert VARIABLE.get() == "of the task"
    assert worker.jobs == 0


async def test_an_error_reaches_who_waits_and_the_thread_goes_on(worker):
    with pytest.raises(ZeroDivisionError):
        await worker.call(lambda number: 1 / number, 0)
    assert (worker.jobs, await worker.call(len, "xy")) == (0, 2)


async def test_a_call_that_is_cancelled_before_its_turn_is_not_made(worker):
    gate, called = Gate(), []
    first = worker.call(gate, 1)
    await begun(gate)
    second = worker.call(called.append, 2)
    second.cancel()
    gate.opened.set()
    assert await first == 1
    await worker.call(called.append, 3)
    assert called == [3]


async def test_who_is_cancelled_in_the_middle_of_a_call_does_not_wait_for_its_end(worker):
    gate = Gate()
    waiting = asyncio.ensure_future(asyncio.wait_for(worker.call(gate, 1), LIMIT))
    await begun(gate)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert worker.jobs == 1
    gate.opened.set()
    assert await worker.call(len, "xyz") == 3


def test_a_loop_that_is_closed_before_the_end_of_a_call_leaves_the_thread_as_it_was(worker):
    gate = Gate()

    async def leave() -> None:
        worker.call(gate, 1)
        await begun(gate)

    asyncio.run(leave())
    gate.opened.set()

    async def call() -> int:
        return await worker.call(len, "x")

    assert asyncio.run(call()) == 1


async def test_calls_and_what_asgiref_submits_wait_in_one_queue(worker):
    gate, order = Gate(), []
    first = worker.call(gate, 1)
    await begun(gate)
    submitted = worker.submit(order.append, "submitted")
    called = worker.call(order.append, "called")
    gate.opened.set()
    await asyncio.gather(first, called, asyncio.wrap_future(submitted))
    assert order == ["submitted", "called"]
