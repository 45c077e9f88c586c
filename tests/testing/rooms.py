"""Live rooms for the tests of their test client."""

import asyncio

from django.core.exceptions import PermissionDenied

from django_fastws import Event, FastWS, LiveError, LiveSocket, Room

__all__ = ["Said", "declare"]


class Said(Event):
    who: str
    text: str


def declare():
    """Rooms "tickets/{pk:int}" with one of each kind of event; what has left is in ``left``."""
    tickets = FastWS().room("tickets/{pk:int}")
    tickets.relay("typing", bool)
    tickets.left = []
    tickets.states = 0

    @tickets.on_join
    async def enter(ws: LiveSocket, pk: int):
        if pk == 0:
            raise PermissionDenied("not this one")

    @tickets.on_leave
    async def leave(ws: LiveSocket, pk: int):
        tickets.left.append((pk, ws.client_id))

    @tickets.state
    async def state(ws: LiveSocket, pk: int) -> dict[str, int]:
        tickets.states += 1
        return {"pk": pk, "states": tickets.states}

    @tickets.on("say")
    async def say(ws: LiveSocket, room: Room, pk: int, text: str) -> int:
        await room.abroadcast(Said(who=ws.user.username, text=text))
        return len(text)

    @tickets.on("numbers")
    async def count(ws: LiveSocket, to: int):
        for number in range(to):
            yield number

    @tickets.on("for_ever")
    async def for_ever(ws: LiveSocket, room: Room):
        try:
            while True:
                yield "again"
                await asyncio.sleep(0)
        finally:
            await room.abroadcast("stopped", "stopped")

    @tickets.on("wait")
    async def wait(ws: LiveSocket, room: Room):
        try:
            await asyncio.Event().wait()
        finally:
            await room.abroadcast("stopped", "stopped")

    @tickets.on("refuse")
    async def refuse(ws: LiveSocket):
        raise LiveError("full", "no more", fields={"text": ["too much"]}, retry_after=2.5)

    @tickets.on("remove")
    async def remove(ws: LiveSocket, sure: str = "confirm"):
        return await ws.ask(sure, {"what": "all"})

    @tickets.on("toast")
    async def toast(ws: LiveSocket, text: str):
        await ws.emit("toast", {"text": text})

    @tickets.on("quit")
    async def quit_(ws: LiveSocket, room: Room):
        await ws.leave(room)

    @tickets.on("hang_up")
    async def hang_up(ws: LiveSocket):
        await ws.close(4000, "enough")

    @tickets.on("fail")
    async def fail(ws: LiveSocket):
        raise ValueError("on purpose")

    return tickets
