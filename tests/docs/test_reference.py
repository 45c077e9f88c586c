"""Tables of the reference that say what happens: it does."""

from __future__ import annotations

import asyncio
import datetime as dt
import re
from decimal import Decimal
from uuid import UUID

import pytest
from daphne.cli import CommandLineInterface as DaphneCommand
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import Http404
from uvicorn import Config as UvicornConfig

from django_fastws import FastWS, WebSocketDisconnect, WebSocketException
from django_fastws._core.converters import converter_for
from django_fastws._core.error_codes import ERROR_CODES
from django_fastws.asgi import get_asgi_application
from django_fastws.layer import RedisChannelLayer
from django_fastws.testing import HandshakeDenied, connect
from tests.docs.blocks import DOCS

REFERENCE = DOCS / "reference"


def rows(page: str, section: str) -> list[list[str]]:
    """The rows of the table of a section, without its head."""
    text = (REFERENCE / f"{page}.md").read_text("utf-8")
    _, _, below = text.partition(f"## {section}\n")
    lines = [line for line in below.split("\n## ")[0].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


# How a handler ends


async def _close(ws):
    await ws.close(4001, "bye")


def _raising(error):
    async def end(ws):
        raise error

    return end


async def _return(ws):
    pass


#: What a handler does, and the codes and reasons of the table's cells in words of its own.
ENDS = {
    "returns": (_return, 1000, ""),
    "calls `close(code, reason)`": (_close, 4001, "bye"),
    "raises `WebSocketException(code, reason)`": (_raising(WebSocketException(4001, "bye")), 4001, "bye"),
    "lets a `WebSocketDisconnect` out": (_raising(WebSocketDisconnect(1001)), 1000, ""),
    "lets Django's `Http404` out": (_raising(Http404("on purpose")), 1011, "internal error"),
    "lets Django's `PermissionDenied` out": (_raising(PermissionDenied("on purpose")), 1011, "internal error"),
    "lets any other exception out": (_raising(KeyError("on purpose")), 1011, "internal error"),
}


def test_the_table_of_ends_is_tested():
    assert [cells[0] for cells in rows("close-codes", "How a handler ends")][:-1] == list(ENDS)


@pytest.mark.parametrize("cells", rows("close-codes", "How a handler ends")[:-1], ids=lambda cells: cells[0])
async def test_a_handler_ends_as_the_table_says(cells, routes, caplog):
    what, opened, denied = cells
    end, code, reason = ENDS[what]
    app = FastWS()

    @app.websocket("/after")
    async def after(ws):
        await ws.accept()
        await end(ws)

    @app.websocket("/before")
    async def before(ws):
        await end(ws)

    async with connect("/after") as ws:
        assert (await ws.wait_closed(), ws.close_reason) == (code, reason)
    assert "with them" in opened or str(code) in opened
    assert bool(caplog.records) == ("logged" in opened)
    with pytest.raises(HandshakeDenied) as caught:
        async with connect("/before"):
            pass
    assert str(caught.value.status) in denied
    assert (caught.value.text == "bye") == ("the reason as text" in denied)
    assert (caught.value.text == "on purpose") == ("its text as text" in denied)


async def test_a_cancelled_handler_closes_with_1001(routes):
    app = FastWS()

    @app.websocket("/")
    async def waiting(ws):
        await ws.accept()
        await ws.receive()

    sent, received = asyncio.Queue(), asyncio.Queue()
    received.put_nowait({"type": "websocket.connect"})

    scope = {"type": "websocket", "path": "/", "headers": [], "query_string": b""}
    task = asyncio.ensure_future(waiting.as_asgi()(scope, received.get, sent.put))
    assert (await sent.get())["type"] == "websocket.accept"
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sent.get_nowait() == {"type": "websocket.close", "code": 1001, "reason": "going away"}


@pytest.mark.parametrize(
    ("errors", "code"),
    [
        ([WebSocketDisconnect(), WebSocketDisconnect()], 1000),
        ([WebSocketDisconnect(), WebSocketException(4001)], 4001),
        ([WebSocketException(4001), KeyError("on purpose"), WebSocketDisconnect()], 1011),
    ],
)
async def test_of_a_group_the_worst_counts(errors, code, routes):
    app = FastWS()

    @app.websocket("/")
    async def failing(ws):
        await ws.accept()
        raise ExceptionGroup("several", errors)

    async with connect("/") as ws:
        assert await ws.wait_closed() == code


# What is denied


class _Failing:
    def __init__(self, inner):
        pass

    async def __call__(self, scope, receive, send):
        raise KeyError("on purpose")


DENIED = {
    "the query string, a cookie or a subprotocol is malformed": [
        {"path": "/number?n=%ff"},
        {"path": "/number?n=1", "headers": {"Cookie": b"a=\x01"}},
        {"path": "/number?n=1", "subprotocols": ["not a token"]},
    ],
    "the host that is asked for is not in `ALLOWED_HOSTS`": [
        {"path": "/number?n=1", "headers": {"Host": b"elsewhere.example"}}
    ],
    "the origin is not let in": [{"path": "/number?n=1", "origin": "https://elsewhere.example"}],
    "no route has the path": [{"path": "/nowhere"}],
    "a parameter does not fit": [{"path": "/number?n=one"}, {"path": "/number"}],
    "nobody is logged in, and the route asks for a user": [{"path": "/members"}, {"path": "/staff"}],
    "the user lacks the permission, or a function says no": [
        {"path": "/staff", "user": User(pk=5, is_active=False)},
        {"path": "/nobody"},
    ],
    "a [limit](limits.md) of connections or handshakes is reached": [{"path": "/full"}],
    "middleware or a consumer fails": [{"path": "/number?n=1", "middleware": [_Failing]}],
}


def test_the_table_of_denials_is_tested():
    assert [cells[0] for cells in rows("close-codes", "What is denied before the handler runs")] == list(DENIED)


@pytest.mark.parametrize(
    "cells", rows("close-codes", "What is denied before the handler runs"), ids=lambda cells: cells[0]
)
async def test_what_the_table_says_is_refused(cells, routes):
    what, status, text = cells
    app = FastWS()

    @app.websocket("/number")
    async def number(ws, n: int):
        await ws.accept()

    @app.websocket("/members", login_required=True)
    @app.websocket("/staff", permission="auth.view_user")
    @app.websocket("/nobody", permission=lambda ws: False)
    @app.websocket("/full", handshake_rate="1/h")
    async def limited(ws):
        await ws.accept()

    async with connect("/full"):
        pass
    for case in DENIED[what]:
        options = dict(case)
        application = get_asgi_application(websocket_middleware=options.pop("middleware", []))
        if any(b"\x01" in value for value in options.get("headers", {}).values()):
            # The test client refuses such a header itself.
            options["application"] = _with_cookie(application, options.pop("headers")["Cookie"])
        else:
            options["application"] = application
        with pytest.raises(HandshakeDenied) as caught:
            async with connect(options.pop("path"), **options):
                pass
        assert caught.value.status == int(status)
        if "`" in text:
            assert caught.value.text == text.strip("`")


def _with_cookie(application, cookie):
    async def with_cookie(scope, receive, send):
        await application({**scope, "headers": [*scope["headers"], (b"cookie", cookie)]}, receive, send)

    return with_cookie


# Parameters


@pytest.mark.parametrize("annotation", [int, float, bool])
def test_parameters_take_what_the_table_says(annotation):
    name = annotation.__name__
    (cells,) = [cells for cells in rows("fastws", "Parameters") if cells[0] == f"`{name}`"]
    kind = converter_for(annotation)
    takes, *refuses = cells[1].split("; not ")
    for value in " ".join(re.findall(r"`([^`]+)`", takes)).split():
        assert type(kind.convert(value)) is annotation
        assert annotation is not bool or kind.convert(value.upper()) == kind.convert(value)
    for value in re.findall(r"`([^`]+)`", " ".join(refuses)):
        with pytest.raises(ValueError):  # noqa: PT011 (the text is the caller's)
            kind.convert(value)


def test_every_supported_type_is_in_the_table():
    shown = " ".join(cells[0] for cells in rows("fastws", "Parameters"))
    for kind in (str, int, float, bool, UUID, Decimal, dt.date, dt.time, dt.datetime):
        assert converter_for(kind)
        assert f"`{kind.__name__}`" in shown


# Numbers that others have set


def test_the_defaults_of_the_redis_layer():
    said = " ".join(cell for cells in rows("layer", "What differs from channels-redis") for cell in cells)
    numbers = {"socket_timeout": "is None", "socket_connect_timeout": "is 5 seconds", "max_connections": "5000"}
    for name, value in RedisChannelLayer.host_defaults.items():
        assert name == "socket_keepalive" or (f"`{name}`" in said and numbers[name] in said)
        assert str(value) in numbers.get(name, "True")


def test_the_defaults_of_the_servers():
    deploy, heartbeats = ((DOCS / "howto" / f"{page}.md").read_text("utf-8") for page in ("servers", "heartbeats"))
    daphne = vars(DaphneCommand().parser.parse_args(["app"]))
    assert daphne["websocket_max_message_size"] == 1024 * 1024
    assert "| `--websocket-max-message-size` | 1 MiB |" in deploy
    assert daphne["websocket_timeout"] == 24 * 60 * 60
    assert "| `--websocket_timeout` | one day |" in deploy
    assert f"| `--application-close-timeout` | {daphne['application_close_timeout']} s |" in deploy
    intervals = f"{daphne['ping_interval']} s, {daphne['ping_timeout']} s"
    assert f"| `--ping-interval`, `--ping-timeout` | {intervals} |" in deploy
    assert f"`--websocket_connect_timeout`, {daphne['websocket_connect_timeout']} seconds" in heartbeats
    assert f"| daphne | {daphne['ping_interval']} s without" in heartbeats
    assert f"| {daphne['ping_timeout']} s more | `--ping-interval`" in heartbeats

    uvicorn = UvicornConfig("app", log_config=None)
    assert f"| `--workers` | {uvicorn.workers} |" in deploy
    assert f"| `--ws-max-size` | {uvicorn.ws_max_size // 1024**2} MiB |" in deploy
    intervals = f"{uvicorn.ws_ping_interval:g} s, {uvicorn.ws_ping_timeout:g} s"
    assert f"| `--ws-ping-interval`, `--ws-ping-timeout` | {intervals} |" in deploy
    assert uvicorn.timeout_graceful_shutdown is None
    assert f"| uvicorn | every {uvicorn.ws_ping_interval:g} s | {uvicorn.ws_ping_timeout:g} s more |" in heartbeats


# Origins


@pytest.mark.parametrize(
    ("pattern", "let_in", "refused"),
    [
        ("https://example.com", ["https://example.com"], ["http://example.com", "https://example.com:8443"]),
        ("https://example.com:8443", ["https://example.com:8443"], ["https://example.com"]),
        ("example.com", ["https://example.com", "http://example.com:8000"], ["https://a.example.com"]),
        (".example.com", ["https://example.com", "http://a.example.com"], ["https://notexample.com"]),
        ("https://.example.com", ["https://a.example.com"], ["http://a.example.com"]),
        ("https://*.example.com", ["https://a.example.com", "https://example.com"], ["http://a.example.com"]),
        ("https://bücher.example", ["https://xn--bcher-kva.example"], ["https://bucher.example"]),
        ("*", ["https://example.com", "null"], []),
    ],
)
async def test_origins_are_let_in_as_the_table_says(pattern, let_in, refused, routes, settings):
    settings.FASTWS_ALLOWED_ORIGINS = [pattern]
    app = FastWS()

    @app.websocket("/")
    async def hello(ws):
        await ws.accept()

    assert f'`"{pattern}"`' in [cells[0] for cells in rows("settings", "FASTWS_ALLOWED_ORIGINS")]
    for origin in let_in:
        async with connect("/", origin=origin):
            pass
    for origin in refused:
        with pytest.raises(HandshakeDenied):
            async with connect("/", origin=origin):
                pass


def test_every_pattern_of_the_table_is_tested():
    assert len(rows("settings", "FASTWS_ALLOWED_ORIGINS")) == 8


# The errors of live rooms


def test_the_protocol_has_every_error_code_and_says_which_are_retried():
    told = {row[0].strip("`") for row in rows("live-protocol", "Errors")}
    assert told == set(ERROR_CODES)
    text = (REFERENCE / "live-protocol.md").read_text("utf-8")
    (retried,) = re.findall(r"`retry` is true for (.+), and\s", text)
    assert re.findall(r"`(\w+)`", retried) == [code for code, row in ERROR_CODES.items() if row.is_retried]
