"""The desk and the board of the example, with two browser profiles on two processes."""

from __future__ import annotations

import asyncio
import re
from itertools import count
from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from tests.e2e.pages import EVIL, PHONE, Open, Site, expect_state, said, say, width_of_content
from tests.support.processes import ASGIServer

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),  # one browser for all, with a profile for each tab
    pytest.mark.browser,
    pytest.mark.redis,
    pytest.mark.server,
]

subjects = (f"Subject {number}" for number in count(1))


async def visit_as(visit: Open, name: str, server: ASGIServer, path: str, **context: Any) -> Page:
    """Be somebody with one click, and see a page."""
    page = await visit(server, f"/people/?next={path}", **context)
    await page.clock.install()  # which goes on as ever, until the page is cut
    await page.get_by_role("button", name=name).click()
    await page.wait_for_url(f"**{path}")
    await expect_state(page, "open")
    return page


async def opened(page: Page, text: str = "It is broken.") -> str:
    """Open a ticket; returns its path."""
    await page.get_by_label("Subject").fill(next(subjects))
    await page.get_by_label("What is wrong?").fill(text)
    await page.get_by_role("button", name="Open", exact=True).click()
    await page.wait_for_url(re.compile(r"/desk/\d+/$"))
    await expect_state(page, "open")
    return "/" + page.url.split("/", 3)[3]


def people(page: Page) -> Locator:
    """The dots of those who are here."""
    return page.get_by_role("list", name="Here now").get_by_role("listitem")


def row(page: Page, path: str) -> Locator:
    """A ticket in the list."""
    return page.locator(".ticket-row", has=page.locator(f'[href="{path}"]'))


async def stop_the_clock(page: Page) -> None:
    """Let nothing end by itself in a page, however slow the machine."""
    await page.clock.pause_at(await page.evaluate("Math.ceil(Date.now() / 1000) + 10"))


async def cut(page: Page) -> None:
    """Cut the connection, until ``come_back()``."""
    await stop_the_clock(page)
    await page.get_by_role("button", name="Cut my connection").click()
    await expect(page.locator("#resumed")).to_contain_text("Cut for 5 s")
    await expect_state(page, "waiting")


async def come_back(page: Page) -> None:
    await page.clock.fast_forward(5_000)
    await page.clock.resume()


# ── The desk ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_two_people_in_a_ticket_see_each_other_write(example_site: Site, visit: Open):
    maya = await visit_as(visit, "Maya", example_site.one, "/desk/")
    path = await opened(maya)
    iris = await visit_as(visit, "Iris", example_site.two, path)
    for page in (maya, iris):
        await expect(people(page)).to_have_count(2)
    await expect(maya.locator("#members")).to_contain_text("Iris")

    await stop_the_clock(iris)
    await maya.get_by_label("Message", exact=True).press_sequentially("Hel")
    await expect(iris.locator("#typing")).to_have_text("Maya is typing…")
    await maya.keyboard.type("lo")
    await maya.keyboard.press("Enter")
    await expect(said(iris, "Hello")).to_have_count(1)
    await expect(iris.locator("#typing")).to_be_empty()
    await say(iris, EVIL)
    await expect(said(maya, EVIL)).to_contain_text("Iris")
    await expect(said(maya, EVIL).get_by_label("agent")).to_be_visible()
    assert await maya.evaluate("window.hacked") is None


async def test_a_page_that_is_cut_gets_what_it_has_missed_once(example_site: Site, visit: Open):
    maya = await visit_as(visit, "Maya", example_site.one, "/desk/")
    iris = await visit_as(visit, "Iris", example_site.two, path := await opened(maya))
    await iris.evaluate("window.notReloaded = true")
    await expect(said(iris, "It is broken.")).to_have_count(1)
    await cut(iris)
    for text in ("one", "two", "three"):
        await say(maya, text)
        await expect(said(maya, text)).to_have_count(1)
    await say(iris, "from the tunnel")
    await expect(iris.locator("#outbox .pending")).to_contain_text("from the tunnel")
    await come_back(iris)

    room = path.strip("/").replace("desk", "tickets")
    await expect(iris.locator("#resumed")).to_contain_text(f"Resumed: 3 events of {room}")
    await expect(said(maya, "from the tunnel")).to_have_count(1)
    for text in ("It is broken.", "one", "two", "three", "from the tunnel"):
        await expect(said(iris, text)).to_have_count(1)
    await expect(people(maya)).to_have_count(2)  # nobody saw Iris go
    assert await iris.evaluate("window.notReloaded") is True


