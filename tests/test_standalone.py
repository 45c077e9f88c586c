"""One-file programs, each a real process: ``python main.py``, without a project, and with one."""

from __future__ import annotations

import asyncio
import json
import signal
from http import HTTPStatus
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.http11 import Request, Response

from django_fastws.standalone import hosts_of
from tests import programs
from tests.conftest import tracebacks
from tests.programs import Program
from tests.site.client import LIMIT, until
from tests.support.processes import HOST, free_port
from tests.support.subprocesses import run

pytestmark = [pytest.mark.server, pytest.mark.slow]

NO_PROJECT = {"DJANGO_SETTINGS_MODULE": None}


@pytest.fixture
def make(tmp_path):
    """Make a program, in a directory of its own."""
    made: list[Program] = []

    def one(text: str, host: str = HOST, *, port: int | None = None, **options: Any) -> Program:
        made.append(Program(tmp_path / str(len(made)), text, host, port=port or free_port(), **options))
        return made[-1]

    yield one
    for program in made:
        if program.process is not None:
            program.stop(signal.SIGKILL)
        program.directory.cleanup()


@pytest.fixture
def program(make):
    """Start a program that serves."""

    def start(*args: Any, **options: Any) -> Program:
        served = make(*args, **options)
        served.start()
        return served

    return start


async def received(ws: Any) -> Any:
    async with asyncio.timeout(LIMIT):
        return json.loads(await ws.recv())


async def denied(url: str, **options: Any) -> int:
    with pytest.raises(InvalidStatus) as caught:
        async with connect(url, proxy=None, **options):
            pass
    return caught.value.response.status_code


# Serving


@pytest.mark.parametrize(
    ("host", "signum", "options"),
    [
        (HOST, signal.SIGINT, {"is_forked": False}),
        ("0.0.0.0", signal.SIGTERM, {}),
        ("localhost", signal.SIGTERM, {"module": "package.main"}),
    ],
)
async def test_a_program_serves_until_it_is_told_to_stop(program, host, signum, options):
    site = program(programs.ECHO, host, **options)
    async with connect(site.url("/echo"), proxy=None) as ws:
        await ws.send("hello")
        assert await received(ws) == {"said": "hello", "user": "AnonymousUser", "is_authenticated": False}
        site.send_signal(signum)
        await ws.wait_closed()
        assert (ws.close_code, ws.close_reason) == (1012, "service restart;1000")
    assert await site.ended() == 0
    log = site.log()
    assert log.rstrip().endswith("behind it")
    assert '"WSCONNECT /echo"' in log
    assert f"Listening on TCP address {'127.0.0.1' if host == 'localhost' else host}:{site.port}" in log
    assert not tracebacks(log)


async def test_sockets_may_be_kept_in_a_set(program):
    site = program(programs.EVERYBODY)
    async with connect(site.url("/all"), proxy=None) as ada:
        await ada.send("alone")
        assert await received(ada) == {"text": "alone", "members": 1}
        async with connect(site.url("/all"), proxy=None) as bob:
            await bob.send("two")
            assert [await received(ws) for ws in (ada, bob)] == [{"text": "two", "members": 2}] * 2


async def test_sockets_may_be_kept_by_a_parameter_of_the_path(program):
    site = program(programs.ROOMS)
    async with connect(site.url("/rooms/a"), proxy=None) as ada, connect(site.url("/rooms/b"), proxy=None) as eve:
        await ada.send("first")
        assert await received(ada) == {"kind": "text", "text": "first"}
        async with connect(site.url("/rooms/a"), proxy=None) as bob:
            assert await received(ada) == {"kind": "came", "room": "a"}
            await bob.send("hi")
            assert [await received(ws) for ws in (ada, bob)] == [{"kind": "text", "text": "hi"}] * 2
        assert await received(ada) == {"kind": "left"}
        await eve.send("alone")
        assert await received(eve) == {"kind": "text", "text": "alone"}


