"""The README's quick start and a live room, in an environment in which only the wheel and its dependencies are."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.docs.blocks import README, example_block, section
from tests.docs.client import chatting, heard, join
from tests.docs.reader import Reader
from tests.support import node
from tests.support.chromium import CHROMIUM, chromium
from tests.support.client_size import CLIENT
from tests.support.processes import HOST

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.long]

#: A user who is logged in; the key of the session.
LOGGED_IN = """
from django.contrib.auth import get_user_model
from django.test import Client
client = Client()
client.force_login(get_user_model().objects.create_user("ada"))
print("key " + client.session.session_key)
"""
#: What a page does: joins, calls, and gives what it has got.
IN_A_PAGE = """
async () => {
  const { connect } = await import("/static/django_fastws/fastws.js");
  const live = connect();
  const ticket = live.join("tickets/5");
  const state = new Promise((resolve) => ticket.on("state", resolve));
  const said = new Promise((resolve) => ticket.on("said", resolve));
  return { state: await state, answer: await ticket.call("say", { text: "from a page" }), said: await said };
}
"""
#: The same under Node, with the package from npm. Of its sockets, only those of undici take headers.
IN_NODE = """
import { connect, LiveError } from "django-fastws";

const [url, cookie] = process.argv.slice(2);
class WithCookie extends WebSocket {
  constructor(to, protocols) {
    super(to, { protocols, headers: { cookie } });
  }
}
const live = connect(url, { WebSocket: WithCookie });
const ticket = live.join("tickets/5");
const state = new Promise((resolve) => ticket.on("state", resolve));
const error = await ticket.call("say", { text: "x".repeat(2001) }).catch((error) => error);
const answer = await ticket.call("say", { text: "from Node" });
const refused = error instanceof LiveError && error.code;
console.log(JSON.stringify({ state: (await state).length, answer, refused }));
live.close();
"""


async def test_the_quick_start_and_a_live_room_work_from_the_package_alone(
    installed: Path, request: pytest.FixtureRequest, tmp_path: Path
):
    directory = tmp_path / "project"
    directory.mkdir()
    with Reader(directory, python=installed) as reader:
        reader.follow(section(README, "Quick start"))
        (server,) = reader.servers
        async with join(server, "/ws/chat/lobby?username=ada") as ada, join(server, "/ws/chat/lobby") as bob:
            await chatting(bob)
            await ada.send("hello")
            await heard(ada, {"username": "ada", "message": "hello"})
            await heard(bob, {"username": "ada", "message": "hello"})
        logs = [server.log()]
        reader.stop_servers()

        key = add_live_room(reader)
        server = reader.serve("python manage.py runserver")
        said = [{"who": "ada", "text": "from a socket"}]
        await talk(server, key)
        if CHROMIUM:
            said.append({"who": "ada", "text": "from a page"})
            assert await in_a_page(server.url("/", "http"), key) == {"state": said[:1], "answer": 2, "said": said[1]}
        if node.find():
            told = under_node(request.getfixturevalue("npm_project"), server.url("/ws/live"), key)
            assert told in ({"state": len(said), "answer": len(said) + 1, "refused": "invalid"}, None)
        printed = reader.run(f"python -c {WHERE!r}")
        assert Path(printed.strip()).is_relative_to(installed.parents[1])
        assert not any("Traceback" in log for log in [*logs, server.log()])


WHERE = "import django_fastws; print(django_fastws.__file__)"


def add_live_room(reader: Reader) -> str:
    """Make an app with the README's live room, and its docs page; the key of the session of a user."""
    desk = reader.directory / "desk"
    desk.mkdir()
    (desk / "__init__.py").touch()
    (desk / "consumers.py").write_text(example_block("live_room", "").text, "utf-8")
    with (reader.directory / "mysite" / "settings.py").open("a") as settings:
        settings.write('\nINSTALLED_APPS += ["desk"]\n')
    (reader.directory / "logged_in.py").write_text(LOGGED_IN, "utf-8")
    printed = reader.run("python manage.py shell --no-imports -c 'import logged_in'")
    (key,) = re.findall(r"key (\w+)", printed)
    return key


