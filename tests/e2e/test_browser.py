"""The example project in a real browser: two processes, one Redis."""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

import pytest
from playwright.async_api import Locator, Page, expect

from tests.e2e.pages import EVIL, PHONE, expect_state, said, say, state, width_of_content
from tests.support.example import ELSEWHERE, PASSWORD, USER
from tests.support.processes import ASGIServer, stopped

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),  # one browser for all, with a profile for each tab
    pytest.mark.browser,
    pytest.mark.redis,
    pytest.mark.server,
]


@pytest.fixture
def room(request: pytest.FixtureRequest) -> str:
    return f"/chat/{quote(request.node.name.removeprefix('test_')[:50] + ' über')}/"


async def go_in(page: Page, name: str) -> Page:
    """Tell one's name and wait for the connection."""
    await page.get_by_label("Name", exact=True).fill(name)
    await page.keyboard.press("Enter")
    await expect(page.locator("#name")).to_have_text(name)
    await expect_state(page, "open")
    return page


async def log_in(page: Page, server: ASGIServer) -> None:
    await page.goto(server.http_url("/login/"))
    await page.get_by_label("Username").fill(USER)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Log out")).to_be_visible()


# ── The chat ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_two_tabs_on_two_processes_see_each_other(example_site, visit, room):
    ada = await go_in(await visit(example_site.one, room), "Ada")
    bob = await go_in(await visit(example_site.two, room), "Bob")
    await expect(ada.locator("#log .event")).to_contain_text("Bob came in")

    await say(ada, "Hello, Bob")
    await expect(said(bob, "Hello, Bob")).to_contain_text("Ada")
    await expect(said(bob, "Hello, Bob")).not_to_contain_class("mine")
    await expect(said(ada, "Hello, Bob")).to_contain_class("mine")
    await expect(said(ada, "Hello, Bob").locator("time")).to_have_text(re.compile(r"\d:\d\d"))
    await expect(ada.locator("#outbox li")).to_have_count(0)

    await say(bob, "Grüße, Ada")
    await expect(said(ada, "Grüße, Ada")).to_contain_text("Bob")
    await expect(said(bob, "Grüße, Ada")).to_contain_class("mine")

    await bob.close()
    await expect(ada.locator("#log .event").last).to_contain_text("Bob left")
    await expect(ada.locator("#log .said")).to_have_count(2)


async def test_a_tab_survives_a_restart_of_its_server(example_site, visit, passing, room):
    ada = await go_in(await visit(passing, room), "Ada")
    bob = await go_in(await visit(example_site.two, room), "Bob")
    await say(ada, "before")
    await expect(said(bob, "before")).to_have_count(1)
    await expect(said(ada, "before")).to_have_count(1)

    passing.stop()
    await expect_state(ada, "waiting")
    await expect(state(ada)).to_contain_text(re.compile(r"Connection lost\s+next try in \d+ s"))
    await expect(bob.locator("#log .event").last).to_contain_text("Ada left")
    await say(ada, "meanwhile")
    await expect(ada.locator("#outbox .pending")).to_contain_text("meanwhile")
    await say(bob, "into the gap")
    await expect(said(bob, "into the gap")).to_have_count(1)
    await ada.get_by_label("Message", exact=True).fill("half a sen")

    passing.start()
    await expect_state(ada, "open")
    await expect(said(bob, "meanwhile")).to_have_count(1)
    await expect(said(ada, "meanwhile")).to_have_count(1)
    await expect(ada.locator("#outbox li")).to_have_count(0)
    await expect(ada.get_by_label("Message", exact=True)).to_have_value("half a sen")
    await expect(said(ada, "before")).to_have_count(1)
    await expect(said(ada, "into the gap")).to_have_count(1)

    await ada.keyboard.type("tence")
    await ada.keyboard.press("Enter")
    await expect(said(bob, "half a sentence")).to_have_count(1)
    await say(bob, "welcome back")
    await expect(said(ada, "welcome back")).to_have_count(1)


async def test_the_wait_can_be_cut_short(example_site, visit, passing, room):
    page = await go_in(await visit(passing, room), "Ada")
    await page.clock.install()
    for action in (
        "document.querySelector('.status-retry').click()",
        "document.dispatchEvent(new Event('visibilitychange', { bubbles: true }))",
        "window.dispatchEvent(new Event('online'))",
    ):
        passing.stop()
        await expect_state(page, "waiting")
        # Nothing is tried by itself any more. The time must still be to come when the page hears of it.
        await page.clock.pause_at(await page.evaluate("Math.ceil(Date.now() / 1000) + 60"))
        await expect(page.get_by_role("button", name="Retry now")).to_be_visible()
        passing.start()
        await page.evaluate(action)
        await expect_state(page, "open")
        await page.clock.resume()