async def test_a_cut_is_over_when_one_says_so_and_tells_that_nothing_was_missed(example_site: Site, visit: Open):
    maya = await visit_as(visit, "Maya", example_site.one, "/desk/")
    await opened(maya)
    await cut(maya)
    await maya.get_by_role("button", name="Retry now").click()
    await expect(maya.locator("#resumed")).to_have_text("Back. Resumed: nothing was missed.")
    await expect(maya.get_by_role("button", name="Cut my connection")).to_be_enabled()


async def test_a_page_goes_on_from_where_django_has_rendered_it(example_site: Site, visit: Open):
    maya = await visit_as(visit, "Maya", example_site.one, "/desk/")
    path = await opened(maya, "rendered")
    noah = await visit_as(visit, "Noah", example_site.two, "/desk/")
    held: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    await noah.route("**/desk/ticket.js", lambda route: held.set_result(route))  # rendered, but not connected yet
    await noah.goto(example_site.two.http_url(path), wait_until="commit")
    await say(maya, "between")
    await expect(said(maya, "between")).to_have_count(1)
    await (await held).continue_()
    for text in ("rendered", "between"):
        await expect(said(noah, text)).to_have_count(1)


async def test_the_list_counts_what_is_unread_until_it_is_read_in_another_tab(example_site: Site, visit: Open):
    maya = await visit_as(visit, "Maya", example_site.one, "/desk/")
    noah = await visit_as(visit, "Noah", example_site.two, "/desk/")
    path = await opened(maya)
    unread = row(noah, path).locator(".unread")
    await expect(unread).to_have_text("1")
    await say(maya, "And it is loud.")
    await expect(unread).to_have_text("2")
    await expect(row(noah, path)).to_contain_text("And it is loud.")
    await expect(row(maya, path).locator(".unread")).to_be_hidden()  # one's own

    tab = await noah.context.new_page()
    await tab.goto(example_site.one.http_url(path))
    await expect(unread).to_be_hidden()
    await expect(row(tab, path).locator(".unread")).to_be_hidden()
    await noah.reload()
    await expect_state(noah, "open")
    await expect(unread).to_be_hidden()
    await tab.close()
    await say(maya, "And it is warm.")
    await expect(unread).to_have_text("1")
    await unread.click()
    await expect(noah.locator("#log .unread-line + .said")).to_contain_text("And it is warm.")


async def test_an_agent_takes_somebody_out(example_site: Site, visit: Open):
    maya = await visit_as(visit, "Maya", example_site.one, "/desk/")
    path = await opened(maya)
    noah = await visit_as(visit, "Noah", example_site.one, path)
    iris = await visit_as(visit, "Iris", example_site.two, path)
    await expect(people(iris)).to_have_count(3)
    await expect(noah.get_by_role("button", name="Take Maya out")).to_have_count(0)
    await iris.get_by_role("button", name="Take Noah out").click()
    await expect(noah.locator("#hint")).to_contain_text("Iris has taken you out")
    await expect(maya.locator("#log")).to_contain_text("Noah was taken out by Iris")
    await say(maya, "not for Noah")
    await expect(said(iris, "not for Noah")).to_have_count(1)
    await noah.get_by_role("button", name="Come back").click()
    await expect(noah.locator("#hint")).to_contain_text("You were taken out of this ticket.")
    await expect(said(noah, "not for Noah")).to_have_count(0)


# ── The board ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def noted(page: Page, text: str) -> None:
    """Put up a note."""
    await page.get_by_role("button", name="Add a note").click()
    field = page.get_by_label("Text of the note").last
    await expect(field).to_be_focused()
    await field.fill(text)
    await page.keyboard.press("Tab")


