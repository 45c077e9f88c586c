"""Pages that are to be followed: a reader does, and what they promise happens."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from websockets.asyncio.client import connect as ws_connect

from tests.docs.blocks import DOCS, EXAMPLES, README, TUTORIAL, blocks_of, example_block, page, section
from tests.docs.client import LIMIT, chatting, heard, join, until
from tests.programs import Program
from tests.support.processes import HOST, ROOT, free_port

pytestmark = [pytest.mark.server, pytest.mark.slow]


# The README


@pytest.mark.long
@pytest.mark.redis
async def test_readme_quick_start_and_production(reader):
    """Each command in a Python of its own, as it is for those who read it."""
    reader.forks = False
    reader.follow(section(README, "Quick start"))
    (server,) = reader.servers
    hello = {"username": "ada", "message": "hello"}
    async with join(server, "/ws/chat/größe?username=ada") as ada, join(server, "/ws/chat/größe") as bob:
        await chatting(bob)
        await ada.send("hello")
        await heard(ada, hello)
        await heard(bob, hello)
    reader.stop_servers()

    *files, start, shell = section(README, "In production")
    reader.follow([*files, start])
    one, two = reader.servers
    async with join(one, "/ws/chat/lobby?username=ada") as ada, join(two, "/ws/chat/lobby") as bob:
        await chatting(bob)
        await ada.send("hello")
        await heard(ada, hello)
        await heard(bob, hello)
        await asyncio.to_thread(reader.do, shell)
        await heard(ada, "Tea is ready.")
        await heard(bob, "Tea is ready.")
    assert not any("Traceback" in server.log() for server in reader.servers)


def test_readme_names_the_commands_of_the_makefile():
    (block,) = section(README, "See it run")
    targets = re.findall(r"^\$ make (\S+)$", block.text, re.MULTILINE)
    assert targets == ["demo", "test"]
    assert all(re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE) for target in targets)


# The tutorial


@pytest.mark.long
@pytest.mark.redis
async def test_tutorial(reader):
    """Its last part, after what the others make; what those serve is seen by the test in a browser."""
    *former, tests, processes = TUTORIAL
    reader.serves = False
    for part in (*former, tests):
        reader.follow(page(part))
    reader.serves = True

    *files, start, shell = page(processes)
    reader.follow([*files, start])
    one, two = reader.servers
    hello = [{"id": 1, "name": "Ada", "text": "hello"}]
    async with live(one, []) as ada:
        await ada.send(say(name="Ada", text="hello"))
        both = [json.loads(await ada.recv()) for _ in range(2)]
        assert said(id=1, name="Ada", text="hello") in both
        assert {"id": "say", "ok": 1} in both
        await ada.send(say(name="x" * 41, text=""))
        error = json.loads(await ws_message(ada, "error"))["error"]
        assert (error["code"], error["fields"].keys()) == ("invalid", {"name", "text"})
    async with live(one, hello) as ada, live(two, hello) as bob:
        await bob.send(say(name="Bob", text="hello, too"))
        await heard(ada, said(id=2, name="Bob", text="hello, too"))
        await asyncio.to_thread(reader.do, shell)
        for ws in (ada, bob):
            await heard(ws, said(id=0, name="Shell", text="hello"))
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as client:
        for server in (one, two):
            assert (await client.get(server.url("/static/django_fastws/fastws.js", "http"))).status_code == 200


KITCHEN = "chat/kitchen"


@contextlib.asynccontextmanager
async def live(server, state=None):
    """A member of the kitchen, which has this state."""
    async with join(server, "/ws/live") as ws:
        await ws.send(json.dumps({"join": KITCHEN, "id": "join"}))
        answer = json.loads(await ws_message(ws, "ok"))["ok"]
        assert answer.get("state") == state
        yield ws


async def ws_message(ws, word):
    """The next message with a word in it."""
    async with asyncio.timeout(LIMIT):
        while word not in (message := await ws.recv()):
            pass
    return message


def say(**data):
    return json.dumps({"room": KITCHEN, "event": "say", "data": data, "id": "say"})


def said(**data):
    return {"room": KITCHEN, "event": "said", "data": data}


@pytest.mark.long
def test_how_to_test(project):
    followed = [block for block in page(DOCS / "howto" / "test.md") if block.file or block.language == "console"]
    assert len(followed) == 9
    project.follow(followed)


# Commands of other pages

COMMANDS = [
    block
    for name in ("howto/servers.md", "howto/live-schema.md", "reference/commands.md")
    for block in blocks_of(DOCS / name)
    if block.language == "console"
]


def add_desk(directory: Path) -> None:
    """The app of which the pages list the live room."""
    (directory / "desk").mkdir()
    shutil.copy(DOCS / "examples" / "live_room.py", directory / "desk" / "consumers.py")
    with (directory / "mysite" / "settings.py").open("a") as settings:
        settings.write('INSTALLED_APPS += ["desk"]\n')


@pytest.mark.parametrize("block", COMMANDS, ids=lambda block: block.id)
async def test_a_command_of_a_page_works(project, block):
    if "desk.consumers" in block.text:
        add_desk(project.directory)
    project.do(block)
    for server in project.servers:
        async with join(server, "/ws/chat/lobby") as ws:
            await chatting(ws)


@pytest.mark.redis
async def test_a_broadcast_from_a_script_and_the_shell(project):
    project.follow([block for block in section(README, "In production") if block.file])
    script, run_script, run_shell = [
        block
        for block in blocks_of(DOCS / "howto" / "broadcast.md")
        if block.file == "notify.py" or block.language == "console"
    ]
    project.do(script)
    server = project.serve("daphne mysite.asgi:application")
    async with join(server, "/ws/chat/news") as ws:
        await chatting(ws)
        await asyncio.to_thread(project.do, run_script)
        await heard(ws, {"type": "news", "text": "The shop is closed."})
        await asyncio.to_thread(project.do, run_shell)
        await heard(ws, "hello")


# Files that need no project


async def test_one_file(tmp_path):
    port = free_port()
    server, client = (
        Program(tmp_path, (EXAMPLES / f"{name}.py").read_text().replace("8000", str(port)), port=port, module=name)
        for name in ("one_file", "one_file_client")
    )
    with server, client.directory:
        assert await client.run() == 0
        assert "{'name': 'robot', 'text': 'hello'}" in client.log()
        assert '{"status":"ready"}' in client.log()
        assert server.stop() == 0


def test_the_browser_client_is_copied_beside_a_page(tmp_path):
    (block,) = [block for block in blocks_of(DOCS / "howto" / "one-file.md") if block.language == "console"]
    command = shlex.split(block.text.removeprefix("$ python "))
    subprocess.run([sys.executable, *command], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)
    kept = ROOT / "django_fastws" / "static" / "django_fastws" / "fastws.js"
    assert (tmp_path / "fastws.js").read_text() == kept.read_text()


# Examples that need a project


async def test_middleware_by_its_path(project):
    project.do(example_block("middleware", "mysite/middleware.py"))
    project.follow([block for block in blocks_of(DOCS / "howto" / "compose-routing.md") if block.file])
    server = project.serve("daphne mysite.asgi:application")
    async with join(server, "/ws/tenant") as ws:
        await heard(ws, {"tenant": HOST.split(".")[0]})
    await until(lambda: "/ws/tenant: 1 messages in" in server.log())


async def test_an_application_composed_by_hand(project):
    project.do(example_block("composed", "mysite/asgi.py"))
    server = project.serve("daphne mysite.asgi:application")
    async with join(server, "/ws/chat/lobby") as ws:
        await chatting(ws)
    for path, options, status in [
        ("/nowhere", {}, 404),
        ("/ws/chat/lobby", {"origin": "https://elsewhere.example"}, 403),
    ]:
        with pytest.raises(Exception, match=str(status)):
            await ws_connect(server.url(path), proxy=None, **options)
    assert "Traceback" not in server.log()