async def test_a_message_on_a_dead_connection_is_sent_again_and_shown_once(example_site, visit, passing, room):
    ada = await visit(passing, room)
    await ada.clock.install()  # before the client of the page sets its timers
    await go_in(ada, "Ada")
    bob = await go_in(await visit(example_site.two, room), "Bob")
    with stopped(passing):
        await say(ada, "once")
        await expect(ada.locator("#outbox .pending")).to_contain_text("once")
        await ada.clock.fast_forward(60_000)  # without a word of the server
        await expect(state(ada)).not_to_have_attribute("data-state", "open")  # waiting, or trying already
    await expect_state(ada, "open")  # by now the server has got it on both connections
    await expect(ada.locator("#outbox li")).to_have_count(0)
    await say(ada, "after")
    await expect(said(bob, "after")).to_have_count(1)
    for page in (ada, bob):
        await expect(said(page, "once")).to_have_count(1)


async def test_a_reload_keeps_conversation_draft_and_name(example_site, visit, room):
    ada = await go_in(await visit(example_site.one, room), "Ada")
    bob = await go_in(await visit(example_site.two, room), "Bob")
    await say(ada, "mine")
    await expect(said(bob, "mine")).to_have_count(1)
    await say(bob, "theirs")
    await expect(said(ada, "theirs")).to_have_count(1)
    await ada.get_by_label("Message", exact=True).fill("a draft")

    await ada.reload()
    await expect_state(ada, "open")
    await expect(ada.locator("#naming")).not_to_be_visible()
    await expect(ada.locator("#name")).to_have_text("Ada")
    await expect(said(ada, "mine")).to_contain_class("mine")
    await expect(said(ada, "theirs")).to_contain_text("Bob")
    await expect(said(ada, "theirs")).not_to_contain_class("mine")
    await expect(ada.get_by_label("Message", exact=True)).to_have_value("a draft")

    # The conversation is the room's own, and the name is for every room.
    await ada.goto(example_site.one.http_url(f"{room}other/"))
    await expect_state(ada, "open")
    await expect(ada.locator("#name")).to_have_text("Ada")
    await expect(ada.locator("#log .said")).to_have_count(0)
    await expect(ada.get_by_label("Message", exact=True)).to_have_value("")


async def test_a_new_name_is_told_to_the_room(example_site, visit, room):
    ada = await go_in(await visit(example_site.one, room), "Ada")
    bob = await go_in(await visit(example_site.two, room), "Bob")
    await bob.get_by_role("button", name="Change").click()
    await go_in(bob, "Robert")
    await expect(ada.locator("#log .event").last).to_contain_text("Robert came in")
    await say(bob, "it is me")
    await expect(said(ada, "it is me")).to_contain_text("Robert")
    await expect(ada.locator("#log .event")).to_contain_text(["Bob came in", "Bob left", "Robert came in"])


async def test_who_gives_no_name_is_a_guest(example_site, visit, room):
    page = await visit(example_site.one, room)
    await expect(page.get_by_label("Name", exact=True)).to_be_focused()
    await page.keyboard.press("Escape")
    await expect_state(page, "open")
    await expect(page.locator("#name")).to_have_text(re.compile(r"^Guest-\w{4}$"))


async def test_who_is_logged_in_has_the_name_of_the_account(example_site, visit, room):
    bob = await go_in(await visit(example_site.two, room), "Bob")
    ada = await visit(example_site.one)
    await log_in(ada, example_site.one)
    await ada.goto(example_site.one.http_url(room))
    await expect_state(ada, "open")
    await expect(ada.locator("#name")).to_have_text(USER)
    await say(ada, "signed")
    await expect(said(bob, "signed")).to_contain_text(USER)
    await expect(said(bob, "signed").get_by_label("signed in")).to_be_visible()


