"""Own headers of a handshake: which go out, how often, and which follow a redirect to another origin."""

from __future__ import annotations

import re

import pytest

from tests.clients.handlers import once
from tests.support.ids import shown

from .conftest import run
from .peers import HOST, read_request
from .web import HARMLESS, SECRETS


@pytest.fixture
def redirecting(library):
    """Refusals of a peer that lead elsewhere. picows follows none: websockets asks again."""
    return lambda target: [(307, {"Location": target})] * (2 if library == "picows" else 1)


async def test_no_secret_follows_a_redirect_of_a_socket_to_another_origin(app, peer, redirecting):
    other = await peer()
    first = await peer(refuse=redirecting(f"{other.url}/there"))
    url, headers = first.url.replace("//", "//user:opensesame@"), {**SECRETS, **HARMLESS, "Host": "inner.example"}
    app.ws(url, headers=headers)(once)
    assert await run(app)
    sent = other.visits[0].headers
    assert "opensesame" not in str(sent)
    assert {name: sent[name] for name in HARMLESS} == HARMLESS
    assert sent["Host"] == f"{HOST}:{other.port}"


async def test_secrets_stay_behind_also_when_it_leads_back(app, peer, redirecting):
    other, first = await peer(), await peer()
    first.refuse, other.refuse = redirecting(other.url), redirecting(f"{first.url}/back")[:1]
    app.ws(first.url, headers=SECRETS)(once)
    assert await run(app)
    assert "opensesame" not in str(first.visits[0].headers)


async def test_headers_follow_a_redirect_of_a_socket_within_the_origin(app, peer, redirecting):
    server = await peer(refuse=redirecting("/there"))
    app.ws(server.url, headers=SECRETS)(once)
    assert await run(app)
    sent = server.visits[0].headers
    assert {name: sent[name] for name in SECRETS} == SECRETS


async def test_a_redirect_from_tls_to_none_is_not_followed(app, peer, redirecting, certificates):
    other = await peer()
    first = await peer(ssl=certificates.server(), refuse=redirecting(other.url))
    app.ws(first.url, headers=SECRETS, ssl=certificates.client())(once)
    assert not await run(app)
    assert other.asked == []


# Once, and the user's wins

OWN = {
    "Host": "inner.example",
    "Authorization": "Bearer mine",
    "User-Agent": "mine/1",
    "Origin": "https://mine.example",
}


@pytest.mark.parametrize("write", [str, str.lower, str.upper], ids=shown)
async def test_own_headers_of_a_handshake_go_out_once(app, raw_peer, write):
    seen = []

    async def behave(reader, writer, number):
        seen.append(await read_request(reader))
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    server = await raw_peer(behave)
    url = server.url.replace("//", "//user:password@")
    app.ws(url, headers={write(name): value for name, value in OWN.items()}, origin="https://other.example")(once)
    await run(app)
    (request,) = seen
    assert {name: re.findall(rf"(?im)^{name}: (.*?)\r$", request) for name in OWN} == {
        name: [value] for name, value in OWN.items()
    }


@pytest.mark.parametrize("name", ["Upgrade", "connection", "Sec-WebSocket-Key", "Sec-WebSocket-Protocol"])
def test_what_the_handshake_sets_cannot_be_set(app, name):
    with pytest.raises(TypeError, match=f"the header '{name}' is the handshake's to set"):
        app.ws("ws://example.com", headers={name: "x"})(once)