async def talk(server: Any, key: str) -> None:
    """A client of the protocol calls, and is answered."""
    async with join(server, "/ws/live", additional_headers={"Cookie": f"sessionid={key}"}) as ws:
        await ws.send(json.dumps({"join": "tickets/5", "id": 1}))
        answer = json.loads(await ws.recv())
        assert (answer["id"], answer["ok"]["state"]) == (1, [])
        await ws.send(json.dumps({"room": "tickets/5", "event": "say", "data": {"text": "from a socket"}, "id": 2}))
        told = [json.loads(await asyncio.wait_for(ws.recv(), 30)) for _ in range(2)]
        assert {"id": 2, "ok": 1} in told


async def in_a_page(url: str, key: str) -> Any:
    """What a page in a browser gets."""
    async with chromium() as browser:
        context = await browser.new_context()
        await context.add_cookies([{"name": "sessionid", "value": key, "domain": HOST, "path": "/"}])
        page = await context.new_page()
        await page.goto(url)
        return await page.evaluate(IN_A_PAGE)


def under_node(project: Path, url: str, key: str) -> Any:
    """What the package from npm gets, in an empty project; None where this Node has no WebSocket."""
    (project / "main.mjs").write_text(IN_NODE, "utf-8")
    option = "--experimental-websocket"
    options = [option] if node.run("-e", "process.exitCode = +!globalThis.WebSocket", cwd=project).returncode else []
    if options and node.run(option, "-e", "", cwd=project).returncode:
        return None
    done = node.run(*options, "main.mjs", url, f"sessionid={key}", cwd=project)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


TYPED = """\
import { connect, LiveError, type Status } from "django-fastws";

declare module "django-fastws" {
  interface Rooms {
    [name: `tickets/${number}`]: { state: string[]; calls: { say: { data: { text: string }; answer: number } } };
  }
}
const live = connect("/ws/live");
live.on("status", (status: Status) => status.state);
const ticket = live.join("tickets/5");
ticket.on("state", (lines) => lines.map((line) => line.toUpperCase()));
export const answer: Promise<number> = ticket.call("say", { text: "hello" });
// @ts-expect-error
ticket.call("say", { txt: "hello" });
// @ts-expect-error
export const wrong: Promise<string> = ticket.call("say", { text: "hello" });
export const code = (error: unknown) => (error instanceof LiveError ? error.code : "");
"""


@pytest.mark.npm
@pytest.mark.parametrize(("module", "resolution"), [("nodenext", "nodenext"), ("esnext", "bundler")])
def test_types_come_with_the_package_of_npm(npm_project: Path, module: str, resolution: str):
    (npm_project / "main.ts").write_text(TYPED, "utf-8")
    tsc = node.MODULES / "typescript" / "bin" / "tsc"
    options = ["--noEmit", "--strict", "--target", "es2022", "--module", module, "--moduleResolution", resolution]
    done = node.run(str(tsc), *options, "--types", "", "main.ts", cwd=npm_project)
    assert done.returncode == 0, done.stdout + done.stderr


#: A socket to a server that has the same answer to everything.
ANSWERS_ALL = """
globalThis.WebSocket = class {
  constructor() {
    queueMicrotask(() => this.onopen());
  }
  send(text) {
    const { id, join, event } = JSON.parse(text);
    const ok = event ? 5 : join ? { room: join, recovered: false, state: "earlier" } : { ping: 25, version: "" };
    queueMicrotask(() => this.onmessage({ data: JSON.stringify({ id, ok }) }));
  }
  close() {}
};
"""


@pytest.mark.node
def test_the_readme_of_the_package_for_npm_names_what_there_is(npm_project: Path):
    text = (CLIENT.parent / "README.md").read_text("utf-8")
    (block,) = re.findall(r"^```js\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (npm_project / "main.mjs").write_text(f"{ANSWERS_ALL}\n{block}\nconsole.log(number);\nlive.close();", "utf-8")
    done = node.run("main.mjs", cwd=npm_project)
    assert done.stdout.splitlines() == ["earlier", "5"], done.stdout + done.stderr
