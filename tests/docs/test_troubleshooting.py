"""The page on troubleshooting: what it quotes of the log is what the log says, and what it blames is to blame."""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import websockets
from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer
from django.contrib.auth.models import AnonymousUser
from django.db import transaction

import django_fastws
from django_fastws import FastWS, Room, WebSocket
from django_fastws._core.close_codes import INTERNAL_ERROR
from django_fastws._core.log_throttle import LogThrottle
from django_fastws.limits import recording
from django_fastws.limits.table import IDLE_TIMEOUT, MAX_LIFETIME
from django_fastws.testing import HandshakeDenied, connect
from tests.balancer.proxies import NGINX
from tests.docs.blocks import DOCS
from tests.site.client import connect as connect_to
from tests.site.client import denial, until
from tests.support.processes import HOST, ASGIServer, Process, free_port

PAGE = (DOCS / "howto" / "troubleshooting.md").read_text("utf-8")
#: The rows of its tables, as their cells.
ROWS = [line.strip("| \n").split(" | ") for line in PAGE.splitlines() if line.startswith("| ")]
SITE = {"Host": "example.com"}


def said(caplog: Any) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name.startswith("django_fastws")]


# My socket is refused


@pytest.fixture
def shop(routes, settings, monkeypatch):
    """Routes that refuse, each for a reason of its own; no test before has had a line of its kind."""
    monkeypatch.setattr(recording, "_denials", LogThrottle())
    settings.ALLOWED_HOSTS = ["example.com"]
    app = FastWS(prefix="/ws")

    @app.websocket("/chat")
    async def chat(ws: WebSocket) -> None:
        await ws.accept()
        await ws.receive()

    @app.websocket("/tickets/{pk:int}")
    async def tickets(ws: WebSocket, pk: int, page: int) -> None: ...

    @app.websocket("/mine", login_required=True)
    async def mine(ws: WebSocket) -> None: ...

    @app.websocket("/staff", permission="auth.view_user")
    async def staff(ws: WebSocket) -> None: ...

    @app.websocket("/forgets")
    async def forgets(ws: WebSocket) -> None: ...

    @app.websocket("/fails")
    async def fails(ws: WebSocket) -> None:
        raise ZeroDivisionError

    @app.websocket("/few", max_connections=1)
    async def few(ws: WebSocket) -> None:
        await ws.accept()
        await ws.receive()


REFUSED = [
    ("/ws/nowhere", SITE, 404, "django_fastws.routing"),
    ("/ws/chat/", SITE, 404, "django_fastws.routing"),
    ("/ws/chat", SITE | {"Origin": "https://app.example.net"}, 403, "django_fastws.handshake"),
    ("/ws/chat", {"Host": "10.0.0.5:8001"}, 400, "django_fastws.handshake"),
    ("/ws/tickets/5", SITE, 400, "django_fastws.handshake"),
    ("/ws/mine", SITE, 401, "django_fastws.access"),
    ("/ws/staff", SITE, 401, "django_fastws.access"),
    ("/ws/forgets", SITE, 403, "django_fastws.handshake"),
    ("/ws/fails", SITE, 500, "django_fastws.handlers"),
    ("/ws/few", SITE, 429, "django_fastws.limits"),
]


@pytest.mark.usefixtures("shop", "db")
@pytest.mark.parametrize(
    ("path", "headers", "status", "logger"), REFUSED, ids=[f"{row[0]} {row[2]}" for row in REFUSED]
)
async def test_a_refusal_has_the_status_and_the_line_of_its_row(caplog, path, headers, status, logger):
    caplog.set_level(logging.INFO)
    async with connect("/ws/few", headers=SITE):
        with pytest.raises(HandshakeDenied) as denied:
            async with connect(path, headers=headers, user=AnonymousUser()):
                pass
    assert denied.value.status == status
    (record,) = said(caplog)
    assert record.name == logger
    rows = [cells for cells in ROWS if cells[0] == str(status) and f"`{logger}`" in cells[1]]
    text = re.sub(r"[\w.]+<locals>\.", "shop.consumers.", record.getMessage())
    assert any(text in cells[1] for cells in rows), (text, rows)


# It works on runserver, but not behind nginx


class WrongNginx(Process):
    """nginx in front of one server, with what stands in its one location.

    Args:
        directives: of the location.
    """

    def __init__(self, server: ASGIServer, *directives: str) -> None:
        port, user = free_port(), "user root;" if os.geteuid() == 0 else ""
        super().__init__([], port)
        home = Path(self.directory.name)
        temporary = "".join(
            f"{kind}_temp_path {home}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (home / "nginx.conf").write_text(
            f"pid {home}/pid; error_log stderr; events {{}} http {{ access_log off; {temporary} "
            f"upstream django {{ server {HOST}:{server.port}; }} server {{ listen {HOST}:{port}; "
            f"location / {{ proxy_pass http://django; {' '.join(directives)} }} }} }}"
        )
        self.command = [str(NGINX), "-p", str(home), "-c", f"{home}/nginx.conf", "-g", f"daemon off; {user}"]

    def url(self, path: str) -> str:
        return f"ws://{HOST}:{self.port}{path}"


