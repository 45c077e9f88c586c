"""Calls of live sockets: order, concurrency, cancelling, timeouts, generators, and what a handler raises."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from contextvars import ContextVar

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404
from django.utils.functional import lazystr

from django_fastws import LiveError, WebSocketException
from django_fastws.exceptions import WebSocketConnectionError, WebSocketDisconnect
from tests.live.client import Gate, client, declare


@pytest.fixture
def room():
    return declare()


@pytest.fixture
def gate():
    return Gate()


async def test_events_of_one_room_are_handled_one_at_a_time_in_order_and_rooms_do_not_wait(room, gate):
    handled = []

    @room.on("note")
    async def note(ws, pk: int, n: int) -> int:
        handled.append((pk, n, "begins"))
        if n == 1:
            await gate.wait()
        await asyncio.sleep(0)
        handled.append((pk, n, "ends"))
        return n

    async with client() as one:
        await one.join("room/1")
        await one.join("room/2")
        for n in (1, 2, 3):
            await one.say(room="room/1", event="note", data={"n": n}, id=n)
        assert await one.call("room/2", "note", n=9) == 9
        gate.open()
        assert [await one.next() for _ in range(3)] == [{"id": n, "ok": n} for n in (1, 2, 3)]
    of_one = [(n, what) for pk, n, what in handled if pk == 1]
    assert of_one == [(n, what) for n in (1, 2, 3) for what in ("begins", "ends")]


async def test_a_concurrent_event_waits_for_the_join_before_it_and_for_nothing_else(room, gate):
    @room.on_join
    async def join(ws, pk):
        await asyncio.sleep(0)

    @room.on("slow")
    async def slow(ws) -> str:
        await gate.wait()
        return "slow"

    @room.on("beside", concurrent=True)
    async def beside(ws) -> str:
        await asyncio.sleep(0)
        return "beside"

    async with client() as one:
        await one.say(join="room/1", id=1)
        await one.say(room="room/1", event="beside", id=2)
        assert (await one.next())["id"] == 1
        assert await one.next() == {"id": 2, "ok": "beside"}
        await one.say(room="room/1", event="slow", id=3)
        assert await one.ok(room="room/1", event="beside", id=4) == "beside"
        await one.say(leave="room/1", id=5)
        await one.say(room="room/1", event="beside", id=6)
        assert await one.silent()
        gate.open()
        assert [(await one.next())["id"] for _ in range(3)] == [3, 5, 6]


CANCELLED = {"code": "cancelled", "message": "the call was cancelled", "retry": False}


async def test_a_call_that_runs_is_cancelled_and_those_behind_it_go_on(room, gate):
    seen = []

    @room.on("wait")
    async def wait(ws):
        try:
            await gate.wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    @room.on("next")
    async def following(ws) -> int:
        await asyncio.sleep(0)
        return asyncio.current_task().cancelling()

    async with client() as one:
        await one.join("room/1")
        await one.say(room="room/1", event="wait", id=1)
        await one.say(room="room/1", event="next", id=2)
        await gate.came.wait()
        await one.say(cancel=1)
        await one.say(cancel=1)
        assert await one.next() == {"id": 1, "error": CANCELLED}
        assert await one.next() == {"id": 2, "ok": 0}
        assert await one.call("room/1", "next") == 0
    assert seen == ["cancelled"]


async def test_a_call_that_waits_is_cancelled_at_once_and_never_runs(room, gate):
    ran = []

    @room.on("wait")
    async def wait(ws, n: int = 0):
        ran.append(n)
        await gate.wait()

    async with client() as one:
        await one.join("room/1")
        await one.say(room="room/1", event="wait", id=1)
        await one.say(room="room/1", event="wait", data={"n": 2}, id=2)
        await gate.came.wait()
        await one.say(cancel=2)
        assert await one.next() == {"id": 2, "error": CANCELLED}
        gate.open()
        assert await one.next() == {"id": 1, "ok": None}
        await one.say(cancel=1)  # too late
        await one.say(cancel="never")
        assert await one.silent()
    assert ran == [0]


@pytest.mark.parametrize("concurrent", [False, True])
async def test_a_handler_that_takes_no_notice_of_its_cancellation_is_answered_as_cancelled(room, gate, concurrent):
    @room.on("wait", concurrent=concurrent)
    async def wait(ws) -> int:
        try:
            await gate.wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
        return 1

    @room.on("fine")
    async def fine(ws) -> int:
        await asyncio.sleep(0)
        return asyncio.current_task().cancelling()

    async with client() as one:
        await one.join("room/1")
        await one.say(room="room/1", event="wait", id=1)
        await gate.came.wait()
        await one.say(cancel=1)
        assert await one.next() == {"id": 1, "error": CANCELLED}
        assert await one.call("room/1", "fine") == 0


async def test_a_generator_yields_items_until_it_ends_or_is_cancelled(room, gate):
    closed = []

    @room.on("numbers")
    async def count(ws, n: int, hang: bool = False):
        try:
            for number in range(n):
                yield number
            if hang:
                await gate.wait()
        finally:
            closed.append(n)

    async with client() as one:
        await one.join("room/1")
        await one.say(room="room/1", event="numbers", data={"n": 2}, id=1)
        assert [await one.next() for _ in range(3)] == [
            {"id": 1, "item": 0},
            {"id": 1, "item": 1},
            {"id": 1, "ok": None},
        ]
        await one.say(room="room/1", event="numbers", data={"n": 1, "hang": True}, id=2)
        assert await one.next() == {"id": 2, "item": 0}
        await one.say(cancel=2)
        assert await one.next() == {"id": 2, "error": CANCELLED}
        await one.say(room="room/1", event="numbers", data={"n": 3})  # without an id, nothing
        assert await one.silent()
    assert closed == [2, 1, 3]


async def test_timeouts_of_events_and_of_handlers(room, gate, caplog):
    @room.on("bounded", timeout=0.02)
    async def bounded(ws):
        await gate.wait()

    @room.on("items", timeout=0.02)
    async def items(ws):
        yield 1
        await gate.wait()

    @room.on("own")
    async def own(ws) -> str:
        try:
            async with asyncio.timeout(0.01):
                await gate.wait()
        except TimeoutError:
            async with asyncio.TaskGroup() as group:
                task = group.create_task(asyncio.sleep(0, "own"))
            return task.result()

    @room.on("let-out", timeout=30)
    async def let_out(ws):
        async with asyncio.timeout(0.01):
            await gate.wait()

    async with client() as one:
        await one.join("room/1")
        error = await one.error(room="room/1", event="bounded")
        assert error == {"code": "timeout", "message": "it took longer than 0.02 seconds", "retry": False}
        await one.say(room="room/1", event="items", id=1)
        assert [(await one.next()).get("item", "error") for _ in range(2)] == [1, "error"]
        assert await one.call("room/1", "own") == "own"
        assert not caplog.records
        assert await one.code(room="room/1", event="let-out") == "failed"
        assert "TimeoutError" in caplog.text


def group(*errors):
    return ExceptionGroup("several", errors)


# (what is raised, the code, the message, the fields)
RAISED = [
    (LiveError("closed", "it is closed", fields={"a": ["b"]}), "closed", "it is closed", {"a": ["b"]}),
    (LiveError("x", lazystr("\ud800"), fields={1: [lazystr("too long")]}), "x", "?", {"1": ["too long"]}),
    (PermissionDenied(), "forbidden", "permission denied", None),
    (PermissionDenied("not you"), "forbidden", "not you", None),
    (Http404("no ticket"), "not_found", "no ticket", None),
    (Http404(), "not_found", "not found", None),
    (ValidationError("too old"), "invalid", "too old", {"": ["too old"]}),
    (ValidationError({"text": ["a", "b"], "__all__": ["c"]}), "invalid", "text: a", {"text": ["a", "b"], "": ["c"]}),
    (WebSocketConnectionError("redis"), "unavailable", None, None),
    (group(PermissionDenied("not you")), "forbidden", "not you", None),
]


@pytest.mark.parametrize("waits", [False, True], ids=["at-once", "later"])
@pytest.mark.parametrize(("raised", "code", "message", "fields"), RAISED, ids=[repr(row[0])[:50] for row in RAISED])
async def test_what_a_handler_raises_is_told_by_its_code(room, caplog, waits, raised, code, message, fields):
    @room.on("fail")
    async def fail(ws):
        if waits:
            await asyncio.sleep(0)
        raise raised

    async with client() as one:
        await one.join("room/1")
        error = await one.error(room="room/1", event="fail")
    assert error["code"] == code
    assert message is None or error["message"] == message
    assert error.get("fields") == fields
    assert "redis" not in error["message"]
    assert all(code in record.getMessage() for record in caplog.records)  # a layer that is away, once a minute


FAILURES = [
    ValueError("secret"),
    KeyError("secret"),
    TimeoutError("secret"),
    ValidationError("%(secret)s", params={"other": 1}),
    group(PermissionDenied(), ValueError("secret")),
]


@pytest.mark.parametrize("raised", FAILURES, ids=lambda error: type(error).__name__)
async def test_a_failure_is_logged_once_and_the_client_told_nothing_of_it(room, caplog, raised):
    @room.on("fail")
    async def fail(ws):
        raise raised

    async with client() as one:
        await one.join("room/1")
        error = await one.error(room="room/1", event="fail")
        assert error == {"code": "failed", "message": "the server failed", "retry": False}
        assert await one.join("room/1")  # the socket is as it was
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert "'fail'" in record.getMessage()


async def test_an_answer_that_has_no_json_or_is_too_big_has_failed(room, caplog, settings):
    @room.on("object")
    async def nothing(ws):
        return object()

    @room.on("big")
    async def big(ws) -> str:
        return "x" * 2000

    @room.on("item")
    async def item(ws):
        yield "x" * 2000

    settings.FASTWS_MAX_MESSAGE_BYTES = 1000
    async with client() as one:
        await one.join("room/1")
        for event in ("object", "big", "item"):
            assert await one.code(room="room/1", event=event) == "failed"
    assert len(caplog.records) == 3


async def test_a_task_that_the_handler_awaits_and_others_cancel_is_a_failure(room, caplog):
    @room.on("fail")
    async def fail(ws):
        task = asyncio.ensure_future(asyncio.sleep(10))
        asyncio.get_running_loop().call_soon(task.cancel)
        await task

    async with client() as one:
        await one.join("room/1")
        assert await one.code(room="room/1", event="fail") == "failed"
        assert await one.join("room/1")
    assert "CancelledError" in caplog.text


async def test_an_exception_for_the_socket_closes_it(room):
    @room.on("bye")
    async def bye(ws):
        raise WebSocketException(4001, "bye")

    async with client() as one:
        await one.join("room/1")
        await one.say(room="room/1", event="bye", id=1)
        assert await one.ws.wait_closed() == 4001
        assert one.ws.close_reason == "bye"


async def test_what_a_handler_sets_in_context_variables_is_not_there_for_the_next(room):
    variable = ContextVar("variable", default="none")

    @room.on("set")
    async def set_it(ws) -> str:
        former = variable.get()
        variable.set("mine")
        await asyncio.sleep(0)
        assert variable.get() == "mine"
        return former

    @room.on("get")
    async def get(ws) -> str:
        return variable.get()

    async with client() as one:
        await one.join("room/1")
        for _ in range(3):
            assert await one.call("room/1", "set") == "none"
            assert await one.call("room/1", "get") == "none"


async def test_a_generator_that_never_waits_lets_others_have_their_turn_and_can_be_cancelled(room):
    @room.on("endless")
    async def endless(ws):
        while True:
            yield 1

    async with client() as one:
        await one.join("room/1")
        await one.say(room="room/1", event="endless", id=1)
        assert await one.next() == {"id": 1, "item": 1}
        await one.say(cancel=1)
        async with asyncio.timeout(30):
            while "error" not in (told := await one.next()):
                assert told == {"id": 1, "item": 1}
        assert told["error"]["code"] == "cancelled"


async def test_a_concurrent_call_is_cancelled_between_its_turn_and_the_beginning_of_its_task(room, gate):
    other, began = declare("other"), []

    @room.on_join
    async def join(ws):
        await gate.wait()

    @room.on("wait", concurrent=True)
    async def wait(ws):
        began.append(1)
        await asyncio.Event().wait()

    @other.on("open")
    async def open_gate(ws):
        gate.open()
        await asyncio.sleep(0)  # another task reads on: behind the join, and before the task of the call

    async with client() as one:
        await one.join("other")
        await one.say(join="room/1", id=1)
        await one.say(room="room/1", event="wait", id=2)
        await gate.crowd(1)
        await one.say(room="other", event="open", id=3)
        await one.say(cancel=2)
        answers = {told["id"]: told for told in [await one.next() for _ in range(3)]}
        assert answers[2] == {"id": 2, "error": CANCELLED}
    assert began == []


async def test_a_generator_that_takes_no_notice_of_its_cancellation_sends_nothing_more(room, gate):
    @room.on("numb")
    async def numb(ws):
        for number in range(5):
            with contextlib.suppress(asyncio.CancelledError):
                await gate.wait()
            yield number

    async with client() as one:
        await one.join("room/1")
        await one.say(room="room/1", event="numb", id=1)
        await gate.crowd(1)
        await one.say(cancel=1)
        assert await one.next() == {"id": 1, "error": CANCELLED}


class Odd(BaseException):
    pass


async def odd_exception():
    raise Odd


async def own_cancellation():
    asyncio.current_task().cancel()
    await asyncio.sleep(0)


@pytest.mark.parametrize("concurrent", [False, True])
@pytest.mark.parametrize("quits", [odd_exception, own_cancellation])
async def test_a_handler_that_ends_its_task_ends_the_connection_and_not_only_its_answer(room, quits, concurrent):
    @room.on("quit", concurrent=concurrent)
    async def quit_(ws):
        await asyncio.sleep(0)
        await quits()

    @room.on("wait", concurrent=True)
    async def wait(ws):
        await asyncio.sleep(0.01)

    async def play():
        async with client() as one:
            await one.join("room/1")
            await one.say(room="room/1", event="wait", id=1)  # in the task of the socket
            await one.say(room="room/1", event="quit", id=2)
            while True:
                await one.next()

    with pytest.raises((WebSocketDisconnect, Odd)):
        await play()