async def test_markup_is_shown_as_text(example_site, visit):
    room = f"/chat/{quote(EVIL[:44], safe='')}/"
    ada = await go_in(await visit(example_site.one, room), "Ada")
    bob = await go_in(await visit(example_site.two, room), EVIL[:40])
    await say(bob, EVIL)
    await expect(said(ada, EVIL)).to_contain_text(EVIL[:40])
    await ada.reload()
    await expect(said(ada, EVIL)).to_have_count(1)
    await expect(ada.locator("h1")).to_have_text(EVIL[:44])
    for page in (ada, bob):
        assert await page.locator("#content img, #content script, footer img").count() == 0
        assert await page.evaluate("window.hacked") is None


async def test_a_refused_message_is_explained_and_can_be_edited(example_site, visit, room):
    ada = await go_in(await visit(example_site.one, room), "Ada")
    bob = await go_in(await visit(example_site.two, room), "Bob")
    await ada.evaluate("document.getElementById('text').removeAttribute('maxlength')")
    await say(ada, "x" * 2001)
    refused = ada.locator("#outbox .failed")
    await expect(refused).to_contain_text("at most 2000 characters")
    await refused.get_by_role("button", name="Edit").click()
    await expect(ada.get_by_label("Message", exact=True)).to_have_value("x" * 2001)
    await expect(refused).to_have_count(0)
    await say(ada, "shorter")
    await expect(said(bob, "shorter")).to_have_count(1)
    await expect(bob.locator("#log .said")).to_have_count(1)


