"""What the page on deployment says that each server gives."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import websockets

from tests.docs.blocks import DOCS
from tests.server.client import RawClient, fetch, make_frame, memory_kb, scripted, told
from tests.site.client import LIMIT, abort, connect, denial, report, token
from tests.support.processes import ASGIServer

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.faults]

SERVERS = ("runws_server", "daphne", "uvicorn")
#: A short patience with clients that do not answer, by the options of each.
IMPATIENT = {
    "runws_server": ["--ping-interval", "2", "--ping-timeout", "2"],
    "daphne": ["--ping-interval", "2", "--ping-timeout", "2"],
    "uvicorn": ["--ws-ping-interval", "2", "--ws-ping-timeout", "2"],
}
ACCEPT = {"type": "websocket.accept"}


def table(heading: str) -> dict[str, dict[str, str]]:
    """The rows of a table below a heading or a sentence of the page: what is said of each server."""
    text = (DOCS / "howto" / "servers.md").read_text("utf-8").partition(heading)[2]
    lines = [line for line in text.partition("\n\n|")[2].partition("\n\n")[0].splitlines() if "---" not in line]
    cells = [[cell.strip() for cell in line.strip("| ").split("|")] for line in lines]
    assert cells[0][-3:] == list(SERVERS)
    return {row[0]: dict(zip(SERVERS, row[1:], strict=True)) for row in cells[1:]}


@pytest.fixture(scope="module")
def serve() -> Iterator[Callable[..., ASGIServer]]:
    """Servers that last for the module, one for each set of arguments."""
    running: dict[str, ASGIServer] = {}
    with ExitStack() as stack:

        def start(kind: str, **more: Any) -> ASGIServer:
            key = repr((kind, sorted(more.items())))
            if key not in running or running[key].process.poll() is not None:
                running[key] = stack.enter_context(ASGIServer(kind, **more))
            return running[key]

        yield start
        for server in running.values():  # some have handlers that would be waited for
            server.process.kill()


Fact = Callable[[str, Callable[..., ASGIServer]], Awaitable[str]]


# To handlers of this package


async def _denials(kind: str, serve: Any) -> str:
    status, text = await denial(serve(kind), "/ws/blob")
    return "yes" if status == 400 and b"size" in text else "no"


async def _closes(kind: str, serve: Any) -> str:
    server, seen = serve(kind), []
    for code in (1001, 1008, 1011, 1012, 4000):
        async with connect(server, f"/ws/ending/close?code={code}&reason=why&token={token()}") as ws:
            await ws.send("now")
            seen.append(await ws.closed() == (code, "why"))
    name = token()
    async with connect(server, f"/ws/watch/for/{name}") as ws:
        await ws.close(4000, "why")
    facts = await report(server, name)
    return "yes" if all(seen) and (facts["code"], facts["reason"]) == (4000, "why") else "no"


async def _empties(kind: str, serve: Any) -> str:
    async with connect(serve(kind), "/ws/empties") as ws:
        return "yes" if [await ws.recv(), await ws.recv()] == ["", b""] else "no"


async def _headers(kind: str, serve: Any) -> str:
    async with connect(serve(kind), "/ws/accept-headers") as ws:
        return "yes" if "X-One" in ws.response.headers else "no"


async def _pings(kind: str, serve: Any) -> str:
    async with connect(serve(kind), "/ws/ping") as ws:
        return "yes" if "seconds" in await ws.ask("ping") else "no"


async def _compression(kind: str, serve: Any) -> str:
    async with connect(serve(kind), "/ws/echo", compression="deflate") as ws:
        if "Sec-WebSocket-Extensions" in ws.response.headers:
            return "yes"
    if kind != "runws_server":
        return "no"
    async with connect(serve(kind, options=["--ws-per-message-deflate"]), "/ws/echo", compression="deflate") as ws:
        return "as an option" if "Sec-WebSocket-Extensions" in ws.response.headers else "no"


async def _sending_waits(kind: str, serve: Any) -> str:
    server, name = serve(kind), token()
    async with connect(server, f"/ws/pour/{name}?megabytes=64", ping_interval=None, close_timeout=0.1) as ws:
        ws.transport.pause_reading()
        sent = (await report(server, name))["sent"]
        abort(ws)
    return "yes" if sent < 48 else "no"


async def _broadcasts_are_bounded(kind: str, serve: Any) -> str:
    server = serve(kind)
    before, room = memory_kb(server), f"room={token()}"
    async with connect(server, f"/ws/member?{room}", max_queue=1) as slow, connect(server, "/ws/member") as other:
        slow.transport.pause_reading()
        await other.recv()
        await other.ask({"do": "flood", "room": room[5:], "data": 500_000, "times": 200})
        grown = memory_kb(server) - before
        abort(slow)
    return "yes" if grown < 40_000 else "no"


async def _reading_is_bounded(kind: str, serve: Any) -> str:
    server, name = serve(kind), token()
    async with RawClient(server, f"/ws/busy/{name}", receive_buffer=65536) as client:
        taken = await client.flood(make_frame(2, b"x" * 60_000), 60_000_000)
    return "yes" if taken < 40_000_000 else "no"


async def _too_big(kind: str, serve: Any) -> str:
    options = ["--ws-max-size", "1048576"] if kind == "uvicorn" else []
    async with connect(serve(kind, options=options), "/ws/echo") as ws:
        await ws.send("x" * (1024 * 1024 + 1))
        return str((await ws.closed())[0] or 1006)


async def _dead_are_noticed(kind: str, serve: Any) -> str:
    server, name = serve(kind, options=IMPATIENT[kind]), token()
    async with RawClient(server, f"/ws/watch/for/{name}") as client:
        for _ in range(120):  # 12 seconds; who notices does so after 4
            client.writer.write(make_frame(1, b"x"))
            await asyncio.sleep(0.1)
            if client.writer.transport.is_closing():
                return "yes"
    return "no"


_stops: dict[str, dict[str, Any]] = {}


async def _stop(kind: str, serve: Any) -> dict[str, Any]:
    """What is seen of a SIGTERM by forty clients, a handler and a client that comes later; once for each server."""
    if kind not in _stops:
        _stops[kind] = await _stop_now(kind, serve)
    return _stops[kind]


async def _stop_now(kind: str, serve: Any) -> dict[str, Any]:
    server, name = serve(kind, settings={"FASTWS_DRAIN_SECONDS": 4}), token()
    sockets = [await connect(server, "/ws/echo") for _ in range(40)]
    ending = await connect(server, f"/ws/stop/for/{name}?seconds=1")
    await ending.recv()
    moments, codes = [], []

    async def watch(ws: Any) -> None:
        codes.append((await ws.closed())[0] or 1006)
        moments.append(time.monotonic())

    server.send_signal(signal.SIGTERM)
    watching = asyncio.gather(*map(watch, [*sockets, ending]))
    await asyncio.sleep(0.5)
    try:
        async with connect(server, "/ws/echo", open_timeout=2):
            late = 101
    except websockets.InvalidStatus as error:
        late = error.response.status_code
    except (OSError, websockets.InvalidMessage):
        late = 0
    await watching
    await asyncio.to_thread(server.process.wait, 60)
    return {
        "codes": set(codes),
        "seconds": max(moments) - min(moments),
        "late": late,
        "finished": '"finished": true' in server.log(),
    }


async def _stop_code(kind: str, serve: Any) -> str:
    (code,) = (await _stop(kind, serve))["codes"]
    return str(code)


async def _stop_spread(kind: str, serve: Any) -> str:
    return "over a time" if (await _stop(kind, serve))["seconds"] > 0.8 else "at once"


async def _stop_finishes(kind: str, serve: Any) -> str:
    return "yes" if (await _stop(kind, serve))["finished"] else "no"


async def _stop_denies(kind: str, serve: Any) -> str:
    return "yes" if (await _stop(kind, serve))["late"] == 503 else "no"


async def _health(kind: str, serve: Any) -> str:
    statuses = [(await fetch(serve(kind), path)).status for path in ("/healthz", "/readyz")]
    return "yes" if statuses == [200, 200] else "no"


async def _hops(kind: str, serve: Any) -> str:
    if kind == "runws_server":
        server = serve(kind, options=["--forwarded-hops", "2"])
    else:
        server = serve(kind, options=["--proxy-headers"])
    headers = {"X-Forwarded-For": "6.6.6.6, 192.0.2.1, 10.0.0.1"}
    async with connect(server, "/ws/about/me", additional_headers=headers) as ws:
        return "yes" if (await ws.recv_json())["client"][0] == "192.0.2.1" else "no"


async def _lifespan(kind: str, serve: Any) -> str:
    answer = await fetch(serve(kind, app=PLAIN), "/scope/")
    return "yes" if answer.json().get("state") == {"started": ["once"]} else "no"


DEAD = "a client that writes and never reads is noticed"
HANDLERS: dict[str, Fact] = {
    "denials with a status and a text": _denials,
    "every close code and reason, both ways": _closes,
    "empty messages": _empties,
    "headers of `accept()`": _headers,
    "`ping()` and `pong()`": _pings,
    "compression": _compression,
    "`send()` waits while the client does not read": _sending_waits,
    "a bound on broadcasts that wait for a slow reader": _broadcasts_are_bounded,
    "a bound on what is read for a busy handler": _reading_is_bounded,
    "a message over the limit closes with": _too_big,
    DEAD: _dead_are_noticed,
    "SIGTERM closes sockets with": _stop_code,
    "they are closed": _stop_spread,
    "after SIGTERM, handlers run to their end": _stop_finishes,
    "handshakes during a stop are denied with 503": _stop_denies,
    "`/healthz` and `/readyz`": _health,
    "`X-Forwarded-For` by the number of proxies": _hops,
    "ASGI lifespan, and state in the scope": _lifespan,
}


# To an application without the package


PLAIN = "tests.server.plain:application"


async def _plain_closes(kind: str, serve: Any) -> str:
    server, seen = serve(kind, app=PLAIN), []
    for code in (1001, 1008, 1012):
        close = {"type": "websocket.close", "code": code, "reason": "why"}
        async with connect(server, scripted(token(), ACCEPT, close)) as ws:
            try:
                async with asyncio.timeout(2 if kind == "daphne" else LIMIT):
                    seen.append(await ws.closed() == (code, "why"))
            except TimeoutError:
                return "no"
    return "yes" if all(seen) else "no"


async def _plain_answers(kind: str, serve: Any) -> str:
    server = serve(kind, app=PLAIN)
    start = {"type": "websocket.http.response.start", "status": 429, "headers": []}
    body = {"type": "websocket.http.response.body", "body": "not now"}
    async with RawClient(server, scripted(token(), start, body), waits=False) as client:
        try:
            async with asyncio.timeout(3 if kind == "daphne" else LIMIT):
                denied = b" 429 " in await client.reader.readuntil(b"\r\n")
        except TimeoutError:
            denied = False
    messages = [{**ACCEPT, "headers": [["x-one", "1"]]}, {"type": "websocket.send", "text": ""}]
    async with connect(server, scripted(token(), *messages, {"type": "websocket.send", "text": "x"})) as ws:
        return "yes" if denied and "x-one" in ws.response.headers and await ws.recv() == "" else "no"


async def _plain_waits(kind: str, serve: Any) -> str:
    server, name = serve(kind, app=PLAIN), token()
    # Without the limit of daphne's for what comes in, which holds for what goes out, too.
    async with RawClient(server, f"/pour/{name}?megabytes=64&size=1000000", receive_buffer=65536):
        return "yes" if (await told(server, name))["sent"] < 48 else "no"


async def _plain_fails(kind: str, serve: Any) -> str:
    """daphne looks once a second whether applications have failed; where it does not look, it sees nothing."""
    for app, answer in (("tests.site.unchecked:plain", "at once"), (PLAIN, "within a second")):
        async with connect(serve(kind, app=app), f"/fail/after?token={token()}", close_timeout=0.1) as ws:
            await ws.send("now")
            try:
                async with asyncio.timeout(2 if kind == "daphne" else LIMIT):
                    await ws.closed()
            except TimeoutError:
                continue
            return answer
    return "never"


async def _plain_subprotocol(kind: str, serve: Any) -> str:
    server, name = serve(kind, app=PLAIN), token()
    async with RawClient(server, scripted(name, {**ACCEPT, "subprotocol": "other"}), waits=False) as client:
        try:
            async with asyncio.timeout(LIMIT if kind == "uvicorn" else 2):
                head = await client.reader.readuntil(b"\r\n\r\n")
        except TimeoutError:
            if kind == "daphne":
                return "a hang"
            raised = None
        else:
            return "accepted" if b"other" in head else "no"
    raised = (await told(server, name))["raised"][0]
    return "an error that says so" if "'other'" in raised else "no"


async def _plain_scope(kind: str, serve: Any) -> str:
    async with connect(serve(kind, app=PLAIN), "/scope/") as ws:
        scope = await ws.recv_json()
    wanted = {"scheme", "extensions"} <= scope.keys() and "spec_version" in scope["asgi"]
    return "yes" if wanted else "no"


APPLICATIONS: dict[str, Fact] = {
    "close codes such as 1001, 1008 or 1012, and reasons": _plain_closes,
    "denial responses, headers of an accept, empty messages": _plain_answers,
    "sending waits while the client does not read": _plain_waits,
    "a failed application closes its socket": _plain_fails,
    "an unoffered subprotocol is": _plain_subprotocol,
    "`scheme`, `extensions` and `spec_version` in the scope": _plain_scope,
}


@pytest.mark.parametrize(("heading", "facts"), [("## What each", HANDLERS), ("And to an ASGI", APPLICATIONS)])
def test_every_row_of_the_tables_is_tested(heading, facts):
    assert list(table(heading)) == list(facts)


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize(
    "row", [pytest.param(row, marks=[pytest.mark.long] if row == DEAD else []) for row in HANDLERS]
)
async def test_a_server_gives_to_handlers_what_the_table_says(row, kind, serve):
    assert await HANDLERS[row](kind, serve) == table("## What each")[row][kind]


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize("row", APPLICATIONS)
async def test_a_server_gives_to_applications_what_the_table_says(row, kind, serve):
    assert await APPLICATIONS[row](kind, serve) == table("And to an ASGI")[row][kind]
