"""The protocol as a client of a test speaks it, against a server that says what the test wants."""

import asyncio
import json

import pytest

from django_fastws.testing import Left, ReceivedEvent, live


class Script:
    """Application that answers hellos, and says whatever the test puts there.

    Attributes:
        heard: frames of the client behind its hello.
    """

    def __init__(self):
        self.heard = asyncio.Queue()
        self.handshakes = 0

    async def __call__(self, scope, receive, send):
        assert scope["subprotocols"] == ["fastws.v1.json"]
        self._send = send
        self.handshakes += 1
        while (event := await receive())["type"] != "websocket.disconnect":
            if event["type"] == "websocket.connect":
                await send({"type": "websocket.accept", "subprotocol": "fastws.v1.json"})
                continue
            frame = json.loads(event["text"])
            if "hello" in frame:
                await self.say(id=frame["id"], ok={"ping": 25, "version": ""})
            else:
                self.heard.put_nowait(frame)

    async def say(self, **frame):
        await self._send({"type": "websocket.send", "text": json.dumps(frame)})

    async def join(self, client, **answer):
        """Have the client join "room", answered like that."""
        joining = asyncio.ensure_future(client.join("room"))
        frame = await self.heard.get()
        await self.say(id=frame["id"], ok={"room": "room", "recovered": False, **answer})
        return await joining


@pytest.fixture
def script():
    return Script()


async def test_a_position_is_kept_and_resumed_from(script):
    async with live(application=script) as client:
        room = await script.join(client, at="e:5", state=[1])
        assert (room.at, room.state, room.recovered) == ("e:5", [1], False)
        await script.say(room="room", event="said", data="x", at="e:6")
        assert await room.next() == ReceivedEvent("said", "x", at="e:6")
        await script.say(room="room", at="e:7")
        await script.say(room="room", event="typing", data=None)
        await room.next("typing")
        assert room.at == "e:7"
        returning = asyncio.ensure_future(client.reconnect())
        frame = await script.heard.get()
        assert (frame["join"], frame["since"]) == ("room", "e:7")
        await script.say(id=frame["id"], ok={"room": "room", "at": "e:7", "to": "e:8", "recovered": True})
        await script.say(room="room", event="said", data="missed", at="e:8")
        await returning
        assert (room.recovered, room.state, (await room.next()).data, room.at) == (True, [1], "missed", "e:8")
        assert script.handshakes == 2


async def test_a_state_that_comes_without_a_join_is_an_event(script):
    async with live(application=script) as client:
        room = await script.join(client, at="e:5", state=[1])
        await script.say(room="room", state=[1, 2], at="e:9")
        assert await room.next("state") == ReceivedEvent("state", [1, 2], at="e:9")
        assert (room.state, room.at) == ([1, 2], "e:9")
        await script.say(room="room", at="e:10", recovered=False)
        await room.next("state")
        assert (room.state, room.at) == (None, "e:10")


async def test_a_state_that_follows_the_answer_at_once_is_the_later_one(script):
    async with live(application=script) as client:
        joining = asyncio.ensure_future(client.join("room"))
        frame = await script.heard.get()
        await script.say(id=frame["id"], ok={"room": "room", "recovered": False, "state": "first"})
        await script.say(room="room", state="second")
        await script.say(room="room", left={"code": 4403, "reason": ""})
        room = await joining
        await room.wait_left()
        assert (room.state, room.joined, room.left) == ("second", False, Left(4403))


async def test_pings_mean_nothing_and_unknown_frames_are_shown(script):
    async with live(application=script) as client:
        room = await script.join(client)
        await script.say(ping=1)
        await script.say(room="room", later="issue")
        await script.say(room="elsewhere", event="said", data=1)
        await script.say(id=99, ok=None)
        await script.say(room="room", event="end")
        await room.next("end")
        with pytest.raises(TimeoutError) as caught:
            await room.next(timeout=0.02)
        assert [line.strip() for line in str(caught.value).splitlines()[1:]] == [
            "frame: {'room': 'room', 'later': 'issue'}",
            "frame: {'room': 'elsewhere', 'event': 'said', 'data': 1}",
            "frame: {'id': 99, 'ok': None}",
        ]


async def test_a_call_that_is_given_up_is_cancelled_and_its_late_answer_ignored(script):
    async with live(application=script) as client:
        room = await script.join(client)
        client.timeout = 0.02
        with pytest.raises(TimeoutError, match="'slow' was not answered"):
            await room.call("slow")
        call, cancel = await script.heard.get(), await script.heard.get()
        assert cancel == {"cancel": call["id"]}
        await script.say(id=call["id"], error={"code": "cancelled", "message": ""})
        await script.say(room="room", event="end")
        await room.next("end", timeout=5)
        with pytest.raises(TimeoutError, match="nothing else was received"):
            await room.next()


async def test_an_event_without_an_answer_has_no_id(script):
    async with live(application=script) as client:
        room = await script.join(client)
        await room.send("typing", is_typing=True)
        frame = {"room": "room", "event": "typing", "data": {"is_typing": True}}
        assert await script.heard.get() == frame