def note(page: Page, text: str) -> Locator:
    """A note; the heading of each says what is on it."""
    return page.locator(".note", has=page.get_by_role("button", name=re.compile(f"Move the note of .*: {text}$")))


async def place(page: Page, text: str) -> list[str]:
    script = "(note) => ['--x', '--y'].map((name) => note.style.getPropertyValue(name).trim())"
    found: list[str] = await note(page, text).evaluate(script)
    return found


async def expect_place(page: Page, text: str, place: list[str]) -> None:
    for name, value in zip(("--x", "--y"), place, strict=True):
        await expect(note(page, text)).to_have_attribute("style", re.compile(re.escape(f"{name}: {value};")))


async def test_a_cursor_and_a_note_that_is_dragged_are_seen_while_it_happens(example_site: Site, visit: Open):
    maya = await visit_as(visit, "Maya", example_site.one, "/board/")
    noah = await visit_as(visit, "Noah", example_site.two, "/board/", viewport={"width": 700, "height": 500})
    await noted(maya, "drag me")
    await expect(note(noah, "drag me")).to_have_count(1)
    before = await place(noah, "drag me")

    await note(maya, "drag me").locator(".grip").scroll_into_view_if_needed()
    box = await note(maya, "drag me").locator(".grip").bounding_box()
    assert box is not None
    await stop_the_clock(noah)
    await maya.mouse.move(box["x"] + 20, box["y"] + 8)
    await expect(noah.locator(".cursor-name")).to_have_text("Maya")
    await maya.mouse.down()
    step = 30 if float(before[0]) < 0.5 else -30
    await maya.mouse.move(box["x"] + 20 + step, box["y"] + 8)
    await maya.mouse.move(box["x"] + 20 + 2 * step, box["y"] + 8)
    await expect_place(noah, "drag me", dragged := await place(maya, "drag me"))  # it is not let go yet
    assert dragged != before
    await maya.mouse.up()
    await noah.clock.resume()
    await noah.reload()
    await expect(note(noah, "drag me")).to_have_count(1)
    await expect_place(noah, "drag me", dragged)


async def test_a_note_is_moved_by_keys_written_on_and_taken_away(example_site: Site, visit: Open):
    maya = await visit_as(visit, "Maya", example_site.one, "/board/")
    noah = await visit_as(visit, "Noah", example_site.two, "/board/")
    await noted(maya, "one")
    await note(noah, "one").locator(".grip").focus()
    step = "ArrowRight" if float((await place(noah, "one"))[0]) < 0.5 else "ArrowLeft"
    before = await place(maya, "one")
    await noah.keyboard.press(step)
    moved = await place(noah, "one")
    assert abs(float(moved[0]) - float(before[0])) == pytest.approx(0.02)
    await expect_place(maya, "one", moved)
    await note(noah, "one").get_by_label("Text of the note").fill("another")
    await noah.keyboard.press("Tab")
    await expect(note(maya, "another")).to_have_count(1)
    await note(maya, "another").get_by_role("button", name="Take the note away").click()
    await expect(note(noah, "another")).to_have_count(0)


async def test_what_is_written_on_a_note_is_there_before_the_field_is_left_and_after_a_cut(
    example_site: Site, visit: Open
):
    maya = await visit_as(visit, "Maya", example_site.one, "/board/")
    noah = await visit_as(visit, "Noah", example_site.two, "/board/")
    await noted(maya, "milk")
    await note(noah, "milk").get_by_label("Text of the note").fill("milk and bread")
    await expect(note(maya, "milk and bread")).to_have_count(1)
    await noah.reload()
    await expect(note(noah, "milk and bread")).to_have_count(1)

    await cut(noah)
    await note(noah, "milk and bread").get_by_label("Text of the note").fill("tea")
    await noah.keyboard.press("Tab")
    await come_back(noah)
    await expect(note(maya, "tea")).to_have_count(1)
    await expect(note(noah, "tea")).to_have_count(1)


