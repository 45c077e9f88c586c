"""The browser client in Chromium: pages and real servers, restarts, networks that go away, users that change.

All pages are served with ``default-src 'self'``, and their files under the names of ManifestStaticFilesStorage.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import pytest_asyncio
from django.core.management import call_command
from django.test import override_settings
from playwright.async_api import Browser, Page

from django_fastws import Room
from tests.conftest import Database, check_log, layer_config
from tests.site.browser import Noted
from tests.site.client import token
from tests.support.chromium import chromium
from tests.support.processes import HOST, ASGIServer, RedisServer

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),  # the browser's
    pytest.mark.browser,
    pytest.mark.redis,
    pytest.mark.server,
]

PATIENCE = 30  # seconds that anything may take
KINDS = ["runws_server", "uvicorn"]
RECONNECT_RATE = 10  # per second: a small crowd has a window of some seconds
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"},
}

Visit = Callable[..., Awaitable["Tab"]]


class Tab:
    """A page that a test directs: see ``tests/site/static/site/page.js``."""

    def __init__(self, page: Page) -> None:
        self.page = page

    async def run(self, script: str, *arguments: Any) -> Any:
        """The value of a JavaScript expression in the page, in which ``args`` are the arguments."""
        async with asyncio.timeout(PATIENCE):
            return await self.page.evaluate(f"(args) => {script}", list(arguments))

    async def until(self, condition: str, *arguments: Any) -> None:
        """Wait until an expression is true."""
        try:
            await self.run(f"page.until(() => {condition})", *arguments)
        except TimeoutError:
            record = json.dumps(await self.run("page.record"), indent=1)
            pytest.fail(f"{condition} with {arguments} did not come true:\n{record}")

    async def join(self, name: str, key: str | None = None) -> Any:
        """Join a room, and wait for its state, which is returned."""
        key = key or name
        await self.run("page.join(...args)", name, key)
        return await self.state(name, key=key)

    async def state(self, name: str, number: int = 1, key: str | None = None) -> Any:
        """Wait until a room has been given so many states, and return the last."""
        await self.until("page.heard(args[0], 'state').length >= args[1]", key or name, number)
        states = await self.heard(key or name, "state")
        assert len(states) == number
        return states[-1]

    async def call(self, name: str, event: str, **data: Any) -> Any:
        return await self.run("page.call(...args)", name, event, data)

    async def heard(self, name: str, event: str) -> list[Any]:
        heard: list[Any] = await self.run("page.heard(...args)", name, event)
        return heard

    async def record(self, what: str) -> list[Any]:
        record: list[Any] = await self.run("page.record[args[0]]", what)
        return record

    async def waits(self) -> list[float]:
        """The milliseconds of each wait for a reconnect, as they were told."""
        return [status["retryIn"] for status in await self.record("statuses") if status["state"] == "waiting"]

    async def status(self, state: str) -> Any:
        """Wait for a state of the connection, and return the status."""
        await self.until("page.live.status.state === args[0]", state)
        return await self.run("page.live.status")


@pytest.fixture(scope="module")
def servers(
    redis_server: RedisServer, site_database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], ASGIServer]]:
    """A server of each kind, with one Redis, one database and the same static files."""
    files = {"STATIC_ROOT": str(tmp_path_factory.mktemp("static")), "STORAGES": STORAGES}
    with override_settings(**files):
        call_command("collectstatic", interactive=False, verbosity=0, ignore_patterns=["admin"])
    settings = {
        **files,
        "FASTWS_LIVE_AUTHENTICATE": "tests.site.browser.user_of",
        "FASTWS_RECONNECT_RATE": f"{RECONNECT_RATE}/s",
        "FASTWS_DRAIN_SECONDS": 5,
    }
    running: dict[str, ASGIServer] = {}
    with ExitStack() as stack:

        def get(kind: str) -> ASGIServer:
            if kind not in running:
                layer = layer_config("ours", redis_server, "browser")
                server = ASGIServer(kind, layer=layer, settings=settings, environment=site_database.environment)
                running[kind] = stack.enter_context(server)
            return running[kind]

        yield get
        for server in running.values():
            server.send_signal(signal.SIGTERM)  # so that they all stop at once
        for server in running.values():
            server.stop()
            check_log(server)


@pytest.fixture
def server(request: pytest.FixtureRequest, servers: Callable[[str], ASGIServer]) -> Iterator[ASGIServer]:
    """The server of a test that does not ask for several. It runs again when the test is over."""
    server = servers(getattr(request, "param", "runws_server"))
    yield server
    assert server.process is not None
    if server.process.poll() is not None:
        server.start()


@pytest_asyncio.fixture(loop_scope="session")
async def visit(browser: Browser) -> AsyncIterator[Visit]:
    """Open a page as someone new, or in the context of another tab, and connect. No page may report an error."""
    errors: list[str] = []

    async def open_page(
        server: ASGIServer,
        *,
        within: Browser = browser,
        beside: Tab | None = None,
        user: str | None = None,
        tokens: list[str] | None = None,
    ) -> Tab:
        context = beside.page.context if beside else await within.new_context()
        if user is not None:
            assert (await context.request.get(server.http_url(f"/login/?name={user}"))).ok
        page = await context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        await page.goto(server.http_url("/page/"))
        await page.wait_for_selector("[data-ready]", state="attached")
        tab = Tab(page)
        if tokens is not None:
            await tab.run("(page.tokens = args)", *tokens)
        await tab.run("page.connect({ withTokens: args[0] })", tokens is not None)
        return tab

    yield open_page
    assert not errors


@pytest.fixture
def name() -> str:
    return f"board/{token()}"


async def stop(server: ASGIServer, signum: int = signal.SIGTERM) -> None:
    await asyncio.to_thread(server.stop, signum)


async def start(server: ASGIServer) -> None:
    await asyncio.to_thread(server.start)


def get(server: ASGIServer, path: str) -> str:
    """The text of a page, for somebody who is no browser."""
    connection = http.client.HTTPConnection(HOST, server.port, timeout=PATIENCE)
    connection.request("GET", path)
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    assert response.status == 200, text
    return text


# ── Rooms ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("server", KINDS, indirect=True)
async def test_a_page_joins_calls_is_answered_and_asked(server, visit, name):
    tab = await visit(server)
    assert (await tab.join(name))["notes"] == []
    assert await tab.call(name, "note", text="hello") == {"ok": 1}
    await tab.until("page.notes.includes('hello')")

    wrong = (await tab.call(name, "note", text="x" * 21))["error"]
    assert (wrong["name"], wrong["code"], list(wrong["fields"])) == ("LiveError", "invalid", ["text"])
    assert (await tab.call(name, "nothing"))["error"]["code"] == "unknown_event"
    await tab.run("page.join('nowhere')")
    await tab.until("page.heard('nowhere', 'error').length")

    assert await tab.run("page.stream(args[0], 'numbers', { n: 3 })", name) == [0, 1, 2]
    await tab.run("page.live.answer('colour', ({ of }) => `${of}blue`)")
    assert await tab.call(name, "colour") == {"ok": "skyblue"}
    await tab.until("page.heard('live', 'greeting').length")
    assert await tab.heard("live", "greeting") == [{"text": "it is skyblue"}]
    assert [status["state"] for status in await tab.record("statuses")] == ["connecting", "open"]


async def test_events_come_from_other_pages_and_from_scripts(servers, visit, name, settings, redis_server):
    ada, bob = await visit(servers("runws_server")), await visit(servers("uvicorn"))
    await ada.join(name)
    await bob.join(name)
    await ada.call(name, "note", text="from a page")
    settings.CHANNEL_LAYERS = {"default": layer_config("ours", redis_server, "browser")}
    await Room(name).abroadcast(Noted(text="from a script"))
    for tab in (ada, bob):
        await tab.until("page.heard(args[0], 'noted').length >= 2", name)
        assert [noted["text"] for noted in await tab.heard(name, "noted")] == ["from a page", "from a script"]


async def test_two_joins_of_one_name_share_it_until_both_have_left(server, visit, name):
    tab = await visit(server)
    await tab.join(name, "one")
    await tab.join(name, "two")
    await tab.call("one", "note", text="for both")
    await tab.until("page.heard('two', 'noted').length")
    await tab.run("page.rooms.get('one').leave()")
    assert (await tab.call("one", "note", text="x"))["error"]["code"] == "not_joined"
    await tab.call("two", "note", text="for one")
    await tab.until("page.heard('two', 'noted').length >= 2")
    assert await tab.heard("one", "noted") == [{"text": "for both"}]
    assert not await tab.run("page.record.sent.some((frame) => frame.leave)")
    await tab.run("page.rooms.get('two').leave()")
    await tab.until("page.record.sent.some((frame) => frame.leave)")


async def test_join_leave_join_makes_no_ghosts(server, visit, name):
    tab = await visit(server)
    await tab.run("page.join(args[0], 'first')", name)
    await tab.run("(page.rooms.get('first').leave(), page.join(args[0], 'second'))", name)
    await tab.state("second")
    await tab.run(
        "{ for (const key of 'abc') { page.rooms.get('second').leave(); page.join(args[0], 'second'); } }", name
    )
    await tab.call("second", "note", text="one")
    await tab.call("second", "note", text="two")
    await tab.until("page.heard('second', 'noted').length >= 2")
    assert await tab.heard("second", "noted") == [{"text": "one"}, {"text": "two"}]
    assert await tab.heard("first", "noted") == []


# ── Histories ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
async def test_a_page_gets_what_it_missed_while_the_server_was_away(
    servers, visit, name, settings, redis_server, signum
):
    server, name = servers("runws_server"), name.replace("board/", "log/")
    settings.CHANNEL_LAYERS = {"default": layer_config("ours", redis_server, "browser")}
    tab = await visit(server)
    await tab.join(name)
    texts = [f"note {number}" for number in range(6)]
    for text in texts[:2]:
        await Room(name).abroadcast(Noted(text=text))
    await tab.until("page.heard(args[0], 'noted').length >= 2", name)
    await stop(server, signum)
    for text in texts[2:5]:
        await Room(name).abroadcast(Noted(text=text))
    await start(server)
    await tab.until("page.heard(args[0], 'noted').length >= 5", name)
    position = await Room(name).abroadcast(Noted(text=texts[5]))
    await tab.until("page.heard(args[0], 'noted').length >= 6", name)
    assert [noted["text"] for noted in await tab.heard(name, "noted")] == texts
    assert len(await tab.heard(name, "state")) == 1
    assert await tab.run("page.rooms.get(args[0]).at", name) == str(position)


async def test_a_page_gets_the_state_where_the_history_is_lost(servers, visit, name, settings, redis_server):
    server, name = servers("runws_server"), name.replace("board/", "log/")
    settings.CHANNEL_LAYERS = {"default": layer_config("ours", redis_server, "browser")}
    tab = await visit(server)
    await tab.join(name)
    await Room(name).abroadcast(Noted(text="before"))
    await tab.until("page.heard(args[0], 'noted').length >= 1", name)
    await Room(name).aclear()
    await tab.state(name, 2)
    await Room(name).abroadcast(Noted(text="after"))
    await tab.until("page.heard(args[0], 'noted').length >= 2", name)
    assert [frame for frame in await tab.record("sent") if "join" in frame][1:] == []  # it need not ask


# ── Servers that go and come ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("server", KINDS, indirect=True)
async def test_a_page_rejoins_after_a_restart_of_the_server_and_gets_the_state(server, visit, name):
    tab = await visit(server)
    before = await tab.join(name)
    await stop(server)
    await tab.until("page.record.statuses.some((status) => status.state === 'waiting')")
    await start(server)
    after = await tab.state(name, 2)
    assert before["boot"] != after["boot"]
    assert await tab.call(name, "note", text="again") == {"ok": 1}
    await tab.until("page.notes.includes('again')")
    assert await tab.heard(name, "noted") == [{"text": "again"}]

    code, reason = (await tab.record("closes"))[0]
    assert code == 1012
    if server.kind == "runws_server":
        assert reason == "service restart;1000"
        assert 0 <= (await tab.waits())[0] <= 1000


async def test_twenty_pages_come_back_over_the_announced_window_and_miss_nothing(server, visit, name):
    tabs = [await visit(server)]
    tabs += await asyncio.gather(*(visit(server, beside=tabs[0]) for _ in range(19)))
    before = (await asyncio.gather(*(tab.join(name) for tab in tabs)))[0]
    await stop(server)
    await start(server)
    # Somebody who is back speaks while others are still away.
    states = [asyncio.ensure_future(tab.state(name, 2)) for tab in tabs]
    await asyncio.wait(states, return_when=asyncio.FIRST_COMPLETED)
    first = next(tab for tab, state in zip(tabs, states, strict=True) if state.done())
    for number in range(5):
        assert "ok" in await first.call(name, "note", text=f"note {number}")
    boots = {state["boot"] for state in await asyncio.gather(*states)}
    assert len(boots) == 1
    assert before["boot"] not in boots
    for tab in tabs:
        await tab.until("page.notes.length >= 5")
        assert await tab.run("page.notes") == [f"note {number}" for number in range(5)]

    window = 1000 * len(tabs) / RECONNECT_RATE
    waits = []
    for tab in tabs:
        assert (await tab.record("closes"))[0] == [1012, f"service restart;{window:.0f}"]
        waits.append((await tab.waits())[0])
    assert len(set(waits)) == len(tabs)
    assert 0 <= min(waits) < max(waits) <= window


async def test_a_page_tries_again_and_again_while_a_server_that_was_killed_is_away(server, visit, name):
    tab = await visit(server)
    before = await tab.join(name)
    await stop(server, signal.SIGKILL)
    await tab.until("page.record.statuses.filter((status) => status.state === 'waiting').length >= 3")
    assert (await tab.call(name, "note", text="x"))["error"]["code"] == "unavailable"
    await start(server)
    assert (await tab.state(name, 2))["boot"] != before["boot"]
    assert all(0 <= wait <= 500 * 2**attempt for attempt, wait in enumerate(await tab.waits()))
    assert {code for code, _ in await tab.record("closes")} == {1006}


# ── Pages and networks that go and come ─────────────────────────────────────────────────────────────────────────────


async def test_a_page_goes_on_when_it_comes_out_of_the_back_forward_cache(server, visit, name):
    async with chromium(is_whole=True, ignore_default_args=["--disable-back-forward-cache"]) as whole:
        tab = await visit(server, within=whole)
        await tab.join(name)
        await tab.page.goto(server.http_url("/hello/"))
        await tab.page.go_back(wait_until="commit")
        await tab.until("page.record.shown.at(-1)")
        await tab.state(name, 2)
        await tab.call(name, "note", text="again")
        await tab.until("page.heard(args[0], 'noted').length", name)
        assert [status["state"] for status in await tab.record("statuses")] == [
            "connecting",
            "open",
            "waiting",
            "connecting",
            "open",
        ]


async def test_a_page_comes_back_as_soon_as_the_network_does(server, visit, name):
    tab = await visit(server)
    await tab.join(name)
    await tab.page.context.set_offline(True)
    await stop(server, signal.SIGKILL)  # what is open stays open without a network
    await start(server)
    await tab.until("page.record.statuses.filter((status) => status.state === 'waiting').length >= 3")
    await tab.page.context.set_offline(False)
    await tab.state(name, 2)
    await tab.call(name, "note", text="again")
    await tab.until("page.heard(args[0], 'noted').length", name)


# ── Users ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_token_that_has_expired_is_renewed_once(server, visit):
    room = f"desk/{token()}"
    tab = await visit(server, tokens=["an old one", "token of bob"])
    await tab.run("page.join(args[0])", room)
    assert await tab.call(room, "who") == {"ok": "bob"}
    assert [status["state"] for status in await tab.record("statuses")] == ["connecting", "connecting", "open"]

    refused = await visit(server, tokens=["an old one", "another old one", "token of bob"])
    assert (await refused.status("closed"))["code"] == 4401
    assert await refused.run("page.tokens") == ["token of bob"]


async def test_a_page_asks_for_a_token_when_its_user_is_disconnected(server, visit):
    room, user = f"desk/{token()}", token()
    tab = await visit(server, tokens=[f"token of {user}"] * 2)
    await tab.run("page.join(args[0])", room)
    assert await tab.call(room, "who") == {"ok": user}
    pk = await asyncio.to_thread(get, server, f"/login/?name={user}")
    await asyncio.to_thread(get, server, f"/kick/?pk={pk}&code=4401")
    await tab.state(room, 2)  # joined again
    assert await tab.call(room, "who") == {"ok": user}
    assert await tab.record("closes") == [[4401, "kicked"]]


async def test_a_log_out_closes_the_page_for_good(server, visit):
    room, user = f"desk/{token()}", token()
    tab = await visit(server, user=user)
    await tab.run("page.join(args[0])", room)
    assert await tab.call(room, "who") == {"ok": user}
    assert (await tab.page.context.request.get(server.http_url("/logout/"))).ok
    status = await tab.status("closed")
    assert status["code"] == 4401
    await tab.run("['online', 'pageshow', 'visibilitychange'].forEach((type) => dispatchEvent(new Event(type)))")
    assert (await tab.call(room, "who"))["error"]["code"] == "unavailable"
    assert await tab.run("page.live.status") == status
    assert len(await tab.record("closes")) == 1


# ── What a site may demand ──────────────────────────────────────────────────────────────────────────────────────────


async def test_nothing_but_files_of_the_site_is_needed_and_these_have_hashes(server, visit, name):
    tab = await visit(server)
    await tab.join(name)
    await tab.call(name, "note", text="works")
    assert await tab.record("violations") == []
    loaded = await tab.run("performance.getEntriesByType('resource').map(({ name }) => name)")
    files = {re.sub(r"\.[0-9a-f]{12}\.", ".HASH.", url.removeprefix(server.http_url("/"))) for url in loaded}
    assert files - {"favicon.ico"} == {"static/site/page.HASH.js", "static/django_fastws/fastws.HASH.js"}
    # The policy holds.
    await tab.run(
        "{ const script = document.createElement('script'); script.text = '1'; document.head.append(script); }"
    )
    await tab.until("page.record.violations.length")
