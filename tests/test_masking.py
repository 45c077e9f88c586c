"""Paths in the lines of the package's log show no secrets, whoever writes the line."""

from __future__ import annotations

import logging

import pytest

from django_fastws import FastWS
from django_fastws._core.messages import Payload
from django_fastws.asgi import get_asgi_application
from django_fastws.testing import HandshakeDenied, connect
from django_fastws.transports.asgi import ASGITransport
from tests.transports.fakes import turns

SHOWN = ";token=***"


@pytest.fixture(autouse=True)
def every_line(caplog):
    """What is logged at INFO, too."""
    caplog.set_level(logging.INFO, logger="django_fastws")


class FailingMiddleware:
    def __init__(self, inner):
        pass

    async def __call__(self, scope, receive, send):
        raise KeyError("on purpose")


async def _refuse_nobody(ws):
    await ws.accept()


async def _fail(ws):
    await ws.accept()
    raise KeyError("on purpose")


@pytest.mark.parametrize(
    ("path", "options", "line"),
    [
        ("/open", {"middleware": FailingMiddleware}, "application failed"),
        ("/open", {"origin": "https://elsewhere.example"}, "origin"),
        ("/nowhere", {}, "No WebSocket route"),
        ("/fail", {}, "failed on"),
    ],
    ids=["middleware", "origin", "route", "handler"],
)
async def test_a_path_in_the_log_is_masked(path, options, line, routes, caplog):
    app = FastWS()
    app.websocket("/open{rest}")(_taking_rest(_refuse_nobody))
    app.websocket("/fail{rest}")(_taking_rest(_fail))
    middleware = [options["middleware"]] if "middleware" in options else []
    application = get_asgi_application(websocket_middleware=middleware)
    try:
        async with connect(f"{path};token=S3CRET", application=application, origin=options.get("origin")) as ws:
            await ws.wait_closed()
    except HandshakeDenied:
        pass
    assert any(line in text and SHOWN in text for text in caplog.messages)
    assert "S3CRET" not in caplog.text


def _taking_rest(function):
    async def handler(ws, rest: str):
        await function(ws)

    return handler


async def test_so_it_is_where_a_servers_send_fails(caplog):
    async def send(message):
        raise KeyError("on purpose")

    transport = ASGITransport({"type": "websocket", "path": "/x;token=S3CRET"}, None, send)
    transport.state.is_answered = True
    transport.post(Payload("hi"))
    await turns()
    assert any("send failed" in text and SHOWN in text for text in caplog.messages)
    assert "S3CRET" not in caplog.text


async def test_a_socket_is_shown_likewise(routes):
    app, shown = FastWS(), []

    @app.websocket("/open{rest}")
    async def handler(ws, rest: str):
        shown.append(repr(ws))
        await ws.accept()

    async with connect("/open;token=S3CRET"):
        pass
    assert SHOWN in shown[0]
    assert "S3CRET" not in shown[0]
