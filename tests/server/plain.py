"""A plain ASGI application, without the package around it: what the server itself gives, seen from inside."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import hashlib
import json
import os
import resource
from typing import Any
from urllib.parse import parse_qs

from tests.server.client import MEGABYTE
from tests.site.reports import tell, told

#: Everything that the lifespan has done so far.
LIFE: list[str] = []


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Dispatches on the first part of the path."""
    if scope["type"] == "lifespan":
        await lifespan(scope, receive, send)
        return
    name, _, rest = scope["path"].lstrip("/").partition("/")
    query = {key: values[-1] for key, values in parse_qs(scope["query_string"].decode(), True).items()}
    await globals()[f"{scope['type']}_{name}"](scope, receive, send, rest, query)


async def lifespan(scope: Any, receive: Any, send: Any) -> None:
    """Begins and ends, and says so."""
    assert (await receive())["type"] == "lifespan.startup"
    scope["state"]["started"] = ["once"]
    await send({"type": "lifespan.startup.complete"})
    assert (await receive())["type"] == "lifespan.shutdown"
    print("the lifespan has ended", flush=True)
    await send({"type": "lifespan.shutdown.complete"})


# WebSockets


async def websocket_echo(scope: Any, receive: Any, send: Any, token: str, query: Any) -> None:
    """Sends back what comes, and tells how it ended."""
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": event.get("text"), "bytes": event.get("bytes")})
    if token:
        tell(token, **event)


async def websocket_script(scope: Any, receive: Any, send: Any, token: str, query: Any) -> None:
    """Sends the messages of a script, tells what each raised, and then what it has received."""
    await receive()
    raised = []
    for message in json.loads(query["script"]):
        for key in ("bytes", "body"):
            if key in message:
                message[key] = message[key].encode()
        if "headers" in message:
            message["headers"] = [(name.encode(), value.encode()) for name, value in message["headers"]]
        try:
            await send(message)
        except Exception as error:
            raised.append(f"{type(error).__name__}: {error}")
        else:
            raised.append("")
    received = []
    while not received or received[-1]["type"] != "websocket.disconnect":
        received.append(await receive())
    tell(token, raised=raised, received=received)


async def websocket_scope(scope: Any, receive: Any, send: Any, token: str, query: Any) -> None:
    """Sends the scope."""
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": _plain(scope)})
    await receive()


async def websocket_fail(scope: Any, receive: Any, send: Any, when: str, query: Any) -> None:
    """Fails, or returns, before or after the handshake is answered."""
    await receive()
    if "before" not in when:
        await send({"type": "websocket.accept"})
        await receive()
    if "return" not in when:
        raise RuntimeError(f"on purpose: {query.get('token')}")


async def websocket_busy(scope: Any, receive: Any, send: Any, token: str, query: Any) -> None:
    """Receives nothing until it is told to go on; then tells what it gets, and how it ended."""
    await receive()
    await send({"type": "websocket.accept"})
    await told(f"go {token}")
    await _count(receive, token)


async def websocket_later(scope: Any, receive: Any, send: Any, token: str, query: Any) -> None:
    """Accepts when it is told to; then tells what it gets, and how it ended."""
    await receive()
    await told(f"go {token}")
    await send({"type": "websocket.accept"})
    await _count(receive, token)


async def _count(receive: Any, token: str) -> None:
    sizes = []
    while (event := await receive())["type"] == "websocket.receive":
        sizes.append(len(event.get("text") or event.get("bytes") or ""))
    tell(token, messages=len(sizes), bytes=sum(sizes), end=event)


async def websocket_pour(scope: Any, receive: Any, send: Any, token: str, query: Any) -> None:
    """Sends megabytes, and tells how many it could send within a second."""
    await receive()
    await send({"type": "websocket.accept"})
    sent = 0

    async def pour() -> None:
        nonlocal sent
        for _ in range(int(query["megabytes"])):
            await send({"type": "websocket.send", "bytes": b"x" * int(query.get("size", 1024 * 1024))})
            sent += 1

    pouring = asyncio.create_task(pour())
    await asyncio.wait([pouring], timeout=1)
    tell(token, sent=sent)
    await pouring
    tell(f"end-{token}", sent=sent)


async def websocket_stubborn(scope: Any, receive: Any, send: Any, token: str, query: Any) -> None:
    """Goes on after its client has gone, until it is cancelled."""
    await receive()
    await send({"type": "websocket.accept"})
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        print(f"cancelled: {token}", flush=True)
        raise


async def websocket_silent(scope: Any, receive: Any, send: Any, token: str, query: Any) -> None:
    """Never answers the handshake."""
    await receive()
    tell(f"asked {token}")
    tell(token, **(await receive()))


# HTTP


async def http_told(scope: Any, receive: Any, send: Any, token: str, query: Any) -> None:
    """What an application has told."""
    await _answer(send, _plain(await told(token)).encode())


async def http_go(scope: Any, receive: Any, send: Any, token: str, query: Any) -> None:
    """Tells an application to go on."""
    tell(f"go {token}")
    await _answer(send, b"{}")


async def http_scope(scope: Any, receive: Any, send: Any, token: str, query: Any) -> None:
    """The scope."""
    await _answer(send, _plain(scope).encode())


async def http_reply(scope: Any, receive: Any, send: Any, token: str, query: Any) -> None:
    """Answers with the messages of a script, a Python literal."""
    for message in ast.literal_eval(query["script"]):
        await send(message)