async def test_unread_messages_are_counted_in_the_title(example_site, visit, room):
    ada = await go_in(await visit(example_site.one, room), "Ada")
    bob = await go_in(await visit(example_site.two, room), "Bob")
    title = await ada.title()
    hide = """(hidden) => {
        Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    await ada.evaluate(hide, True)
    await say(bob, "one")
    await say(bob, "two")
    await expect(ada).to_have_title(f"(2) {title}")
    await ada.evaluate(hide, False)
    await expect(ada).to_have_title(title)


async def test_who_reads_further_up_is_told_of_new_messages(example_site, visit, room):
    ada = await go_in(await visit(example_site.one, room, viewport={"width": 600, "height": 400}), "Ada")
    bob = await go_in(await visit(example_site.two, room), "Bob")
    for number in range(16):
        await say(ada, f"line {number}")
    await expect(said(ada, "line 15")).to_be_in_viewport()
    await ada.locator("#scroll").evaluate("(element) => { element.scrollTop = 0; }")
    await expect(said(ada, "line 15")).not_to_be_in_viewport()
    await say(bob, "news")
    await ada.get_by_role("button", name="1 new message").click()
    await expect(said(ada, "news")).to_be_in_viewport()
    await expect(ada.locator("#latest")).not_to_be_visible()


async def test_losing_the_network_is_shown_and_its_return_reconnects(example_site, visit, room):
    # For 127.0.0.1 no network is needed, so the page must take its server to be elsewhere.
    page = await visit(example_site.one, room, host=ELSEWHERE)
    devtools = await page.context.new_cdp_session(page)

    async def set_network(*, offline: bool) -> None:
        limits = {"latency": 1, "downloadThroughput": -1, "uploadThroughput": -1}
        await devtools.send("Network.emulateNetworkConditions", {"offline": offline, **limits})

    await set_network(offline=False)  # whatever the machine itself has
    await go_in(page, "Ada")
    await set_network(offline=True)
    await expect_state(page, "offline")
    await say(page, "from the tunnel")
    await expect(page.locator("#outbox .pending")).to_contain_text("from the tunnel")
    await set_network(offline=False)
    await expect_state(page, "open")
    await expect(said(page, "from the tunnel")).to_have_count(1)


@pytest.mark.parametrize("name", ["größe 日本語/b//c", "100 % ?#&+='\"<i>\\;%25"])
async def test_the_lobby_leads_to_any_room_by_keyboard(example_site, visit, name):
    page = await visit(example_site.one, "/chat/")
    await page.get_by_label("Name of a room").focus()
    await page.keyboard.insert_text(name)
    await page.keyboard.press("Enter")
    await expect(page.locator("h1")).to_have_text(name)
    await expect(page.get_by_label("Name", exact=True)).to_be_focused()
    await page.keyboard.insert_text("Ada")
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("Message", exact=True)).to_be_focused()
    await page.keyboard.insert_text("hello")
    await page.keyboard.press("Enter")
    await expect(said(page, "hello")).to_have_count(1)

    # The other process finds the same room under the same address, and so does the list of rooms one was in.
    other = await go_in(await visit(example_site.two, urlsplit(page.url).path), "Bob")
    await say(other, "same room")
    await expect(said(page, "same room")).to_have_count(1)
    await page.goto(example_site.one.http_url("/chat/"))
    await page.locator("#recent").get_by_role("link", name=name, exact=True).click()
    await expect(page.locator("h1")).to_have_text(name)
    await expect(said(page, "hello")).to_have_count(1)


# ── The tables ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def fill_in(page: Page, *, time: str, table: str, guests: str, name: str) -> None:
    await page.get_by_label("Time").select_option(time)
    await page.get_by_label("Table", exact=True).select_option(label=table)
    await page.get_by_label("Guests").fill(guests)
    await page.get_by_label("Name").fill(name)
    await page.get_by_role("button", name="Book").click()


def place(page: Page, table: str, time: str) -> Locator:
    return page.locator(f'.place[data-table="{table}"][data-time="{time}"]')


async def test_problems_stand_beside_their_fields_until_the_table_is_booked(example_site, visit):
    ada, bob = await visit(example_site.one, "/tables/"), await visit(example_site.two, "/tables/")
    for page in (ada, bob):
        await expect_state(page, "open")
        await expect(place(page, "2", "18:00")).to_have_text("free")

    await ada.get_by_role("button", name="Book").click()
    for label in ("Time", "Table", "Guests", "Name"):
        await expect(ada.get_by_label(label, exact=True)).to_have_accessible_description("Field required")
    await expect(ada.get_by_label("Time")).to_be_focused()

    await fill_in(ada, time="18:00", table="Table 2", guests="9", name="Ada")
    await expect(ada.get_by_label("Guests")).to_have_accessible_description(re.compile("less than or equal to 8"))
    await expect(ada.locator(".problem")).to_have_count(1)
    await ada.get_by_label("Guests").fill("3")
    await ada.keyboard.press("Enter")
    await expect(ada.get_by_label("Guests")).to_have_accessible_description("Table 2 has 2 seats.")
    await ada.get_by_label("Guests").fill("2")
    await ada.keyboard.press("Enter")
    await expect(ada.locator("#result")).to_have_text("Table 2 is yours at 18:00, Ada.")
    await expect(ada.locator(".problem")).to_have_count(0)
    await expect(place(ada, "2", "18:00")).to_have_text("yours")
    await expect(place(bob, "2", "18:00")).to_have_text("taken")

    await fill_in(bob, time="18:00", table="Table 2", guests="2", name=EVIL[:60])
    await expect(bob.get_by_label("Table", exact=True)).to_have_accessible_description("Table 2 is taken at 18:00.")
    await place(bob, "2", "19:30").click()  # the plan fills the form
    await bob.get_by_role("button", name="Book").click()
    await expect(bob.locator("#result")).to_contain_text(EVIL[:60])
    assert await bob.evaluate("window.hacked") is None

    ada.on("dialog", lambda dialog: dialog.accept())
    await place(ada, "2", "18:00").click()
    await expect(place(bob, "2", "18:00")).to_have_text("free")


async def test_the_plan_is_right_after_a_restart(example_site, visit, passing):
    ada = await visit(passing, "/tables/")
    await expect_state(ada, "open")
    passing.stop()
    await expect_state(ada, "waiting")
    bob = await visit(example_site.two, "/tables/")
    await fill_in(bob, time="21:00", table="Table 6", guests="8", name="Bob")
    await expect(place(bob, "6", "21:00")).to_have_text("yours")
    passing.start()
    await expect(place(ada, "6", "21:00")).to_have_text("taken")


async def test_every_page_leads_to_the_others(example_site, visit):
    page = await visit(example_site.one)
    for name in ("Desk", "Market", "Board", "Tables", "News", "Chat"):
        await page.get_by_role("navigation").get_by_role("link", name=name, exact=True).click()
        path = "/people/?next=/desk/" if name == "Desk" else f"/{name.lower()}/"
        await expect(page).to_have_url(example_site.one.http_url(path))
        if name == "Desk":  # which wants to know who one is
            await page.get_by_role("button", name="Maya").click()
        current = page.get_by_role("navigation").locator("[aria-current=page]")
        await expect(current).to_have_text(name)


# ── The news ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_news_page_shows_what_another_tab_announces(example_site, visit):
    reader = await visit(example_site.one, "/news/")
    writer = await visit(example_site.two, "/news/")
    for page in (reader, writer):
        await expect_state(page, "open")
        await page.evaluate("window.notReloaded = true")
    await writer.get_by_label("New announcement").fill(EVIL)
    await writer.get_by_role("button", name="Announce").click()
    for page in (reader, writer):
        await expect(page.locator("#feed li").first.locator(".news-text")).to_have_text(EVIL)
        assert await page.evaluate("window.hacked") is None
        assert await page.evaluate("window.notReloaded") is True
    await expect(writer.get_by_label("New announcement")).to_have_value("")
    late = await visit(example_site.one, "/news/")
    await expect(late.locator("#feed li").first.locator(".news-text")).to_have_text(EVIL)


async def test_the_news_page_catches_up_after_a_restart(example_site, visit, passing):
    reader = await visit(passing, "/news/")
    await expect_state(reader, "open")
    passing.stop()
    await expect_state(reader, "waiting")
    writer = await visit(example_site.two, "/news/")
    await writer.get_by_label("New announcement").fill("during the restart")
    await writer.get_by_role("button", name="Announce").click()
    await expect(writer.locator("#feed li").first).to_contain_text("during the restart")
    passing.start()
    await expect_state(reader, "open")
    await expect(reader.locator("#feed li").first).to_contain_text("during the restart")


async def test_the_form_works_without_javascript(example_site, visit):
    reader = await visit(example_site.one, "/news/")
    await expect_state(reader, "open")
    writer = await visit(example_site.two, "/news/", java_script_enabled=False)
    await writer.get_by_label("New announcement").fill("by hand")
    await writer.get_by_role("button", name="Announce").click()
    await expect(writer.locator("#feed li").first).to_contain_text("by hand")
    await expect(reader.locator("#feed li").first).to_contain_text("by hand")


# ── What it looks like ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_nothing_is_wider_than_a_phone(example_site, visit, passing):
    writer = await visit(example_site.one, **PHONE)
    for path in ("/", "/people/", "/login/", "/code/desk/", "/market/", "/board/", "/chat/", "/tables/", "/news/"):
        await writer.goto(example_site.one.http_url(path))
        assert await width_of_content(writer) <= 320, path

    await expect_state(writer, "open")
    await writer.get_by_label("New announcement").fill("w" * 500)
    await writer.get_by_role("button", name="Announce").click()
    await expect(writer.locator("#feed li").first).to_contain_text("www")
    assert await width_of_content(writer) <= 320

    chat = await go_in(await visit(passing, f"/chat/{'m' * 60}/", **PHONE), "w" * 40)
    other = await go_in(await visit(example_site.two, f"/chat/{'m' * 60}/"), "W" * 40)
    await say(other, "w" * 500)
    await expect(said(chat, "w" * 500)).to_have_count(1)
    await say(chat, "w" * 500)
    await expect(said(other, "w" * 500)).to_have_count(2)
    assert await width_of_content(chat) <= 320
    await expect(chat.get_by_role("button", name="Send")).to_be_in_viewport(ratio=1)
    assert await chat.evaluate("document.documentElement.scrollHeight") <= 640  # only the messages scroll

    passing.stop()
    await expect(chat.get_by_role("button", name="Retry now")).to_be_in_viewport(ratio=1)
    assert await width_of_content(chat) <= 320


async def test_the_pages_follow_the_colour_scheme(example_site, visit):
    is_shown = """(isDark) => {
        const { backgroundColor, color } = getComputedStyle(document.body);
        const [ground, text] = [backgroundColor, color].map((one) => {
            const [red, green, blue] = one.match(/\\d+/g).map(Number);
            return red + green + blue;
        });
        return ground < text === isDark;
    }"""
    page = await visit(example_site.one)
    for path in ("/", "/people/", "/news/", "/tables/", "/board/", "/market/", "/code/desk/", "/login/"):
        await page.goto(example_site.one.http_url(path))
        for scheme in ("dark", "light"):
            await page.emulate_media(color_scheme=scheme)
            await page.wait_for_function(is_shown, arg=scheme == "dark")


async def test_the_conversation_is_a_live_log(example_site, visit, room):
    page = await go_in(await visit(example_site.one, room), "Ada")
    log = page.get_by_role("log", name="Conversation")
    await expect(log).to_have_attribute("aria-live", "polite")
    await expect(log.get_by_role("list")).to_have_count(1)  # whose items are counted as they are read out
    await expect(page.get_by_role("status").filter(has_text="Connected")).to_have_count(1)
