"""Client of live rooms for these tests: speaks the protocol frame by frame, so that a test sees each of them."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

from django_fastws import FastWS
from django_fastws.asgi import get_asgi_application
from django_fastws.testing import connect

__all__ = ["Client", "Gate", "client", "declare", "turns"]

PATH = "/ws/live"


class Client:
    """One live socket."""

    def __init__(self, ws):
        self.ws = ws
        self.number = 100

    async def say(self, **frame):
        await self.ws.send_json(frame)

    async def next(self):
        """The next frame that the server says."""
        return await self.ws.receive_json()

    async def answer(self, **frame):
        """Say a frame with an id, and wait for its answer, which must be the next frame."""
        if "id" not in frame:
            self.number += 1
            frame["id"] = self.number
        await self.say(**frame)
        told = await self.next()
        assert told.pop("id", "none") == frame["id"], told
        return told

    async def ok(self, **frame):
        """The value of the answer."""
        told = await self.answer(**frame)
        assert set(told) == {"ok"}, told
        return told["ok"]

    async def error(self, **frame):
        """The error of the answer, without what it says for people."""
        told = await self.answer(**frame)
        assert set(told) == {"error"}, told
        return told["error"]

    async def code(self, **frame):
        """The code of the error."""
        return (await self.error(**frame))["code"]

    async def join(self, room, **more):
        return await self.ok(join=room, **more)

    async def call(self, room, event, id=None, **data):
        frame = {"room": room, "event": event, "data": data}
        return await self.ok(**frame) if id is None else await self.ok(**frame, id=id)

    async def silent(self):
        """Nothing comes."""
        return await self.ws.receive_nothing(0.05)


@asynccontextmanager
async def client(**options):
    """A client of the rooms that are declared."""
    async with connect(PATH, application=options.pop("application", None) or get_asgi_application(), **options) as ws:
        yield Client(ws)


def declare(pattern="room/{pk:int}", **options):
    return FastWS().room(pattern, **options)


class Gate:
    """What a handler waits for, until the test opens it; the test waits until somebody is there."""

    def __init__(self):
        self.came = asyncio.Event()
        self.opened = asyncio.Event()
        self.waiting = 0
        self._enough = asyncio.Condition()

    async def wait(self):
        self.waiting += 1
        self.came.set()
        async with self._enough:
            self._enough.notify_all()
        try:
            await self.opened.wait()
        finally:
            self.waiting -= 1
            async with self._enough:
                self._enough.notify_all()

    async def crowd(self, count):
        """So many wait."""
        async with self._enough:
            await self._enough.wait_for(lambda: self.waiting >= count)

    async def deserted(self):
        """Nobody waits any more."""
        async with self._enough:
            await self._enough.wait_for(lambda: not self.waiting)

    def open(self):
        self.opened.set()


async def turns(count=20):
    """Let everything that can go on do so."""
    for _ in range(count):
        await asyncio.sleep(0)