async def test_states_errors_and_timeouts(program):
    site = program(programs.STATES)
    async with connect(site.url("/while"), proxy=None) as ws:
        await ws.send("tea")
        assert await ws.recv() == "Again: tea"
    async with connect(site.url("/errors"), proxy=None) as ws:
        await ws.send("x")
        assert "invalid literal" in (await received(ws))["error"]
        await ws.send("refuse")
        await ws.wait_closed()
    async with connect(site.url("/errors"), proxy=None):
        pass
    async with connect(site.url("/bounded"), proxy=None) as ws:
        assert await received(ws) == {"type": "ping"}
        await ws.wait_closed()
        assert ws.close_code == 1000
    site.stop()
    assert site.log().count("cleaned up") == 2
    assert "refused: 4000 - refused" in site.log()
    assert "disconnected" in site.log()
    assert not tracebacks(site.log())


async def test_only_its_own_routes_are_served(program):
    """Though another FastWS has the same path, or a mistake."""
    site = program(
        """
from django_fastws import FastWS

other, app = FastWS(), FastWS(prefix="/mine")

@other.websocket("/mine/who")
async def theirs(ws):
    await ws.accept()
    await ws.send("theirs")

@other.websocket("/theirs/{missing}")
async def wrong(ws): ...

@app.websocket("/who")
async def mine(ws):
    await ws.accept()
    await ws.send("mine")
    await ws.receive()

app.serve(port={port})
"""
    )
    async with connect(site.url("/mine/who"), proxy=None) as ws:
        assert await ws.recv() == "mine"
    assert await denied(site.url("/theirs/x")) == 404


async def test_live_rooms_alone_can_be_served(program):
    site = program(
        """
from django_fastws import FastWS

app = FastWS()
tables = app.room("tables/{pk:int}")

@tables.on("order")
async def order(ws, pk: int, dish: str) -> str:
    return f"{dish} for {pk}"

app.serve(port={port})
"""
    )
    async with connect(site.url("/ws/live"), proxy=None) as ws:
        await ws.send('{"join": "tables/5", "id": 1}')
        assert "ok" in await received(ws)
        await ws.send('{"room": "tables/5", "event": "order", "data": {"dish": "soup"}, "id": 2}')
        assert await received(ws) == {"id": 2, "ok": "soup for 5"}


async def test_rooms_reach_the_members_and_what_needs_a_database_says_so(program):
    site = program(
        """
from asgiref.sync import sync_to_async
from django_fastws import FastWS, Room

app = FastWS()

@app.websocket("/room")
async def room(ws):
    await ws.accept()
    await ws.join("lobby")
    await sync_to_async(Room("lobby").broadcast)("from a thread")
    await ws.receive()
    from django.contrib.auth.models import User
    await User.objects.acount()

@app.websocket("/users", login_required=True)
async def users(ws):
    await ws.accept()

app.serve(host="{host}", port={port})
"""
    )
    async with connect(site.url("/room"), proxy=None) as ws:
        assert await ws.recv() == "from a thread"
        await ws.send("count")
        await ws.wait_closed()
        assert ws.close_code == 1011
    assert "settings.DATABASES is improperly configured" in site.log()
    assert await denied(site.url("/users")) == 401


@pytest.mark.parametrize("host", [HOST, "0.0.0.0"])
async def test_pages_of_this_machine_are_let_in_and_others_are_not(program, host):
    site = program(programs.ECHO, host)
    url = site.url("/echo")
    for origin in (None, f"http://127.0.0.1:{site.port}", "http://localhost:5173"):
        async with connect(url, origin=origin, proxy=None):
            pass
    for origin in ("https://evil.example", "null"):
        assert await denied(url, origin=origin) == 403
    rebound = url.replace(HOST, "evil.example")
    assert await denied(rebound, origin="http://evil.example", host=HOST, port=site.port) == 400