async def test_a_board_that_was_cut_gets_the_moves(example_site: Site, visit: Open):
    maya = await visit_as(visit, "Maya", example_site.one, "/board/")
    noah = await visit_as(visit, "Noah", example_site.two, "/board/")
    await expect(people(noah)).to_have_count(2)
    await noted(maya, "moving")
    await expect(note(noah, "moving")).to_have_count(1)
    await cut(noah)
    await note(maya, "moving").locator(".grip").focus()
    before = await place(maya, "moving")
    await maya.keyboard.press("ArrowDown" if float(before[1]) < 0.5 else "ArrowUp")
    await maya.keyboard.press("ArrowRight" if float(before[0]) < 0.5 else "ArrowLeft")
    await maya.get_by_role("button", name="Add a note").click()  # answered behind the moves
    await expect(maya.get_by_label("Text of the note").last).to_be_focused()
    await come_back(noah)
    await expect(noah.locator("#resumed")).to_have_text("Back. Resumed: 3 events of board replayed, in order.")
    await expect_place(noah, "moving", await place(maya, "moving"))


# ── What it looks like ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_pages_fit_a_phone(example_site: Site, visit: Open):
    maya = await visit_as(visit, "Maya", example_site.one, "/desk/", **PHONE)
    path = await opened(maya, "w" * 500)
    for page in (path, "/desk/", "/board/"):
        await maya.goto(example_site.one.http_url(page))
        await expect_state(maya, "open")
        assert await width_of_content(maya) <= 320, page
    await maya.goto(example_site.one.http_url(path))
    await expect_state(maya, "open")
    await expect(maya.get_by_role("button", name="Send")).to_be_in_viewport(ratio=1)
    await cut(maya)
    await expect(maya.get_by_role("button", name="Retry now")).to_be_in_viewport(ratio=1)
    assert await width_of_content(maya) <= 320


async def test_the_pages_work_under_a_strict_policy(example_site: Site, visit: Open):
    maya = await visit_as(visit, "Maya", example_site.one, "/desk/")
    path = await opened(maya)
    broken: list[str] = []
    maya.on("console", lambda message: message.type == "error" and broken.append(message.text))
    for page in ("/", "/people/", "/desk/", path, "/board/", "/market/", "/chat/Lobby/", "/tables/", "/news/"):
        response = await maya.goto(example_site.one.http_url(page))
        assert response is not None
        assert "default-src 'self'" in response.headers["content-security-policy"]
        if page not in ("/", "/people/"):
            await expect_state(maya, "open")
    assert broken == []


# ── All pages ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_that_the_board_was_away_is_said_no_longer_than_that(example_site: Site, visit: Open):
    maya = await visit_as(visit, "Maya", example_site.one, "/board/")
    await expect(people(maya)).not_to_have_count(0)  # joined: what is called before that waits, instead of failing
    await cut(maya)
    await maya.get_by_role("button", name="Add a note").click()
    await expect(maya.locator("#problem")).to_have_text("not connected")
    await come_back(maya)
    await expect_state(maya, "open")
    await expect(maya.locator("#problem")).to_be_hidden()


async def test_a_page_whose_user_has_logged_out_says_so_and_shows_nobody(example_site: Site, visit: Open):
    maya = await visit_as(visit, "Maya", example_site.one, "/desk/")
    await expect(maya.get_by_role("list", name="Here now")).to_be_visible()
    other = await maya.context.new_page()
    await other.goto(example_site.two.http_url("/"))
    await other.get_by_role("button", name="Log out").click()
    await expect_state(maya, "closed")
    await expect(maya.locator("#status")).to_contain_text("logged out")
    await expect(maya.locator("#people")).to_be_hidden()


async def test_every_page_is_in_sight_on_a_phone(example_site: Site, visit: Open):
    page = await visit(example_site.one, "/news/", **PHONE)
    links = page.get_by_role("navigation", name="Pages").get_by_role("link")
    for link in await links.all():
        await expect(link).to_be_in_viewport(ratio=1)
