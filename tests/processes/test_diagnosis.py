"""What a server tells a client who has a pass, and nobody else."""

import json
import secrets

import pytest
from asgiref.testing import ApplicationCommunicator

from django_fastws.asgi import get_asgi_application
from django_fastws.processes import PASS_HEADER, hash_of_pass, passes

HOST = (b"host", b"testserver")


@pytest.fixture
def pass_header():
    value = secrets.token_urlsafe(32)
    passes.grant([hash_of_pass(value)], 60)
    return PASS_HEADER, value.encode()


def client(*headers):
    scope = {
        "type": "websocket",
        "path": "/nothing/here",
        "scheme": "wss",
        "query_string": b"",
        "headers": [HOST, *headers],
        "subprotocols": [],
        "client": ["198.51.100.7", 4711],
        "server": ["testserver", 80],
    }
    return ApplicationCommunicator(get_asgi_application(), scope)


async def test_who_has_a_pass_is_told_what_the_server_has_seen(pass_header, settings):
    settings.ALLOWED_HOSTS = ["testserver"]
    seen = client(pass_header, (b"x-forwarded-for", b"192.0.2.1"), (b"cookie", b"sessionid=secret"))
    await seen.send_input({"type": "websocket.connect"})
    assert (await seen.receive_output())["type"] == "websocket.accept"
    told = json.loads((await seen.receive_output())["text"])
    assert (told["client"], told["scheme"]) == (["198.51.100.7", 4711], "wss")
    assert told["headers"] == {"host": "testserver", "x-forwarded-for": "192.0.2.1"}
    await seen.send_input({"type": "websocket.receive", "text": "anything"})
    assert await seen.receive_nothing()
    await seen.send_input({"type": "websocket.disconnect", "code": 1000})
    await seen.wait()


@pytest.mark.parametrize("value", [b"", b"x" * 43, "ü".encode() * 43], ids=["empty", "guessed", "no text"])
async def test_who_has_none_is_served_as_anybody(value, settings, pass_header):
    settings.ALLOWED_HOSTS = ["testserver"]
    stranger = client((PASS_HEADER, value))
    await stranger.send_input({"type": "websocket.connect"})
    event = await stranger.receive_output()
    assert event["type"] in ("websocket.close", "websocket.http.response.start")
    assert event.get("status", 404) == 404


async def test_a_pass_lets_no_other_site_in(settings, pass_header):
    settings.ALLOWED_HOSTS = ["testserver"]
    page = client(pass_header, (b"origin", b"https://elsewhere.example"))
    await page.send_input({"type": "websocket.connect"})
    assert (await page.receive_output())["type"] != "websocket.accept"
    assert passes.take(pass_header[1].decode())  # it was not looked at