async def test_settings_are_added_where_there_is_no_project(program):
    site = program(
        programs.ECHO.replace("port={port})", 'port={port}, settings={"FASTWS_ALLOWED_ORIGINS": ["null"]})')
    )
    async with connect(site.url("/echo"), origin="null", proxy=None):
        pass
    assert await denied(site.url("/echo"), origin="http://localhost") == 403


async def test_a_port_in_use_is_said_and_the_status_is_1(program, make):
    site = program(programs.ECHO)
    late = make(programs.ECHO, port=site.port)
    assert await late.run() == 1
    assert "Address already in use" in late.log()
    assert "behind it" not in late.log()
    assert not tracebacks(late.log())


async def test_where_there_is_a_project_its_settings_are_used(make):
    """Though the routes are declared before it is configured, and its consumers.py has others."""
    site = make(programs.ECHO)
    (site.cwd / "mysettings.py").write_text(
        'SECRET_KEY = "x"\nALLOWED_HOSTS = ["only.example"]\nINSTALLED_APPS = ["django_fastws", "feeds"]\n'
        'ROOT_URLCONF = "feeds"\nDATABASES = {}\n'
    )
    (site.cwd / "feeds").mkdir()
    (site.cwd / "feeds/__init__.py").write_text("urlpatterns = []\n")
    (site.cwd / "feeds/consumers.py").write_text(
        "from django_fastws import FastWS\n"
        'app = FastWS()\n@app.websocket("/theirs")\nasync def theirs(ws):\n    await ws.accept()\n'
    )
    site.environment["DJANGO_SETTINGS_MODULE"] = "mysettings"
    site.start()
    assert await denied(site.url("/echo")) == 400
    url = f"ws://only.example:{site.port}"
    async with connect(f"{url}/echo", host=HOST, port=site.port, proxy=None) as ws:
        await ws.send("hello")
        with pytest.raises(ConnectionClosed):
            await ws.recv()  # there are no users, which the project would have to have
    assert await denied(f"{url}/theirs", host=HOST, port=site.port) == 404
    assert "no user here" in site.log()


# Running


class Peer:
    """A server for outbound routes."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    async def answer(self, ws: ServerConnection) -> None:
        assert ws.request is not None
        self.paths.append(ws.request.path)
        if ws.request.path == "/feed":
            await ws.send('{"price": 42}')
            await ws.wait_closed()
        elif ws.request.path == "/echo":
            async for message in ws:
                await ws.send(message)

    def request(self, connection: ServerConnection, request: Request) -> Response | None:
        if request.path != "/status":
            return None
        self.paths.append(request.path)
        return connection.respond(HTTPStatus.OK, '{"status": "fine"}')


@pytest.fixture
async def peer():
    served = Peer()
    async with serve(served.answer, HOST, 0, process_request=served.request) as server:
        served.port = server.sockets[0].getsockname()[1]
        yield served


async def test_a_program_runs_its_routes_to_their_end(peer, make):
    client = make(programs.ASK, port=peer.port, is_forked=False)
    assert await client.run() == 0
    log = client.log()
    assert "Heard: hello" in log
    assert "INFO    | django_fastws.clients | Running 1 routes" in log
    assert log.index("Heard") < log.index("Done in") < log.index("behind it")


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
async def test_requests_come_first_and_sockets_stay_until_a_signal(peer, make, signum):
    client = make(programs.FEED, port=peer.port)
    running = asyncio.create_task(client.run())

    async def is_open() -> bool:
        return client.log_path.exists() and "got 42" in client.log() and "lost" in client.log()

    await until(is_open)
    client.send_signal(signum)
    assert await running == 0
    assert peer.paths[0] == "/status"
    assert '{"status":"fine"}' in client.log()
    assert not tracebacks(client.log())


async def test_the_status_is_1_when_a_route_has_failed(make):
    client = make(programs.ASK)
    assert await client.run() == 1
    assert "behind it" not in client.log()


# What is said instead

APP = """
import asyncio, threading
from django_fastws import FastWS
app = FastWS()
@app.websocket("/x")
async def came(ws): ...
@app.ws(url="ws://127.0.0.1:1/x")
async def went(ws): ...
async def inside(call):
    call()
