"""What of requests and handshakes is in the access log, and what of it is masked."""

from __future__ import annotations

import pytest

from tests.server.client import RawClient, fetch
from tests.site.client import connect, denial, until

pytestmark = pytest.mark.server

QUERY = "page=2&token=S3CRET&X-Amz-Signature=S3CRET;%70assword=S3CRET&next=%2F%3Fkey%3DS3CRET"
SHOWN = "page=2&token=***&X-Amz-Signature=***;%70assword=***&next=***"


async def logged(server, start: int, *words: str) -> str:
    async def are_there() -> bool:
        return all(word in server.log(start) for word in words)

    await until(are_there, f"{words} in the log")
    return server.log(start)


async def test_requests_and_sockets_are_masked_by_one_rule(plain):
    server = plain()
    start = server.log_size()
    await fetch(server, f"/scope/?{QUERY}")
    async with RawClient(server, f"/echo/?{QUERY}") as client:
        client.send(8)
        await client.until_close()
    lines = [f"GET /scope/?{SHOWN}"] + [
        f"{event} /echo/?{SHOWN}" for event in ("CONNECTING", "CONNECT", "DISCONNECT")
    ]
    assert "S3CRET" not in await logged(server, start, *lines)


@pytest.mark.parametrize("kind", ["runws_server", "runserver"])
async def test_of_the_package_too_whatever_becomes_of_the_handshake(site, kind):
    server = site(kind)
    query, shown = (text.replace(";", "&") for text in (QUERY, SHOWN))  # the client's library knows no semicolons
    start = server.log_size()
    async with connect(server, f"/ws/echo?{query}"):
        pass
    assert (await denial(server, f"/ws/none%3Ftoken=S3CRET?{query}"))[0] == 404
    await fetch(server, f"/hello/?{query}")
    log = await logged(server, start, f"/hello/?{shown}", f"/ws/echo?{shown}", f"/ws/none%3F***?{shown}")
    assert "S3CRET" not in log


async def test_errors_do_not_show_it_either(plain):
    server = plain()
    start = server.log_size()
    await fetch(server, "/fail/before;sig=S3CRET?key=S3CRET")
    assert "S3CRET" not in await logged(server, start, "The application failed on '/fail/before;sig=***'")


async def test_the_setting_names_others(serve_plain):
    server = serve_plain(settings={"FASTWS_LOG_MASKED_PARAMETERS": ["colour"]})
    await fetch(server, "/scope/?token=1&Colour=red")
    await logged(server, 0, "/scope/?token=1&Colour=***")
