"""The pages of the example in a browser: what several files of tests look for there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

from playwright.async_api import Locator, Page, expect

from tests.support.processes import ASGIServer

__all__ = ["EVIL", "PHONE", "Open", "Site", "expect_state", "said", "say", "state", "width_of_content"]

PHONE: dict[str, Any] = {"viewport": {"width": 320, "height": 640}, "has_touch": True, "is_mobile": True}
EVIL = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'

#: Opens a page as someone new: ``await visit(server, "/news/")``.
Open = Callable[..., Awaitable[Page]]


class Site(NamedTuple):
    """The example in two processes with one Redis and one database."""

    database: Path
    redis_url: str
    one: ASGIServer
    two: ASGIServer


def state(page: Page) -> Locator:
    return page.locator("#status")


async def expect_state(page: Page, name: str) -> None:
    await expect(state(page)).to_have_attribute("data-state", name)


async def say(page: Page, text: str) -> None:
    await page.get_by_label("Message", exact=True).fill(text)
    await page.keyboard.press("Enter")


def said(page: Page, text: str) -> Locator:
    """The bubbles with a text."""
    return page.locator("#log .said", has=page.locator(".text").get_by_text(text, exact=True))


async def width_of_content(page: Page) -> int:
    return int(await page.evaluate("document.documentElement.scrollWidth"))
