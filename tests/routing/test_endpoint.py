"""The application of a handler: how its connection ends when it returns or raises."""

import logging

import pytest
from django.core.exceptions import PermissionDenied
from django.http import Http404

from django_fastws import FastWS, WebSocketDisconnect, WebSocketException
from django_fastws.rooms.hub import current_hub
from django_fastws.testing import HandshakeDenied, connect

pytestmark = pytest.mark.usefixtures("routes")


def served(error, *, accepts=True):
    """The application of a handler that raises an error, or returns if there is none."""

    async def handler(ws):
        if accepts:
            await ws.accept()
        if error is not None:
            raise error

    FastWS().websocket("/x")(handler)
    return handler.as_asgi()


@pytest.mark.parametrize(
    ("error", "code", "reason", "is_logged"),
    [
        (None, 1000, "", False),
        (WebSocketException(4000, "enough"), 4000, "enough", False),
        (WebSocketDisconnect(1001), 1000, "", False),
        (ZeroDivisionError("secret"), 1011, "internal error", True),
        (Http404("no such room"), 1011, "internal error", True),
        (ExceptionGroup("tasks", [WebSocketDisconnect(), WebSocketException(4001, "done")]), 4001, "done", False),
        (ExceptionGroup("tasks", [WebSocketDisconnect(), WebSocketDisconnect()]), 1000, "", False),
        (ExceptionGroup("tasks", [WebSocketException(4001), ZeroDivisionError()]), 1011, "internal error", True),
    ],
    ids=[
        "returns",
        "exception",
        "disconnect",
        "error",
        "404",
        "group",
        "group of disconnects",
        "group with an error",
    ],
)
async def test_the_end_of_a_handler_after_accept_closes(caplog, error, code, reason, is_logged):
    async with connect("/x", application=served(error)) as ws:
        assert await ws.wait_closed() == code
        assert ws.close_reason == reason
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(errors) == is_logged
    assert all(record.name == "django_fastws.handlers" and record.exc_info for record in errors)


@pytest.mark.parametrize(
    ("error", "status", "is_logged"),
    [
        (None, 403, False),
        (WebSocketException(4000, "enough"), 403, False),
        (Http404("no such room"), 404, False),
        (PermissionDenied("not yours"), 403, False),
        (ZeroDivisionError("secret"), 500, True),
    ],
    ids=["returns", "exception", "404", "permission", "error"],
)
async def test_the_end_of_a_handler_before_accept_denies(caplog, error, status, is_logged):
    with pytest.raises(HandshakeDenied) as raised:
        async with connect("/x", application=served(error, accepts=False)):
            pass
    assert raised.value.status == status
    assert "secret" not in raised.value.text
    assert len([record for record in caplog.records if record.levelno >= logging.ERROR]) == is_logged


@pytest.mark.parametrize("error", [None, ZeroDivisionError()], ids=["returns", "error"])
async def test_rooms_are_left_however_the_handler_ends(error):
    held = []

    async def handler(ws):
        await ws.accept()
        await ws.join("r")
        held.append(ws)
        if error is not None:
            raise error

    FastWS().websocket("/x")(handler)
    async with connect("/x", application=handler.as_asgi()) as ws:
        await ws.wait_closed()
    assert not current_hub().has(held[0], "r")
