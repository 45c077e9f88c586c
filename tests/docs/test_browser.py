"""Pages that are to be followed in a browser."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect

from tests.docs.blocks import DOCS, README, TUTORIAL, page, scripts
from tests.docs.client import LIMIT
from tests.docs.reader import Reader, Server

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),  # the browser's
    pytest.mark.browser,
    pytest.mark.server,
    pytest.mark.slow,
    pytest.mark.long,
]


async def console_of(tab: Any) -> asyncio.Queue[Any]:
    """What a tab writes to its console from now on."""
    written: asyncio.Queue[Any] = asyncio.Queue()

    async def write(message: Any) -> None:
        values = [await argument.json_value() for argument in message.args]
        written.put_nowait(values[0] if values else message.text)

    tab.on("console", lambda message: message.type == "log" and asyncio.ensure_future(write(message)))
    return written


async def test_readme_in_a_browser(project, browser):
    server = project.serve("python manage.py runserver")
    (script,) = scripts(README)
    hello = {"username": "ada", "message": "hello"}
    consoles = []
    for _ in range(2):
        tab = await browser.new_page()
        await tab.goto(server.url("/", "http"))
        consoles.append(await console_of(tab))
        await tab.evaluate(script)
        for console in consoles:
            assert await asyncio.wait_for(console.get(), LIMIT) == hello


async def test_tutorial_in_a_browser(reader, browser):
    first, room, state, django, _, _ = TUTORIAL
    reader.follow(page(first))
    tab = await browser.new_page()
    await tab.goto(reader.servers[-1].url("/", "http"))
    console = await console_of(tab)
    await tab.evaluate(scripts(first)[0])
    assert await asyncio.wait_for(console.get(), LIMIT) == "You said: hello"
    reader.stop_servers()

    await _talk(reader, room, browser)
    await _talk(reader, state, browser)
    server, ada = await _talk(reader, django, browser, stays=True)

    form = await browser.new_page()
    await form.goto(server.url("/announce/kitchen/", "http"))
    await form.fill("[name=text]", "Tea is ready.")
    await form.click("button")
    await ada.get_by_text("Announcement: Tea is ready.").wait_for()

    await form.close()
    log = ada.locator("#log")
    lines = await log.locator("li").all_text_contents()
    reader.stop_servers()
    await ada.get_by_text("disconnected, again in").wait_for()
    await log.evaluate("(log) => log.replaceChildren()")  # what is there afterwards is of the state
    reader.serve("python manage.py runserver", port=server.port)
    await ada.get_by_text("open", exact=True).wait_for()
    await expect(log.locator("li")).to_have_text(lines)


async def _talk(reader: Reader, part: Path, browser: Any, *, stays: bool = False) -> tuple[Server, Any]:
    """Follow a part of the tutorial, and talk from one window to the other."""
    reader.follow(page(part))
    server = reader.servers[-1]
    ada, bob = await browser.new_page(), await browser.new_page()
    for tab, name in ((ada, "Ada"), (bob, "Bob")):
        tab.set_default_timeout(LIMIT * 1000)
        await tab.goto(server.url(f"/chat/kitchen/?name={name}", "http"))
        await tab.get_by_text("open", exact=True).wait_for()
    # In the first of these parts nothing is kept, so the order counts: both are here now.
    text = f"<b>hello</b> of part {part.name[0]}"
    await bob.fill("#text", text)
    await bob.click("button")
    for tab in (ada, bob):
        await tab.get_by_text(f"Bob: {text}", exact=True).wait_for()
    await expect(bob.locator("#text")).to_have_value(
        ""
    )  # which the answer does; the broadcast may be there before it
    await bob.click("button")
    await bob.get_by_text("String should have at least 1 character").wait_for()
    await bob.close()
    if not stays:
        await ada.close()
        reader.stop_servers()
    return server, ada


async def test_a_page_learns_that_it_must_log_in(serve, browser):
    server = serve("daphne", app="tests.docs.site:application", environment={"DOCS_EXAMPLE": "authentication"})
    (script,) = scripts(DOCS / "howto" / "authenticate.md")
    tab = await browser.new_page()
    await tab.goto(server.http_url("/hello/"))
    async with tab.expect_navigation(url="**/accounts/login/", wait_until="commit"):
        connect = "window.socket = new WebSocket(`ws://${location.host}/ws/drafts`)"
        await tab.evaluate(f"() => {{ {connect}; ({script})() }}")