"""


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("asyncio.run(inside(app.run))", ["app.run()", "event loop runs already"]),
        ("asyncio.run(inside(app.serve))", ["app.serve()", "event loop runs already"]),
        ("app.serve(port='8000')", ["TypeError", "port='8000'"]),
        ("app.serve(port=70000)", ["ValueError", "0 (any that is free) to 65535"]),
        ("app.serve(host='')", ["ValueError", "0.0.0.0"]),
        ("app.serve(settings={'debug': True})", ["'debug' must be uppercase"]),
        ("app.run(settings={'FASTWS_DRAIN_SECONDS': 'x'})", ["FASTWS_DRAIN_SECONDS"]),
        ("FastWS().run()", ["no outbound route to run"]),
        ("FastWS().serve()", ["no WebSocket route to serve", "app.room"]),
        ("app.websocket('/x')(came); app.serve(port=0)", ["Several handlers on one path"]),
        (
            "from django_fastws import History; app.room('kept', history=History(database=True)); app.serve(port=0)",
            ["ImproperlyConfigured", "live room 'kept' in ", "DATABASES is empty"],
        ),
        ("lease = FastWS(); lease.ws('ws://127.0.0.1:1/x', lease=True)(went); lease.run()", ["no Redis to hold"]),
        (
            "from django.conf import settings; settings.configure(); app.run(settings={'DEBUG': True})",
            ["ImproperlyConfigured", "settings="],
        ),
    ],
)
def test_what_cannot_be_ends_with_1_and_says_why(code, words):
    done = run(APP + code, NO_PROJECT)
    assert done.returncode == 1
    assert [word for word in words if word not in done.stderr] == []


@pytest.mark.parametrize("call", ["app.run", "app.serve"])
def test_another_thread_is_told_so(call):
    done = run(
        APP + f"thread = threading.Thread(target={call}, name='worker'); thread.start(); thread.join()", NO_PROJECT
    )
    assert f"cannot call {call}() in the thread 'worker'" in done.stderr


def test_serving_again_is_told_so_and_running_again_runs():
    code = """
import os, signal, time
from django_fastws import WebSocketStateError

@app.websocket("/y")
async def stopping(ws): ...

for _ in range(2):
    try:
        app.run()
    except SystemExit as end:
        print("ran", end.code)

def stop():
    while signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGTERM)

threading.Thread(target=stop).start()
app.serve(port=0)
try:
    app.serve(port=0)
except WebSocketStateError as error:
    print(error)
"""
    done = run(APP + code, NO_PROJECT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("ran 1") == 2
    assert "start another process" in done.stdout


# Hosts


@pytest.mark.parametrize(
    ("host", "there", "not_there"),
    [
        ("127.0.0.1", {"localhost", "127.0.0.1", "[::1]"}, {"0.0.0.0"}),
        ("127.0.0.2", {"localhost", "127.0.0.2"}, set()),
        ("localhost", {"localhost", "127.0.0.1"}, set()),
        ("::1", {"localhost", "[::1]"}, {"::1"}),
        ("0.0.0.0", {"localhost", "127.0.0.1", "[::1]"}, {"0.0.0.0", "*"}),
        ("192.0.2.7", {"192.0.2.7"}, {"localhost", "*"}),
        ("2001:db8::7", {"[2001:db8::7]"}, {"localhost"}),
        ("Example.com", {"example.com"}, {"localhost"}),
    ],
)
def test_the_hosts_are_those_that_it_is_bound_to(host, there, not_there):
    hosts = set(hosts_of(host))
    assert there <= hosts
    assert not not_there & hosts
