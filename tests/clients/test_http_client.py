"""The HTTP client of outbound requests: redirects, TLS, proxies and headers."""

from __future__ import annotations

import base64
import re

import pytest

from .conftest import run
from .peers import HOST, RawPeer, read_request
from .web import HARMLESS, SECRETS, Answer, Web


async def take(response):
    pass


# HTTP


def leading_to(target, status=302):
    async def behave(request):
        return Answer(status, b"", (f"Location: {target()}",)) if request.path == "/here" else Answer()

    return behave


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_secret_follows_a_redirect_of_a_request_to_another_origin(app, status):
    async with Web() as other, Web(leading_to(lambda: f"{other.url}/there", status)) as first:
        url = first.url.replace("//", "//user:opensesame@")
        headers = {**SECRETS, **HARMLESS, "Host": "inner.example"}
        app.post(f"{url}/here", headers=headers, data="hello")(take)
        assert await run(app)
    (request,) = other.requests
    assert "opensesame" not in str(request.headers)
    assert {name: request.headers[name.lower()] for name in HARMLESS} == HARMLESS
    assert request.headers["host"] == f"{HOST}:{other.port}"
    assert request.body == (b"hello" if status in (307, 308) else b"")


async def test_headers_follow_a_redirect_of_a_request_within_the_origin(app):
    async with Web(leading_to(lambda: "/there")) as web:
        app.get(f"{web.url}/here", headers=SECRETS)(take)
        assert await run(app)
    sent = web.requests[1].headers
    # A cookie that was set on the way would be lost if one's own stood in its place.
    assert {name for name in SECRETS if name.lower() in sent} == SECRETS.keys() - {"Cookie"}


async def test_a_request_is_not_led_from_tls_to_none(app, certificates, log):
    async with Web() as other, SecureWeb(certificates, leading_to(lambda: f"{other.url}/there")) as first:
        app.get(f"{first.url}/here", headers=SECRETS, ssl=certificates.client())(take)
        assert not await run(app)
    assert other.requests == []
    assert "redirects from https:// to http://" in log.starting("✘")[0]


class SecureWeb(Web):
    """A web server with TLS."""

    def __init__(self, certificates, behave=None):
        super().__init__(behave)
        self._options["ssl"] = certificates.server()

    @property
    def url(self):
        return super().url.replace("http:", "https:")


async def test_redirects_without_end_are_an_error(app, log):
    async with Web(leading_to(lambda: "/here")) as web:
        app.get(f"{web.url}/here")(take)
        assert not await run(app)
    assert len(web.requests) == 21
    assert "more than 20 redirects" in log.starting("✘")[0]


async def test_follow_redirects_false_gives_the_redirect_itself(app):
    got = []
    async with Web(leading_to(lambda: "/there")) as web:

        @app.get(f"{web.url}/here", follow_redirects=False)
        async def handle(resp):
            got.append((resp.status_code, resp.headers["location"]))

        assert await run(app)
    assert got == [(302, "/there")]


async def test_a_request_over_tls_with_an_authority_of_its_own(app, certificates):
    async with SecureWeb(certificates) as web:
        app.get(web.url, ssl=certificates.client(), name="trusts")(take)
        assert await run(app)
        app.outbound.clear()
        app.get(web.url)(take)
        assert not await run(app)


async def test_a_request_through_a_proxy_of_its_own(app, monkeypatch):
    async with Web() as proxy, Web() as systems:
        monkeypatch.setenv("http_proxy", systems.url)
        monkeypatch.delenv("no_proxy", raising=False)
        app.get("http://inner.invalid/", proxy=proxy.url.replace("//", "//ada:p%40ss@"))(take)
        app.get("http://outer.invalid/")(take)
        assert await run(app)
    (request,) = proxy.requests
    assert request.headers["host"] == "inner.invalid"
    assert request.headers["proxy-authorization"] == f"Basic {base64.b64encode(b'ada:p@ss').decode()}"
    assert [request.headers["host"] for request in systems.requests] == ["outer.invalid"]


@pytest.mark.parametrize("proxy", [None, False])
async def test_a_request_past_the_systems_proxy(app, monkeypatch, proxy):
    async with Web() as systems, Web() as web:
        monkeypatch.setenv("http_proxy", systems.url)
        monkeypatch.delenv("no_proxy", raising=False)
        app.get(web.url, proxy=proxy)(take)
        assert await run(app)
    assert (len(systems.requests), len(web.requests)) == (0, 1)


# Once, and the user's wins

OWN = {
    "Host": "inner.example",
    "Authorization": "Bearer mine",
    "User-Agent": "mine/1",
    "Origin": "https://mine.example",
}


async def test_own_headers_of_a_request_win(app):
    async with Web() as web:
        app.get(web.url.replace("//", "//user:password@"), headers=OWN)(take)
        assert await run(app)
    assert {name: web.requests[0].headers[name.lower()] for name in OWN} == OWN


async def test_what_a_request_has_once_goes_out_once(app):
    seen = []

    async def behave(reader, writer, number):
        seen.append(await read_request(reader))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    names = [*OWN, "Content-Type"]
    headers = [pair for name in names for pair in ((name.upper(), "first"), (name.lower().encode(), b"last"))]
    async with RawPeer(behave) as server:
        app.post(server.url.replace("ws://", "http://user:password@"), headers=headers, json={})(take)
        assert await run(app)
    (request,) = seen
    assert {name: re.findall(rf"(?im)^{name}: (.*?)\r$", request) for name in names} == {
        name: ["last"] for name in names
    }


@pytest.mark.parametrize("name", ["Content-Length", b"TRANSFER-ENCODING"])
async def test_where_the_body_of_a_request_ends_cannot_be_set(app, log, name):
    with pytest.raises(TypeError, match="is the request's to set"):
        app.post("https://example.com", headers=[(name, "3")], data="hello")(take)
    async with Web() as web:
        app.post(web.url, headers=lambda: [(name, "3")], data="hello")(take)
        assert not await run(app)
    assert web.requests == []
    assert "is the request's to set" in log.starting("✘")[0]
    assert "Traceback" not in log.text