async def http_memory(scope: Any, receive: Any, send: Any, token: str, query: Any) -> None:
    """The most memory that the process has had, in KiB."""
    await _answer(send, json.dumps({"peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}).encode())


async def http_wait(scope: Any, receive: Any, send: Any, token: str, query: Any) -> None:
    """Answers when it is told to go on."""
    tell(f"asked {token}")
    await told(f"go {token}")
    await _answer(send, b'{"waited": true}')


async def http_late(scope: Any, receive: Any, send: Any, token: str, query: Any) -> None:
    """Answers at once, and has a second of work behind that."""
    await _answer(send, b"{}")
    await asyncio.sleep(1)
    print(f"done {token}", flush=True)


async def http_stream(scope: Any, receive: Any, send: Any, token: str, query: Any) -> None:
    """Streams megabytes, and tells how many it could send within a second."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    sent = 0

    async def pour() -> None:
        nonlocal sent
        for _ in range(int(query["megabytes"])):
            await send({"type": "http.response.body", "body": b"x" * 1024 * 1024, "more_body": True})
            sent += 1

    pouring = asyncio.create_task(pour())
    await asyncio.wait([pouring], timeout=1)
    tell(token, sent=sent)
    await pouring
    await send({"type": "http.response.body"})


async def http_upload(scope: Any, receive: Any, send: Any, token: str, query: Any) -> None:
    """Takes a body, and answers with what came; with ``unread``, answers 413 without receiving anything.

    With ``hold``, it receives one piece, tells so, and goes on when it is told to.
    """
    if "unread" in query:
        await send({"type": "http.response.start", "status": 413, "headers": []})
        await send({"type": "http.response.body"})
        return
    sizes, digest, more = [], hashlib.md5(usedforsecurity=False), True
    while more:
        event = await receive()
        if event["type"] != "http.request":
            if token:
                tell(f"gone {token}", **event)
            return
        sizes.append(len(event["body"]))
        digest.update(event["body"])
        more = event["more_body"]
        if "hold" in query and len(sizes) == 1:
            tell(token, pieces=1)
            await told(f"go {token}")
    facts = {"pieces": len(sizes), "largest": max(sizes), "bytes": sum(sizes), "md5": digest.hexdigest()}
    await _answer(send, json.dumps(facts).encode())


async def http_spools(scope: Any, receive: Any, send: Any, token: str, query: Any) -> None:
    """How many temporary files the process has open."""
    files = 0
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            files += os.readlink(f"/proc/self/fd/{name}").endswith(" (deleted)")
    await _answer(send, json.dumps({"files": files}).encode())


async def http_ticks(scope: Any, receive: Any, send: Any, token: str, query: Any) -> None:
    """Streams a tick every so often, without end, until it is told that its client has gone; then says goodbye.

    With ``type``, the answer has that content type; with ``deaf``, it waits for no disconnect.
    """
    await receive()
    headers = [(b"content-type", query["type"].encode())] if "type" in query else []
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    gone = asyncio.Event() if "deaf" in query else asyncio.create_task(receive())
    waiting = asyncio.create_task(gone.wait()) if isinstance(gone, asyncio.Event) else gone
    while not waiting.done():
        await send({"type": "http.response.body", "body": b"data: tick\n\n", "more_body": True})
        await asyncio.wait([waiting], timeout=0.1)
    await send({"type": "http.response.body", "body": b"data: goodbye\n\n", "more_body": "half" in query})


async def http_download(scope: Any, receive: Any, send: Any, token: str, query: Any) -> None:
    """Streams ten pieces over some time, and gives up if its client goes, as Django does."""
    await receive()
    headers = [(b"content-length", b"100")] if "length" in query else []
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    gone = asyncio.create_task(receive())
    for _ in range(10):
        await send({"type": "http.response.body", "body": b"x" * int(query.get("size", 10)), "more_body": True})
        await asyncio.wait([gone], timeout=float(query["pause"]))
        if gone.done():
            return
    gone.cancel()
    await send({"type": "http.response.body"})


async def http_senders(scope: Any, receive: Any, send: Any, token: str, query: Any) -> None:
    """Several tasks send megabytes; tells when all have returned, and answers to the end."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    piece = {"type": "http.response.body", "body": b"x" * MEGABYTE, "more_body": True}
    await _send_from_tasks(send, piece, token, query)
    await send({"type": "http.response.body"})


async def websocket_senders(scope: Any, receive: Any, send: Any, token: str, query: Any) -> None:
    """The same, into a socket."""
    await receive()
    await send({"type": "websocket.accept"})
    await _send_from_tasks(send, {"type": "websocket.send", "bytes": b"x" * MEGABYTE}, token, query)


async def _send_from_tasks(send: Any, message: Any, token: str, query: Any) -> None:
    async def pour() -> None:
        for _ in range(int(query["megabytes"])):
            await send(message)

    tasks = [asyncio.create_task(pour()) for _ in range(int(query["tasks"]))]
    await asyncio.wait(tasks, timeout=0.5)
    tell(f"waiting {token}", waiting=sum(not task.done() for task in tasks))
    if "cancel" in query:
        tasks.pop(0).cancel()
    await asyncio.gather(*tasks)
    tell(token, returned=len(tasks))


async def http_fail(scope: Any, receive: Any, send: Any, when: str, query: Any) -> None:
    """Fails, or returns, before, in or after its answer."""
    if when != "before":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-lost", b"1")]})
    if when in ("half", "after"):
        await send({"type": "http.response.body", "body": b"half", "more_body": when == "half"})
    if "return" not in query:
        raise RuntimeError(f"on purpose: {query.get('token')}")


async def _answer(send: Any, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _plain(value: Any) -> str:
    return json.dumps(
        value, default=lambda other: other.decode("latin-1") if isinstance(other, bytes) else str(other)
    )
