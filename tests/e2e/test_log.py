"""What the log says of mistakes that no browser shows: a forgotten await, and why a handshake was denied."""

from __future__ import annotations

import asyncio
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import websockets

from django_fastws.server.access_log import denial_details, shown_client
from tests.site.client import LIMIT, Client, connect, denial, until
from tests.support import interpreter
from tests.support.processes import HOST, ROOT, ASGIServer, free_port, wait_for_port

pytestmark = pytest.mark.server

Serve = Callable[..., ASGIServer]
NEVER_AWAITED = "coroutine 'WebSocket.send' was never awaited"


async def says(server: ASGIServer, *texts: str) -> list[str]:
    """The lines of the log that have all of these in them, once there is one."""

    async def lines() -> list[str]:
        return [line for line in server.log().splitlines() if all(text in line for text in texts)]

    found: list[str] = await until(lines, f"a line with {texts} in the log")
    return found


@pytest.mark.parametrize("kind", ["daphne", "runws_server", "runserver", "uvicorn"])
async def test_a_forgotten_await_is_said_once_for_each_place(serve: Serve, kind: str):
    server = serve(kind)
    for _ in range(2):
        async with connect(server, "/ws/mistakes/forgotten") as ws:
            for number in range(3):
                await ws.send(str(number))
                assert await ws.recv() == f"behind {number}"
    (line,) = await says(server, NEVER_AWAITED)
    assert re.search(r"tests/site/mistakes\.py:\d+: RuntimeWarning", line)


DENIED = [
    ("/ws/nowhere", 404, "Not Found"),
    ("/ws/mistakes/number?pk=abc", 400, "Bad Request: query parameter 'pk'"),
    ("/ws/mistakes/number?pk=abc&token=hidden", 400, "Bad Request: query parameter 'pk'"),
    ("/ws/mistakes/number", 400, "Bad Request: query parameter 'pk' is required"),
    ("/ws/mistakes/number?pk=%ff", 400, "Bad Request: "),
    ("/ws/mistakes/unaccepted", 403, "Forbidden: it was not accepted"),
    ("/ws/mistakes/missing", 404, "Not Found: no  such thing"),
]


@pytest.mark.parametrize("kind", ["runws_server", "runserver"])
async def test_a_denied_handshake_has_its_status_and_reason_in_the_servers_line(serve: Serve, kind: str):
    server = serve(kind, settings={"LOGGING": {"version": 1, "disable_existing_loggers": False}, "DEBUG": True})
    for path, status, reason in DENIED:
        assert (await denial(server, path))[0] == status
        what = path.replace("hidden", "***")
        if kind == "runserver":
            line = f"WebSocket REJECT {what} {status} {reason}"
        else:
            line = f'"WSREJECT {what}" {status} - "{reason}'
        await says(server, line)
    assert "None" not in "".join(await says(server, "REJECT"))
    assert "hidden" not in server.log()


@pytest.mark.parametrize("kind", ["daphne", "uvicorn"])
async def test_where_the_servers_line_has_no_reason_ours_does(serve: Serve, kind: str):
    server = serve(kind)
    for path, status, _ in [DENIED[1], *DENIED[4:]]:
        assert (await denial(server, path))[0] == status
        what = path.partition("?")[0]  # our lines have no query
        await says(server, f"Denied a WebSocket on '{what}' from '127.0.0.1' with {status}: ")
    await denial(server, "/ws/nowhere")
    await says(server, "No WebSocket route for '/ws/nowhere'")
    await says(server, "unaccepted() returned without accept() or close()")


@pytest.mark.parametrize("kind", ["daphne", "runws_server"])
@pytest.mark.parametrize("path", ["/ws/mistakes/late", "/ws/mistakes/consumer"])
async def test_an_answer_that_comes_too_late_or_never_is_told_of(serve: Serve, kind: str, path: str):
    server = serve(kind, options=["--websocket_connect_timeout", "2"])  # stock daphne takes up to a second less
    if kind == "runws_server":
        assert (await denial(server, path))[0] == 503
    else:
        with pytest.raises(websockets.InvalidMessage):
            await denial(server, path)
    await says(server, f"Denied a WebSocket on '{path}'", "has not accepted it before it was over")
    if kind == "runws_server":
        await says(server, f'"WSREJECT {path}" 503 - "Service Unavailable: the application did not answer')


