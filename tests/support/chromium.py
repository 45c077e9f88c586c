"""Chromium for a test, without a window, a sandbox or calls of its own to the world."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.async_api import Browser

__all__ = ["CHROMIUM", "PATIENCE", "WHOLE_CHROMIUM", "chromium"]

PATIENCE = 30_000  # milliseconds that anything in a page may take
WHOLE_CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
#: One without what surrounds a page costs half the processor time; where there is none, the whole one.
CHROMIUM = shutil.which("chromium-headless-shell") or WHOLE_CHROMIUM
_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]


@asynccontextmanager
async def chromium(*arguments: str, is_whole: bool = False, **options: Any) -> AsyncIterator[Browser]:
    """A browser that is closed in the end. Expectations of Playwright's have patience.

    Args:
        arguments: further ones of Chromium's.
        is_whole: one that has all that the browsers of people have, such as the back/forward cache.
        options: of Playwright's ``launch()``.
    """
    from playwright.async_api import async_playwright, expect

    expect.set_options(timeout=PATIENCE)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=WHOLE_CHROMIUM if is_whole else CHROMIUM, args=[*_ARGUMENTS, *arguments], **options
        )
        try:
            yield browser
        finally:
            await browser.close()
