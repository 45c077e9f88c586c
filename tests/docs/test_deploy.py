"""What the page on deployment says of servers and of a proxy."""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess

import pytest
from websockets.asyncio.client import connect as ws_connect

from tests.docs.blocks import DOCS, README, Block, blocks_of, section
from tests.docs.client import LIMIT, chatting, heard, join, until
from tests.docs.reader import Reader
from tests.processes import HOST, free_port, wait_for_port

pytestmark = [pytest.mark.server, pytest.mark.slow]


# What stock servers do


def _column(row: str, column: str) -> str:
    """A cell of the deploy page's table."""
    lines = (DOCS / "how-to" / "deploy.md").read_text("utf-8").splitlines()
    (cells,) = [line.split("|") for line in lines if line.startswith(f"| {row} |")]
    return cells[("daphne", "uvicorn").index(column) + 2].strip()


async def _sigterm(project: Reader, command: str) -> tuple[int, bool]:
    """What a client sees of a server's SIGTERM, and whether the handler got to its end."""
    chat = (project.directory / "chat" / "consumers.py").read_text()
    assert "async for message in ws:" in chat
    project.directory.joinpath("chat", "consumers.py").write_text(
        chat.replace("    async for", "    try:\n      async for").replace(
            "        await ws.bro", "          await ws.bro"
        )
        + "    finally:\n        await ws.broadcast(room, 'left')\n"
    )
    stopping, staying = project.serve(command), project.serve("uvicorn mysite.asgi:application")
    async with join(stopping, "/ws/chat/lobby") as ws, join(staying, "/ws/chat/lobby") as witness:
        await chatting(ws, witness)
        stopping.process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(ws.wait_closed(), LIMIT)
        await asyncio.to_thread(stopping.stop)
        await witness.send("who is left?")
        left = False
        while (message := await asyncio.wait_for(witness.recv(), LIMIT)) and "who is left?" not in message:
            left = left or message == "left"
    return ws.close_code, left


@pytest.mark.redis
@pytest.mark.parametrize("column", ["daphne", "uvicorn"])
async def test_what_the_deploy_page_says_of_sigterm(project, column):
    project.follow([block for block in section(README, "In production") if block.file])
    code, to_its_end = await _sigterm(project, f"{column} mysite.asgi:application")
    assert str(code) == _column("SIGTERM closes sockets with", column)
    assert ("yes" if to_its_end else "no") == _column("after SIGTERM, handlers run to their end", column)


SLOW_CHAT = """\
from django_fastws import FastWS, WebSocket

app = FastWS(prefix="/ws")


@app.websocket("/chat/{room}")
async def chat(ws: WebSocket, room: str):
    await ws.accept()
    await ws.join(room)
    await ws.send("joined")
    async for message in ws:
        for _ in range(300):
            await ws.broadcast(room, "x" * 100_000, exclude_self=True)
        await ws.send("sent")
"""


@pytest.mark.parametrize("column", ["daphne", "uvicorn"])
async def test_what_the_deploy_page_says_of_slow_readers(project, column):
    assert _column("a bound on broadcasts that wait for a slow reader", column) == "yes"
    (project.directory / "chat" / "consumers.py").write_text(SLOW_CHAT)
    server = project.serve(f"{column} mysite.asgi:application")
    slow = ws_connect(server.url("/ws/chat/lobby"), proxy=None, compression=None, max_queue=1)
    async with slow as reader, join(server, "/ws/chat/lobby") as writer:
        await heard(reader, "joined")
        await heard(writer, "joined")
        reader.transport.pause_reading()
        await writer.send("go")
        await heard(writer, "sent")
        await until(lambda: "A slow client" in server.log())
        reader.transport.abort()


# nginx

NGINX = shutil.which("nginx")


def nginx_block() -> Block:
    (block,) = [block for block in blocks_of(DOCS / "how-to" / "deploy.md") if block.language == "nginx"]
    return block


def test_the_proxy_passes_on_what_a_handshake_needs():
    text = nginx_block().text
    assert text.count("{") == text.count("}")
    statements = [line.strip() for line in text.splitlines() if line.strip() and line.strip()[-1] not in "{}"]
    assert all(statement.endswith(";") for statement in statements)
    for needed in (
        "proxy_http_version 1.1;",
        "proxy_set_header Host $host;",
        "proxy_set_header Upgrade $http_upgrade;",
        "proxy_set_header Connection $connection_upgrade;",
    ):
        assert needed in statements


@pytest.mark.redis
@pytest.mark.skipif(NGINX is None, reason="no nginx on the PATH")
async def test_the_proxy_proxies(project):
    project.follow([block for block in section(README, "In production") if block.file])
    one = project.serve("daphne --proxy-headers mysite.asgi:application")
    two = project.serve("daphne --proxy-headers mysite.asgi:application")
    port = free_port()
    text = nginx_block().text.replace("8001", str(one.port)).replace("8002", str(two.port))
    text = text.replace("listen 80;", f"listen {HOST}:{port};").replace("example.com", HOST)
    paths = "".join(
        f"{kind}_temp_path {project.directory}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = project.directory / "nginx.conf"
    config.write_text(
        f"daemon off;\npid {project.directory}/nginx.pid;\nerror_log stderr;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{paths}{text}}}\n"
    )
    log = project.directory / "nginx.log"
    with log.open("wb") as output:
        nginx = subprocess.Popen([NGINX, "-p", project.directory, "-c", config], stdout=output, stderr=output)
    try:
        wait_for_port(port, nginx, log)
        url = f"ws://{HOST}:{port}/ws/chat/lobby"
        async with ws_connect(url, proxy=None) as ada, ws_connect(url, proxy=None) as bob:
            await chatting(ada, bob)
            await ada.send("hello")
            await heard(bob, {"username": "Anonymous", "message": "hello"})
    finally:
        nginx.terminate()
        nginx.wait()
