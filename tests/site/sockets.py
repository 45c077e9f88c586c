"""Handlers for the WebSocket object: its calls, its beginnings and its ends."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from django_fastws import FastWS, MessageTooBig, WebSocket, WebSocketDisconnect, WebSocketError, WebSocketException

from .reports import tell, told

app = FastWS(prefix="/ws", tags=["site", "sockets"])


@app.websocket("/do")
async def do(ws: WebSocket) -> None:
    """Does what it is told: ``{"call": "send_text", "args": ["hello"]}``, and answers with what came of it."""
    await ws.accept()
    while True:
        command = await ws.receive_json()
        try:
            returned = await getattr(ws, command["call"])(*command.get("args", ()))
        except (WebSocketError, TypeError, ValueError) as error:
            await ws.send_json({"raised": type(error).__name__, "says": str(error)})
        else:
            await ws.send_json({"returned": _plain(returned)})


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    return value.data if hasattr(value, "data") else value


@app.websocket("/blob")
async def blob(ws: WebSocket, size: int, kind: str = "text") -> None:
    """Sends one message of so many bytes."""
    await ws.accept()
    try:
        await ws.send("x" * size if kind == "text" else b"x" * size)
    except MessageTooBig as error:
        await ws.send_json({"size": error.size, "limit": error.limit})


@app.websocket("/empties")
async def empties(ws: WebSocket) -> None:
    """Sends an empty text and an empty binary message, then says what it gets."""
    await ws.accept()
    await ws.send_text("")
    await ws.send_bytes(b"")
    for _ in range(2):
        await ws.send_text(repr((await ws.receive()).data))


# ── Beginnings ──────────────────────────────────────────────────────────────────────────────────────────────────────


@app.websocket("/opening/{how}")
async def opening(ws: WebSocket, how: str, token: str = "") -> None:
    """Ends before it has accepted."""
    if how == "close":
        await ws.close()
    elif how == "close with a code":
        await ws.close(4001, "not today")
    elif how == "exception":
        raise WebSocketException(4003, "not you")
    elif how == "error":
        raise RuntimeError(f"on purpose: {token}")
    elif how == "disconnect":
        raise WebSocketDisconnect


@app.websocket("/waiting/{token}")
async def waiting(ws: WebSocket, token: str) -> None:
    """Accepts when it is told to."""
    await told(f"accept {token}")
    try:
        await ws.accept()
        await ws.receive()
    except Exception as error:
        tell(token, raised=type(error).__name__, code=ws.close_code)
        raise


@app.websocket("/go/{token}")
async def go(ws: WebSocket, token: str) -> None:
    """Tells ``waiting`` to accept."""
    tell(f"accept {token}")


@app.websocket("/offer")
async def offer(ws: WebSocket, choose: str | None = None) -> None:
    """Accepts with a subprotocol."""
    try:
        await ws.accept(subprotocol=choose)
    except ValueError as error:
        await ws.accept()
        await ws.send_text(str(error))
        return
    await ws.send_json({"subprotocol": ws.subprotocol})


@app.websocket("/accept-headers")
async def accept_headers(ws: WebSocket) -> None:
    """Accepts with headers of its own."""
    await ws.accept(headers=[("X-One", "1"), (b"set-cookie", b"a=1"), ("Set-Cookie", "b=2")])


@app.websocket("/about/{word}", tags=["about"])
async def about(ws: WebSocket, word: str, number: int = 0) -> None:
    """Says what it knows of the connection."""
    await ws.accept()
    await ws.send_json(
        {
            "header": ws.headers.get("X-Custom"),
            "headers": ws.headers.getlist("x-twice"),
            "cookies": ws.cookies,
            "query": ws.query_params.getlist("q"),
            "params": ws.path_params,
            "number": number,
            "url": ws.url,
            "client": ws.client,
            "remote": ws.remote_address,
            "local": ws.local_address,
            "tags": ws.tags,
            "user": str(ws.user),
            "session": ws.session.session_key,
            "id": ws.id,
        }
    )


# ── Ends ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@app.websocket("/ending/{how}")
async def ending(ws: WebSocket, how: str, code: int = 1000, reason: str = "", token: str = "") -> None:
    """Ends in one way or another once it has been sent something."""
    await ws.accept()
    await ws.receive()
    if how == "close":
        await ws.close(code, reason)
        tell(token, code=ws.close_code, reason=ws.close_reason, state=ws.client_state, closed=ws.closed)
    elif how == "exception":
        raise WebSocketException(code, reason)
    elif how == "error":
        raise RuntimeError(f"on purpose: {token}")
    elif how == "group":
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_raise(WebSocketException(code, reason)))
            tasks.create_task(asyncio.Event().wait())
    elif how == "cancel":
        task = asyncio.current_task()
        assert task is not None
        task.cancel(f"on purpose: {token}")
        await asyncio.Event().wait()


async def _raise(error: Exception) -> None:
    raise error


@app.websocket("/watch/{how}/{token}")
async def watch(ws: WebSocket, how: str, token: str) -> None:
    """Notices in one way or another that the client has gone, and tells how it went."""
    await ws.accept()
    await ws.send_text("watching")
    raised, got = None, []
    try:
        if how == "for":
            async for message in ws:
                got.append(message.data)
        elif how == "receive":
            while True:
                got.append((await ws.receive()).data)
        elif how == "state":
            while ws.client_state == 1:
                got.append(await ws.receive_text())
        elif how == "send":
            while True:
                await ws.send_text("tick")
                await asyncio.sleep(0.01)
        elif how == "poll":
            while not ws.closed:  # noqa: ASYNC110 (that is what is tested)
                await asyncio.sleep(0.01)
    except WebSocketDisconnect as error:
        raised = {"code": error.code, "reason": error.reason}
    finally:
        facts = {"code": ws.close_code, "reason": ws.close_reason, "state": ws.client_state, "closed": ws.closed}
        tell(token, raised=raised, got=got, **facts)


@app.websocket("/careless/{token}")
async def careless(ws: WebSocket, token: str) -> None:
    """Does not catch the disconnect."""
    await ws.accept()
    try:
        while True:
            await ws.receive()
    finally:
        tell(token)


@app.websocket("/late/{token}")
async def late(ws: WebSocket, token: str) -> None:
    """Goes on for a while after the client has left, and only then looks for what it sent."""
    await ws.accept()
    await ws.send_text("busy")
    await told(f"accept {token}")
    got = [message.data async for message in ws]
    tell(token, got=got, code=ws.close_code)


@app.websocket("/ping")
async def ping(ws: WebSocket) -> None:
    """Pings its client, once for each message."""
    await ws.accept()
    async for _ in ws:
        started = time.perf_counter()
        try:
            seconds = await ws.ping()
        except NotImplementedError as error:
            await ws.send_json({"raised": str(error)})
        else:
            await ws.send_json({"seconds": seconds, "at most": time.perf_counter() - started})


@app.websocket("/ping/{token}")
async def unanswered(ws: WebSocket, token: str) -> None:
    """Pings a client that does not answer."""
    await ws.accept()
    try:
        await ws.ping()
    except Exception as error:
        tell(token, raised=type(error).__name__, code=ws.close_code)
        raise


@app.websocket("/pour/{token}")
async def pour(ws: WebSocket, token: str, megabytes: int) -> None:
    """Sends much to a client, and tells how much it could send in a second."""
    await ws.accept()
    sent = 0

    async def send() -> None:
        nonlocal sent
        while sent < megabytes:
            await ws.send_bytes(b"x" * (1024 * 1024 - 16))
            sent += 1

    sending = asyncio.create_task(send())
    await asyncio.wait([sending], timeout=1)
    tell(token, sent=sent)
    await sending


@app.websocket("/closed-from-beside/{token}")
async def closed_from_beside(ws: WebSocket, token: str) -> None:
    """Another task closes while the handler receives."""
    await ws.accept()
    await ws.receive()
    closing = asyncio.create_task(ws.close(4321, "from beside"))
    got = [message.data async for message in ws]
    await closing
    tell(token, got=got, code=ws.close_code, reason=ws.close_reason)


# ── For the tests ───────────────────────────────────────────────────────────────────────────────────────────────────


@app.websocket("/report/{token}")
async def report(ws: WebSocket, token: str) -> None:
    """Hands out what a handler has told."""
    await ws.accept()
    asking, gone = asyncio.create_task(told(token)), asyncio.create_task(ws.receive())
    await asyncio.wait([asking, gone], return_when=asyncio.FIRST_COMPLETED)
    if asking.done():
        gone.cancel()
        await ws.send_json(asking.result())
    else:
        asking.cancel()
        await gone


@app.websocket("/take-json")
async def take_json(ws: WebSocket) -> None:
    """Takes JSON, and nothing else."""
    await ws.accept()
    while True:
        await ws.receive_json()
