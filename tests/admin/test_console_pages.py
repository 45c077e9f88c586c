"""The console on real servers: over Redis, from every kind of server, and in a browser under a strict policy."""

from __future__ import annotations

import re
import sqlite3
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from django.contrib.admin.utils import quote as admin_quote
from playwright.async_api import expect

from tests.conftest import Database, layer_config, make_database
from tests.site.client import connect, token
from tests.support.chromium import PATIENCE
from tests.support.processes import ASGIServer, RedisServer

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),  # the browser's
    pytest.mark.redis,
    pytest.mark.server,
    pytest.mark.slow,
]

ROOT = "/admin/django_fastws"
#: What is against the policy, and what is thrown, from the first moment of a page on.
WATCH = """window.problems = [];
addEventListener("securitypolicyviolation", ({ violatedDirective }) => problems.push(violatedDirective));
addEventListener("error", ({ message }) => problems.push(message));
addEventListener("unhandledrejection", ({ reason }) => problems.push(String(reason)));"""


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Database:
    """A database in which ada is a superuser."""
    made = make_database(tmp_path_factory)
    with sqlite3.connect(made.path) as connection:
        connection.execute("UPDATE auth_user SET is_staff = 1, is_superuser = 1")
    connection.close()
    return made


@pytest.fixture(scope="module")
def serve_console(redis_server: RedisServer, database: Database) -> Iterator[Any]:
    """Start servers of several kinds on one Redis."""
    running: dict[str, ASGIServer] = {}
    with ExitStack() as stack:

        def get(kind: str) -> ASGIServer:
            if kind not in running:
                running[kind] = stack.enter_context(
                    ASGIServer(
                        kind,
                        app="tests.admin.site:application",
                        layer=layer_config("ours", redis_server, "console"),
                        settings={"ROOT_URLCONF": "tests.admin.urls"},
                        environment=database.environment,
                    )
                )
            return running[kind]

        yield get
        for server in running.values():
            assert "Traceback" not in server.log()
            assert "ResourceWarning" not in server.log()


class Operator:
    """Somebody who looks at pages of the console without a browser.

    Args:
        server: that renders them.
        session_key: of the session.
    """

    def __init__(self, server: ASGIServer, session_key: str) -> None:
        self._server = server
        self._cookies = {"sessionid": session_key}

    def get(self, path: str, data: dict[str, str] | None = None) -> str:
        """A page; with data, posted to."""
        body = None if data is None else urllib.parse.urlencode(data).encode()
        cookie = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        request = urllib.request.Request(self._server.http_url(path), body, {"Cookie": cookie})
        with urllib.request.urlopen(request, timeout=30) as answer:
            for header in answer.headers.get_all("Set-Cookie") or ():
                name, _, value = header.partition(";")[0].partition("=")
                self._cookies[name] = value
            return str(answer.read().decode())


@pytest.mark.parametrize("kind", ["runws_server", "daphne", "uvicorn", "wsgi"])
async def test_a_socket_is_found_and_closed_from_any_server(serve_console, database, kind):
    name = token()
    operator = Operator(serve_console(kind), database.session_key)
    async with connect(serve_console("runws_server"), f"/ws/member?room={name}") as ws:
        await ws.recv()
        page = operator.get(f"{ROOT}/socket/?room={name}")
        (key,) = re.findall(r'name="selected" value="([^"]+)"', page)
        assert "/ws/member" in page
        question = operator.get(f"{ROOT}/socket/do/close/?selected={urllib.parse.quote(key)}")
        (secret,) = set(re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', question.partition("fw-question")[2]))
        data = {"csrfmiddlewaretoken": secret, "selected": key, "code": "4404", "reason": "by hand"}
        operator.get(f"{ROOT}/socket/do/close/", data)
        await ws.wait_closed()
        assert (ws.close_code, ws.close_reason) == (4404, "by hand")
    assert "by hand" in operator.get(f"{ROOT}/socket/{admin_quote(key)}/history/")


@pytest.mark.browser
async def test_what_is_broadcast_from_the_console_is_in_the_live_tail(serve_console, database, browser):
    server, name = serve_console("runws_server"), f"live/<b>{token()}"
    context = await browser.new_context()
    await context.add_cookies([{"name": "sessionid", "value": database.session_key, "url": server.http_url("/")}])
    await context.add_init_script(WATCH)
    context.set_default_timeout(PATIENCE)
    tail, console = await context.new_page(), await context.new_page()

    await tail.goto(server.http_url(f"{ROOT}/room/?q={urllib.parse.quote(name)}"))
    await tail.get_by_role("link", name="Open the room with exactly this name").click()
    await tail.get_by_role("link", name="Live tail").click()
    await expect(tail.locator('[data-part="status"][data-state="open"]')).to_have_text("live")
    await console.goto(tail.url.replace("/tail/", "/change/"))
    await console.get_by_role("link", name="Broadcast…").click()
    await console.locator("[name=event]").fill("notice")
    await console.locator("[name=message]").fill('{"text": "<i>tea</i>"}')
    await console.get_by_role("button", name="Broadcast").click()
    await expect(console.locator(".messagelist .success")).to_contain_text("1 of 1 room")

    line = tail.locator(".fw-log li")
    await expect(line.locator(".fw-event")).to_have_text("notice")
    await expect(line.locator("pre")).to_contain_text("<i>tea</i>")
    await tail.get_by_role("button", name="Pause").click()
    await tail.get_by_role("button", name="Clear").click()
    await expect(line).to_have_count(0)
    for page in (tail, console):
        assert await page.evaluate("problems") == []


@pytest.mark.browser
async def test_members_are_selected_and_kicked_in_a_browser(serve_console, database, browser):
    server, name = serve_console("runws_server"), token()
    context = await browser.new_context()
    await context.add_cookies([{"name": "sessionid", "value": database.session_key, "url": server.http_url("/")}])
    await context.add_init_script(WATCH)
    page = await context.new_page()
    page.set_default_timeout(PATIENCE)
    async with connect(server, f"/ws/member?room={name}") as ws:
        await ws.recv()
        await page.goto(server.http_url(f"{ROOT}/room/{name}/change/"))
        await page.get_by_label("Select all on this page").check()
        await expect(page.locator(".action-counter")).to_have_text("1 of 1 selected")
        await page.locator("select[name=action]").select_option("kick")
        await page.get_by_role("button", name="Go").click()
        await page.locator("[name=reason]").fill("off topic")
        await page.get_by_role("button", name="Yes, kick").click()
        await expect(page.locator(".messagelist .success")).to_contain_text("Kicked 1 of 1 member")
        await ws.wait_closed()
        assert (ws.close_code, ws.close_reason) == (4403, "off topic")
    assert await page.evaluate("problems") == []
