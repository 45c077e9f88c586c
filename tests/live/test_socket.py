"""LiveSocket: what handlers and hooks do with the client."""

from __future__ import annotations

import asyncio
import datetime as dt
import re
from decimal import Decimal
from typing import Any

import pytest
from pydantic import Field

from django_fastws import Event, LiveError, MessageTooBig, Room, WebSocketDisconnect
from tests.live.client import Gate, client, declare


class Where(Event):
    room: int


class Moved(Event):
    at: dt.datetime
    from_: Any = Field(alias="from")


@pytest.fixture
def room():
    return declare()


async def test_what_a_socket_knows_of_its_client(room):
    sockets = []

    @room.on("look")
    async def look(ws) -> bool:
        sockets.append(ws)
        return (ws.remote_address.host, ws.scope["path"], ws.rooms) == ("127.0.0.1", "/ws/live", {"room/1"})

    async with client() as one:
        await one.join("room/1")
        assert await one.call("room/1", "look") is True
        await one.join("room/2")
        assert await one.call("room/2", "look") is False
    ws, again = sockets
    assert ws is again
    assert ws.rooms == {"room/1", "room/2"}
    assert "closed" in repr(ws)


async def test_emit_says_something_to_one_client(room):
    @room.on("tell")
    async def tell(ws) -> None:
        await ws.emit("news", {"a": 1})
        await ws.emit(Where(room=5))
        with pytest.raises(TypeError):
            await ws.emit(5)
        with pytest.raises(TypeError):
            await ws.emit("news", object())
        for name in ("", "\ud800"):
            with pytest.raises(ValueError, match="name of the event"):
                await ws.emit(name, 1)
        with pytest.raises(TypeError, match="another name"):
            await ws.emit("status", {"state": "closed"})
        with pytest.raises(MessageTooBig):
            await ws.emit("news", "x" * 2_000_000)

    async with client() as one, client() as two:
        for each in (one, two):
            await each.join("room/1")
        await one.say(room="room/1", event="tell", id=1)
        assert await one.next() == {"event": "news", "data": {"a": 1}}
        assert await one.next() == {"event": "where", "data": {"room": 5}}
        assert await one.next() == {"id": 1, "ok": None}
        assert await two.silent()


async def test_an_event_is_emitted_as_it_is_broadcast(room):
    at = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)

    @room.on("move")
    async def move(ws) -> None:
        moved = Moved(**{"at": at, "from": ["größe", Decimal("1.50"), float("inf")]})
        await ws.emit(moved)
        await Room("room/1").abroadcast(moved)
        with pytest.raises(TypeError, match="not JSON"):
            await ws.emit(Moved(**{"at": at, "from": object()}))

    async with client() as one:
        await one.join("room/1")
        await one.say(room="room/1", event="move", id=1)
        told = [await one.next() for _ in range(3)]
    assert {"id": 1, "ok": None} in told
    data = {"at": "2026-01-02T00:00:00Z", "from": ["größe", "1.50", None]}
    assert [frame["data"] for frame in told if frame.get("event") == "moved"] == [data, data]


async def test_ask_waits_for_the_answer_of_the_client(room):
    @room.on("ask")
    async def ask(ws) -> str:
        try:
            return str(await ws.ask("where", {"room": 5}, timeout=5))
        except LiveError as error:
            return f"{error.code}, {error.message}, {error.fields}"

    answers = [
        ({"ok": [1]}, "[1]"),
        ({}, "None"),
        ({"error": {"code": "no", "message": "I am not", "fields": {"a": ["b"]}}}, "no, I am not, {'a': ['b']}"),
        ({"error": {"code": 5, "message": [], "fields": {"a": 1}}}, "failed, , {'a': ['1']}"),
        ({"error": {}}, "failed, , {}"),
    ]
    async with client() as one:
        await one.join("room/1")
        for number, (answer, told) in enumerate(answers, 1):
            await one.say(room="room/1", event="ask", id="a")
            assert await one.next() == {"ask": number, "event": "where", "data": {"room": 5}}
            await one.say(answer=77, ok="nobody asked")
            await one.say(answer=number, **answer)
            await one.say(answer=number, ok="too late")
            assert await one.next() == {"id": "a", "ok": told}