@pytest.mark.parametrize("kind", ["runws_server", "uvicorn", "daphne"])
async def test_a_handler_that_blocks_the_loop_is_said(serve: Serve, kind: str):
    server = serve(kind, settings={"FASTWS_SLOW_CALLBACK_SECONDS": 0.2})
    async with connect(server, "/ws/mistakes/blocking") as ws:
        await ws.send("block")
        assert await ws.recv() == "done"
    line, *_ = await says(server, "The event loop ", " blocked")
    assert re.search(r"by tests/site/mistakes\.py:\d+ in blocking\(\): .*, for '/ws/mistakes/blocking'$", line)


async def first_line(pipe: Any, text: str) -> str:
    async with asyncio.timeout(LIMIT):
        while text not in (line := (await asyncio.to_thread(pipe.readline)).decode()):
            assert line
        return line


@pytest.mark.long
@pytest.mark.parametrize(("kind", "options"), [("daphne", []), ("runws_server", ["--access-log", "-"])])
async def test_lines_of_the_access_log_reach_a_pipe_at_once(tmp_path: Path, kind: str, options: list[str]):
    template = ASGIServer(kind)
    environment = {key: value for key, value in template.environment.items() if key != "PYTHONUNBUFFERED"}
    log = tmp_path / "log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [*template.command, *options],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=errors,
            stdin=subprocess.DEVNULL,
        )
    try:
        wait_for_port(template.port, process, log)
        async with connect(template, "/ws/echo"):
            line = await first_line(process.stdout, "WSCONNECT ")
        assert re.match(rf'{HOST}:\d+ - - \[.*\] "WSCONNECT /ws/echo"', line)
    finally:
        process.terminate()
        process.wait(LIMIT)
        assert process.stdout is not None
        process.stdout.close()
        template.directory.cleanup()


async def test_a_client_on_a_unix_socket_has_a_name_in_the_log(tmp_path: Path):
    path, port = tmp_path / "socket", free_port()
    command = ["manage.py", "runws_server", "-b", HOST, "-p", str(port), "-u", str(path)]
    template = ASGIServer("runws_server", port=port)
    log = tmp_path / "log"
    with log.open("wb") as out:
        process = interpreter.start(command, template.environment, out)
    try:
        wait_for_port(port, process, log)

        async def listens() -> bool:
            return path.exists()

        await until(listens)
        async with websockets.unix_connect(
            str(path), "ws://localhost/ws/echo", create_connection=Client, open_timeout=LIMIT, compression=None
        ) as ws:
            await ws.send("x")
            assert await ws.recv() == "x"
        with pytest.raises(websockets.InvalidStatus):
            await websockets.unix_connect(str(path), "ws://localhost/ws/mistakes/unaccepted", open_timeout=LIMIT)

        async def closed() -> bool:
            return "WSDISCONNECT" in log.read_text()

        await until(closed)
    finally:
        process.terminate()
        process.wait(LIMIT)
        template.directory.cleanup()
    text = log.read_text()
    assert re.search(r'^- "WSCONNECT /ws/echo"$', text, re.MULTILINE)
    assert re.search(r'^- "WSREJECT /ws/mistakes/unaccepted" 403 - "Forbidden', text, re.MULTILINE)
    assert "None" not in text


@pytest.mark.parametrize(
    ("answer", "status", "reason"),
    [
        (None, 403, "Forbidden"),
        ((404, [], b"secret"), 404, "Not Found"),
        ((404, [(b"content-type", b"text/plain; charset=utf-8")], b"no room"), 404, "Not Found: no room"),
        ((503, [(b"content-type", b"text/plain")], b"Service Unavailable: soon"), 503, "Service Unavailable: soon"),
        ((299, [(b"content-type", b"text/html")], b"<p>"), 299, "Denied"),
        ((403, [(b"content-type", b"text/plain")], b'a\nb"c\x1b[31m\xff'), 403, "Forbidden: a b c [31m\ufffd"),
        ((403, [(b"content-type", b"text/plain")], b"x" * 1000), 403, "Forbidden: " + "x" * 200),
    ],
)
def test_the_reason_is_one_line_of_the_answers_text(answer: Any, status: int, reason: str):
    assert denial_details(answer) == {"status": status, "reason": reason}


@pytest.mark.parametrize(
    ("client", "shown"),
    [
        (None, "-"),
        ("127.0.0.1:50000", "127.0.0.1:50000"),
        ("203.0.113.5:0", "203.0.113.5"),
        ("203.0.113.5:10", "203.0.113.5:10"),
        ("2001:db8::1:0", "2001:db8::1"),
    ],
)
def test_how_a_client_is_shown(client: str | None, shown: str):
    assert shown_client(client) == shown
