"""Fields of log records: what is in them where connections, calls and routes that go out are spoken of."""

from __future__ import annotations

import ast
import logging
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser

import django_fastws
from django_fastws import FastWS, LiveError, LiveSocket, WebSocket
from django_fastws._core.connection_state import ConnectionState
from django_fastws.log_fields import FIELDS, connection_fields, keep_state, outbound_fields
from django_fastws.testing import HandshakeDenied, connect, live

pytestmark = pytest.mark.usefixtures("routes")
PACKAGE = Path(django_fastws.__file__).parent


class User:
    pk = 7
    is_authenticated = True


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name in FIELDS}


def one(caplog, logger: str) -> dict[str, Any]:
    (record,) = [record for record in caplog.records if record.name == logger]
    return fields_of(record)


# What there is


def test_no_field_is_an_attribute_that_records_have():
    taken = set(vars(logging.LogRecord("", 0, "", 0, "", None, None))) | {"message", "asctime", "taskName"}
    assert not taken & FIELDS.keys()


@pytest.mark.long
def test_nothing_else_is_in_a_record_of_the_package():
    """Every name that is given to the helpers, or stands in a dict for ``extra=``, is in the table."""
    given: set[str] = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in HELPERS:
                given |= {keyword.arg for keyword in node.keywords if keyword.arg}
            if isinstance(node, ast.keyword) and node.arg == "extra" and isinstance(node.value, ast.Dict):
                given |= {key.value for key in node.value.keys if isinstance(key, ast.Constant)}
    assert given <= FIELDS.keys()
    assert {"code", "reason", "count", "room", "event"} <= given


HELPERS = ("connection_fields", "outbound_fields", "room_fields")
#: Records of these folders are about one connection or route, but for the ones below.
FOLDERS = ("limits", "routing", "transports", "live", "clients")
ABOUT_NO_CONNECTION = {
    "routing/router.py",  # routes that come late
    "live/live_errors.py",  # a layer that refuses, which all clients are told of
    "live/once.py",  # what becomes of calls that have lost their connection
    "clients/supervisor.py",  # all routes together
    "clients/outbound_process.py",
    "clients/reloader.py",
}


def test_who_logs_of_a_connection_gives_its_fields():
    missing: set[str] = set()
    for folder in FOLDERS:
        for path in (PACKAGE / folder).rglob("*.py"):
            calls = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if _is_log_call(node)]
            if any("extra" not in {keyword.arg for keyword in node.keywords} for node in calls):
                missing.add(path.relative_to(PACKAGE).as_posix())
    assert missing == ABOUT_NO_CONNECTION


def _is_log_call(node: ast.AST) -> Any:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"debug", "info", "warning", "error", "exception", "critical", "log"}
        and getattr(node.func.value, "id", getattr(node.func.value, "attr", "")).endswith("logger")
    )


# Connections that came in


async def test_a_handler_that_fails_is_said_with_its_connection(caplog):
    seen: list[str] = []

    @FastWS().websocket("/shop/{pk:int}")
    async def shop(ws: WebSocket, pk: int) -> None:
        await ws.accept()
        seen.append(ws.id)
        raise ZeroDivisionError

    with caplog.at_level(logging.INFO):
        async with connect("/shop/5?token=S3CRET", user=User()) as ws:
            assert await ws.wait_closed() == 1011
    assert one(caplog, "django_fastws.handlers") == {
        "connection_id": seen[0],
        "route": "/shop/{pk:int}",
        "path": "/shop/5",
        "address": "127.0.0.1",
        "user": "7",
        "code": 1011,
    }


async def test_an_id_that_the_log_has_made_is_the_one_of_the_socket(caplog):
    found: list[Any] = []

    @FastWS().websocket("/x")
    async def handler(ws: WebSocket) -> None:
        found.append(connection_fields(ws.scope)["connection_id"])
        found.append(ws.id)
        await ws.accept()

    async with connect("/x") as ws:
        await ws.wait_closed()
    assert found[0] == found[1]


async def test_a_denial_says_why_by_the_name_of_the_rule(caplog):
    @FastWS().websocket("/x", login_required=True)
    async def handler(ws: WebSocket) -> None: ...

    with caplog.at_level(logging.INFO), pytest.raises(HandshakeDenied):
        async with connect("/x", user=AnonymousUser()):
            pass
    found = one(caplog, "django_fastws.access")
    assert (found["code"], found["reason"], found["count"]) == (401, "login_required", 1)
    assert (found["route"], found["user"]) == ("/x", None)
    assert len(found["connection_id"]) == 32


async def test_a_path_without_a_route_has_none(caplog):
    with caplog.at_level(logging.INFO), pytest.raises(HandshakeDenied):
        async with connect("/nowhere;token=S3CRET"):
            pass
    found = one(caplog, "django_fastws.routing")
    assert (found["route"], found["path"], found["code"]) == ("", "/nowhere;token=***", 404)


async def test_a_call_that_fails_is_said_with_its_room_and_event(caplog):
    room = FastWS().room("tickets/{pk:int}")

    @room.on("say")
    async def say(ws: LiveSocket, pk: int) -> None:
        raise ZeroDivisionError

    with caplog.at_level(logging.INFO):
        async with live(user=User()) as client:
            joined = await client.join("tickets/5")
            with pytest.raises(LiveError, match="failed"):
                await joined.call("say")
    found = one(caplog, "django_fastws.live")
    assert (found["room"], found["event"], found["code"]) == ("tickets/{pk:int}", "say", "failed")
    assert (found["user"], found["path"]) == ("7", "/ws/live")
    assert found["route"]


def test_who_the_user_is_is_not_asked_of_the_database():
    class Lazy:
        @property
        def pk(self) -> int:
            raise RuntimeError("this would be a query")

    assert connection_fields({"user": Lazy()})["user"] is None


def test_a_transport_within_middleware_is_the_same_connection():
    outer, inner = ConnectionState(), ConnectionState()
    scope: dict[str, Any] = {"path": "/x"}
    keep_state(scope, outer)
    keep_state(within := dict(scope), inner, outer)
    assert connection_fields(scope)["connection_id"] == connection_fields(within)["connection_id"] == inner.id


# Connections that go out


def test_a_url_is_masked_and_there_is_an_id_while_it_is_open():
    fields = outbound_fields("feed", "wss://me:S3CRET@example.com/x?token=S3CRET", attempt=2)
    assert fields == {"route": "feed", "url": "wss://***@example.com/x?***", "attempt": 2}
    state = ConnectionState()
    assert outbound_fields("feed", "wss://example.com", state)["connection_id"] == state.made_id()