async def test_ask_raises_if_there_is_no_answer_in_time(room):
    @room.on("ask")
    async def ask(ws) -> str:
        with pytest.raises(TimeoutError, match="'where'"):
            await ws.ask("where", timeout=0.01)
        return "timeout"

    async with client() as one:
        await one.join("room/1")
        await one.say(room="room/1", event="ask", id="a")
        assert (await one.next())["ask"] == 1
        assert await one.next() == {"id": "a", "ok": "timeout"}
        await one.say(answer=1, ok=1)
        assert await one.silent()


async def test_a_handler_that_lets_out_that_there_was_no_answer_has_not_failed(room, caplog):
    @room.on("ask", timeout=30)
    async def ask(ws) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(ws.ask("where", timeout=0.01))

    async with client() as one:
        await one.join("room/1")
        await one.say(room="room/1", event="ask", id="a")
        assert (await one.next())["ask"] == 1
        error = (await one.next())["error"]
    message = "the client did not answer 'where' in 0.01 seconds"
    assert error == {"code": "timeout", "message": message, "retry": False}
    assert not caplog.records


async def test_ask_raises_once_the_connection_is_closed(room):
    raised, gate = [], Gate()

    @room.on("keep")
    async def keep(ws) -> None:
        async def asking():
            for _ in range(2):
                try:
                    gate.came.set()
                    await ws.ask("where", timeout=None)
                except WebSocketDisconnect as error:
                    raised.append(error.code)

        tasks.append(asyncio.ensure_future(asking()))

    tasks = []
    async with client() as one:
        await one.join("room/1")
        await one.call("room/1", "keep")
        await one.next()
        await one.ws.close(4000)
        await asyncio.wait(tasks)
    assert raised == [4000, 4000]


async def test_close_closes_the_connection_and_leaves_its_rooms(room):
    left = []

    @room.on("bye")
    async def bye(ws) -> None:
        await ws.close(4001, "bye")

    @room.on_leave
    async def leave(ws, pk):
        left.append(pk)

    async with client() as one:
        await one.join("room/1")
        await one.say(room="room/1", event="bye", id=1)
        assert await one.ws.wait_closed() == 4001
    assert left == [1]


async def test_a_kind_of_room_is_no_room(room):
    problems = []

    @room.on("try")
    async def attempt(ws) -> None:
        for call in (ws.leave(room), ws.set_presence(room, 1)):
            with pytest.raises(TypeError) as raised:
                await call
            problems.append(str(raised.value))

    async with client() as one:
        await one.join("room/1")
        await one.call("room/1", "try")
    assert len(problems) == 2


async def test_broadcasts_exclude_the_client(room):
    @room.on("say")
    async def say(ws, room: Room, text: str) -> None:
        await room.abroadcast({"text": text}, exclude=ws)

    async with client() as one, client() as two:
        for each in (one, two):
            await each.join("room/1")
        await one.call("room/1", "say", text="hi")
        assert (await two.next())["data"] == {"text": "hi"}
        assert await one.silent()


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("send", r"`await ws.emit\(event, data\)` sends to this client alone"),
        ("send_json", r"ws.emit"),
        ("accept", "it is accepted already"),
        ("broadcast", r"`await room.abroadcast\(...\)`"),
        ("join", "clients join"),
        ("receive", r"@room.on"),
        ("path_params", "are parameters of the function"),
    ],
)
async def test_what_a_websocket_has_and_this_has_not_says_what_to_do(room, name, remedy):
    @room.on("try")
    async def attempt(ws) -> str:
        with pytest.raises(AttributeError) as raised:
            getattr(ws, name)
        assert not hasattr(ws, name)
        return str(raised.value)

    async with client() as one:
        await one.join("room/1")
        text = await one.call("room/1", "try")
    assert re.search(f"'LiveSocket' object has no attribute '{name}': .*{remedy}", text)


async def test_other_attributes_are_missing_as_ever(room):
    @room.on("try")
    async def attempt(ws) -> str:
        with pytest.raises(AttributeError) as raised:
            ws.username  # noqa: B018 (it is the reading that raises)
        return str(raised.value)

    async with client() as one:
        await one.join("room/1")
        assert await one.call("room/1", "try") == "'LiveSocket' object has no attribute 'username'"
