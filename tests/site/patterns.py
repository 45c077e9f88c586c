"""Handlers as people write them who come from other frameworks: plain sets of sockets, plain exceptions."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from typing import Any

from django_fastws import FastWS, WebSocket, WebSocketException

from .reports import tell

app = FastWS(prefix="/ws/patterns", tags=["site", "patterns"])

everyone: set[WebSocket] = set()
chats: dict[str, set[WebSocket]] = defaultdict(set)


@app.websocket("/reply")
async def reply(ws, token: str = ""):
    """The least there is: no annotation, a loop without an end, and whatever ends it is caught."""
    await ws.accept()
    try:
        while True:
            words = await ws.receive_text()
            await ws.send_json({"reply": "got it", "words": words})
    except Exception as error:
        tell(token, ended_by=type(error).__name__, says=str(error))


async def to_all(members: set[WebSocket], data: Any, but: WebSocket | None = None) -> None:
    """Send to every socket of a set; whoever cannot be reached is dropped from it."""
    for ws in list(members):
        if ws is not but:
            try:
                await ws.send_json(data)
            except Exception:
                members.discard(ws)


@app.websocket("/everyone")
async def crowd(ws: WebSocket) -> None:
    """Whatever one says, all hear, and how many they are."""
    await ws.accept()
    everyone.add(ws)
    try:
        await ws.send_json({"here": len(everyone)})
        while True:
            words = await ws.receive_text()
            await to_all(everyone, {"words": words, "total": len(everyone)})
    except Exception:
        pass
    finally:
        everyone.discard(ws)


@app.websocket("/everyone/dead")
async def dead(ws: WebSocket) -> None:
    """Closes its socket and leaves it in the set."""
    await ws.accept()
    everyone.add(ws)
    await ws.close()


@app.websocket("/everyone/count")
async def count(ws: WebSocket) -> None:
    """How many sockets the set has."""
    await ws.accept()
    await ws.send_json(len(everyone))


@app.websocket("/chat/{room}")
async def chat(ws, room: str, username: str = "Anonymous"):
    """A chat room of one process: who comes, what they say, and who goes."""
    await ws.accept()
    members = chats[room]
    members.add(ws)
    await to_all(members, {"type": "user_joined", "username": username, "room": room}, but=ws)
    try:
        while True:
            words = await ws.receive_text()
            await to_all(members, {"type": "message", "username": username, "message": words})
    except Exception as error:
        if not isinstance(error, ConnectionError):
            raise
    finally:
        members.discard(ws)
        await to_all(members, {"type": "user_left", "username": username})


@app.websocket("/while-connected/{token}")
async def while_connected(ws, token: str):
    """Asks for the state before each message."""
    await ws.accept()
    turns = 0
    try:
        while ws.client_state == 1:
            words = await ws.receive_text()
            turns += 1
            await ws.send_text(f"Echo: {words}")
    finally:
        tell(token, turns=turns, state=int(ws.client_state))


@app.websocket("/careful/{token}")
async def careful(ws, token: str):
    """Tells apart a client that has left, input that is wrong, and an error that closes."""
    seen = []
    try:
        await ws.accept()
        while True:
            try:
                number = int(await ws.receive_text())
                if number == 0:
                    raise WebSocketException(4400, "zero")
                await ws.send_json({"half": 10 / number})
            except ConnectionError:
                seen.append("gone")
                break
            except ValueError as error:
                await ws.send_json({"error": str(error)})
    except WebSocketException as error:
        seen.append(f"{error.code} - {error.reason}")
        await ws.close(error.code, error.reason)
    finally:
        seen.append("cleaned up")
        tell(token, seen=seen)


@app.websocket("/careful-json/{token}")
async def careful_json(ws: WebSocket, token: str) -> None:
    """Answers what is not JSON with an error, and goes on."""
    await ws.accept()
    while True:
        try:
            await ws.send_json({"got": await ws.receive_json()})
        except ConnectionError:
            break
        except ValueError as error:
            await ws.send_json({"error": type(error).__name__})
    tell(token, closed=ws.closed)


@app.websocket("/heartbeat/{token}")
async def heartbeat(ws, token: str):
    """A task beside the handler sends until it cannot."""

    async def beat() -> str:
        while True:
            await asyncio.sleep(0.01)
            try:
                await ws.send_json({"type": "ping"})
            except Exception as error:
                return type(error).__name__

    await ws.accept()
    task = asyncio.create_task(beat())
    with contextlib.suppress(Exception):
        while True:
            await ws.receive_text()
    tell(token, heart_stopped_by=await task)


async def _serve(ws: WebSocket) -> None:
    while True:
        await ws.send_text(await ws.receive_text())


@app.websocket("/lifetime/{token}")
async def lifetime(ws, token: str, seconds: float):
    """Serves for a limited time."""
    await ws.accept()
    try:
        await asyncio.wait_for(_serve(ws), timeout=seconds)
    except asyncio.TimeoutError:  # noqa: UP041 (as it was written before Python 3.11)
        await ws.close()
        tell(token, ended_by="time", state=int(ws.client_state))
    except ConnectionError:
        tell(token, ended_by="client", state=int(ws.client_state))


@app.websocket("/patient")
async def patient(ws: WebSocket) -> None:
    """Gives up waiting again and again, and loses nothing by it."""
    await ws.accept()
    while True:
        with contextlib.suppress(asyncio.TimeoutError):
            words = await asyncio.wait_for(ws.receive_text(), timeout=0.001)
            await ws.send_text(words)


@app.websocket("/identity")
async def identity(ws: WebSocket) -> None:
    """Compares itself with itself and with another socket."""
    await ws.accept()
    everyone.add(ws)
    try:
        others = everyone - {ws}
        await ws.send_json(
            {
                "found": ws in everyone and ws in list(everyone),
                "equal": [ws == other for other in others],
                "same hash": len({hash(ws), hash(ws)}) == 1,
                "as a key": {ws: "value"}[ws],
            }
        )
        await ws.receive()
    finally:
        everyone.discard(ws)
