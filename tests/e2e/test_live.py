"""Live rooms on real servers: one socket, calls, broadcasts over two processes, and the end."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.server.client import RawClient, make_frame
from tests.site.client import abort, connect, token

pytestmark = pytest.mark.server

PATH = "/ws/live"


async def say(ws, **frame):
    await ws.send(json.dumps(frame))


async def told(ws):
    return json.loads(await ws.recv())


async def answer(ws, **frame):
    await say(ws, **frame)
    return await told(ws)


async def joined(ws, name, client):
    assert "ok" in await answer(ws, hello={"client": client}, id=1)
    got = await answer(ws, join=f"live/{name}", id=2)
    assert got == {"id": 2, "ok": {"room": f"live/{name}", "recovered": False, "state": name}}


@pytest.mark.redis
@pytest.mark.parametrize("kind", ["daphne", "uvicorn"])
async def test_members_in_two_processes(site, kind):
    one, two = site(kind, layer="ours"), site(kind, layer="ours", number=2)
    name = token()
    room = f"live/{name}"
    async with connect(one, PATH, subprotocols=["fastws.v1.json"]) as ada, connect(two, PATH) as bob:
        assert ada.subprotocol == "fastws.v1.json"
        await joined(ada, name, "c-ada")
        await joined(bob, name, "c-bob")
        await say(ada, room=room, event="say", data={"text": "hi"}, id=3)
        got = [await told(ada), await told(ada)]
        assert {"id": 3, "ok": 2} in got
        assert {"room": room, "event": "said", "data": {"text": "hi"}} in got
        assert await told(bob) == {"room": room, "event": "said", "data": {"text": "hi"}}
        await say(ada, room=room, event="typing", data=True)
        assert await told(bob) == {"room": room, "event": "typing", "data": True, "from": "c-ada"}
        items = [await answer(bob, room=room, event="numbers", data={"n": 2}, id=4), await told(bob), await told(bob)]
        assert items == [{"id": 4, "item": 0}, {"id": 4, "item": 1}, {"id": 4, "ok": None}]
        abort(ada)
        assert await told(bob) == {"room": room, "event": "gone", "data": {"client": "c-ada"}}


@pytest.mark.redis
async def test_a_call_that_is_done_once_is_not_done_by_another_process_again(site):
    one, two = site("daphne", layer="ours"), site("daphne", layer="ours", number=2)
    name, call = token(), {"event": "pay", "id": "call-1", "once": True, "data": {"amount": 5}}
    headers = {"Cookie": "sessionid=one-session-of-a-browser-00000"}
    async with connect(one, PATH, additional_headers=headers) as ws:
        await joined(ws, name, "c-1")
        await say(ws, room=f"live/{name}", **call)
        assert (await answer(ws, join=f"live/{token()}", id=9))["id"] == 9  # so the call before it has been read
        abort(ws)
    async with connect(two, PATH, additional_headers=headers) as ws:
        await joined(ws, name, "c-1")
        assert await answer(ws, room=f"live/{name}", **call) == {"id": "call-1", "ok": [5]}
        # This process was not paid.
        assert (await answer(ws, room=f"live/{name}", **{**call, "once": False}))["ok"] == [5]


@pytest.mark.parametrize("kind", ["daphne", "uvicorn"])
async def test_a_flood_of_calls_is_answered_whole(site, kind):
    name = token()
    async with connect(site(kind), PATH) as ws:
        await joined(ws, name, "c-1")

        async def flood():
            for n in range(2000):
                await say(ws, room=f"live/{name}", event="numbers", data={"n": 1}, id=n + 10)

        flooding = asyncio.ensure_future(flood())
        answered = set()
        while len(answered) < 2000:
            got = await told(ws)
            if "ok" in got:
                answered.add(got["id"])
        await flooding


@pytest.mark.parametrize("kind", ["daphne", "runws_server", "uvicorn", "uvicorn-websockets", "uvicorn-wsproto"])
async def test_frames_that_come_at_once_are_answered_in_their_order(site, kind):
    """What waits for nothing is answered in one write, in which what waits and what is told has its place."""
    room = f"live/{token()}"
    frames, expected = (
        [{"join": room, "id": "join"}],
        [{"id": "join", "ok": {"room": room, "recovered": False, "state": room[5:]}}],
    )
    for n in range(100):
        event = ("now", "now", "tell", "now", "numbers")[n % 5]
        frames.append({"room": room, "event": event, "data": {"n": n % 3 if event == "numbers" else n}, "id": n})
        if event == "tell":
            expected.append({"event": "told", "data": n})
        if event == "numbers":
            expected += [{"id": n, "item": number} for number in range(n % 3)]
        expected.append({"id": n, "ok": None if event == "numbers" else n})
    frames.append({"leave": room, "id": "leave"})
    expected.append({"id": "leave", "ok": None})
    async with RawClient(site(kind), PATH) as client:
        client.writer.write(b"".join(make_frame(1, json.dumps(frame).encode()) for frame in frames))
        got = [await client.receive() for _ in expected]
        assert [json.loads(frame.payload) for frame in got] == expected
