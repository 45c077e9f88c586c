"""The example in two processes, and pages of it in a browser."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from tests.support.chromium import PATIENCE
from tests.support.example import daphne, make_database, runws_server
from tests.support.processes import HOST, ASGIServer, RedisServer

if TYPE_CHECKING:  # most tests of this folder need no browser
    from playwright.async_api import Browser, Page

    from tests.e2e.pages import Open, Site


@pytest.fixture(scope="module")
def example_site(tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer) -> Iterator[Site]:
    """The example in two processes."""
    from tests.e2e.pages import Site

    database = make_database(tmp_path_factory)
    with daphne(database, redis_server.url) as one, daphne(database, redis_server.url) as two:
        yield Site(database, redis_server.url, one, two)
        for server in (one, two):
            assert "Traceback" not in server.log()


@pytest.fixture
def passing(example_site: Site) -> Iterator[ASGIServer]:
    """A third process, for the test to stop and start."""
    with runws_server(example_site.database, example_site.redis_url) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="session")
async def visit(browser: Browser) -> AsyncIterator[Open]:
    """Open a page as someone new: ``await visit(server, "/news/")``. No page may fail, or ask another server."""
    errors: list[Any] = []

    async def open_page(server: ASGIServer, path: str = "/", host: str = HOST, **context: Any) -> Page:
        page = await (await browser.new_context(**context)).new_page()
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: errors.append(error))
        origin = f"http://{host}:{server.port}"
        page.on("request", lambda request: request.url.startswith(f"{origin}/") or errors.append(request.url))
        await page.goto(origin + path)
        return page

    yield open_page
    assert not errors