UPGRADE = (
    "proxy_http_version 1.1;",
    "proxy_set_header Upgrade $http_upgrade;",
    'proxy_set_header Connection "upgrade";',
)
HOST_HEADER = ("proxy_set_header Host $http_host;",)


@pytest.fixture(scope="module")
def silent() -> Iterator[ASGIServer]:
    """A server that does not ping."""
    with ASGIServer("runws_server", options=["--ping-interval", "0"]) as server:
        yield server


async def logged(server: ASGIServer, start: int, text: str) -> str:
    async def is_there() -> str:
        return next((line for line in server.log(start).splitlines() if text in line), "")

    line: str = await until(is_there, text)
    return line


@pytest.mark.server
@pytest.mark.nginx
@pytest.mark.slow
async def test_without_the_upgrade_a_handshake_is_a_request_for_a_page(silent):
    start = silent.log_size()
    with WrongNginx(silent, *HOST_HEADER) as nginx, pytest.raises(websockets.InvalidStatus) as denied:
        async with connect_to(nginx, "/ws/echo"):
            pass
    assert denied.value.response.status_code == 404
    assert await logged(silent, start, "Not Found: /ws/echo")
    assert '"GET /ws/echo" 404' in await logged(silent, start, '"GET /ws/echo')
    assert "WSCONNECTING" not in silent.log(start)
    assert '"GET /ws/chat" 404' in PAGE


@pytest.mark.server
@pytest.mark.nginx
@pytest.mark.slow
async def test_without_the_host_the_name_of_the_upstream_is_asked_for(silent):
    start = silent.log_size()
    with WrongNginx(silent, *UPGRADE) as nginx:
        assert (await denial(nginx, "/ws/echo"))[0] == 400
    assert "Invalid HTTP_HOST header: 'django'" in await logged(silent, start, "HTTP_HOST")
    assert "Invalid HTTP_HOST header: 'django'" in PAGE


@pytest.mark.server
@pytest.mark.nginx
@pytest.mark.slow
async def test_a_socket_on_which_nothing_is_said_is_cut_after_the_read_timeout(silent):
    with WrongNginx(silent, *UPGRADE, *HOST_HEADER, "proxy_read_timeout 1s;") as nginx:
        async with connect_to(nginx, "/ws/echo") as ws:
            await ws.wait_closed()
            assert ws.close_code == 1006


# Nothing arrives


async def test_names_are_compared_as_they_are(routes):
    heard: list[Any] = []

    @FastWS().websocket("/x")
    async def member(ws: WebSocket) -> None:
        await ws.accept()
        await ws.join("lobby")
        await ws.send("joined")
        async for message in ws:
            heard.append(message)

    async with connect("/x") as ws:
        assert await ws.receive_text() == "joined"
        for name in ("Lobby", "lobby ", "lobby"):
            await Room(name).abroadcast(name)
        assert await ws.receive_text() == "lobby"


async def test_a_group_of_channels_is_no_room(routes):
    @FastWS().websocket("/x")
    async def member(ws: WebSocket) -> None:
        await ws.accept()
        await ws.join("lobby")
        await ws.send("joined")
        await ws.receive()

    async with connect("/x") as ws:
        assert await ws.receive_text() == "joined"
        layer = get_channel_layer()
        assert layer is not None
        await layer.group_send("lobby", {"type": "chat.message", "text": "to the group"})
        await Room("lobby").abroadcast("to the room")
        assert await ws.receive_text() == "to the room"


@pytest.mark.django_db(transaction=True)
async def test_what_is_rolled_back_is_not_sent_unless_it_is_sent_at_once(routes):
    @FastWS().websocket("/x")
    async def member(ws: WebSocket) -> None:
        await ws.accept()
        await ws.join("lobby")
        await ws.send("joined")
        await ws.receive()

    def fail() -> None:
        with contextlib.suppress(ZeroDivisionError), transaction.atomic():
            Room("lobby").broadcast("with the transaction")
            Room("lobby").broadcast("at once", on_commit=False)
            raise ZeroDivisionError

    async with connect("/x") as ws:
        assert await ws.receive_text() == "joined"
        await sync_to_async(fail)()
        await Room("lobby").abroadcast("the next one")
        assert [await ws.receive_text() for _ in range(2)] == ["at once", "the next one"]


# It disconnects, messages vanish


def test_closes_have_the_reasons_of_the_page():
    for limit in (IDLE_TIMEOUT, MAX_LIFETIME):
        _, code, reason = limit.closing()
        assert f"| {code} `{reason}` |" in PAGE
    assert f"| {INTERNAL_ERROR[0]} `{INTERNAL_ERROR[1]}` |" in PAGE


def test_lines_that_are_quoted_in_part_are_in_the_code():
    package = Path(django_fastws.__file__).parent
    code = re.sub(r"%[.\w]+", "…", "\n".join(path.read_text("utf-8") for path in package.rglob("*.py")))
    for line in (
        "A slow client on … has over … bytes unsent: …",
        "The channel layer is back after … seconds",
        "the server is restarting",
        "the application did not answer the handshake in time",
    ):
        assert line in code
        assert re.sub(r"on … has over …", "on '/ws/chat' has over 1048576", line) in PAGE
