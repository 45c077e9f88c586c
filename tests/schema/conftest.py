"""Fixtures of the tests of schemas."""

from __future__ import annotations

import pytest

from django_fastws import FastWS
from django_fastws.live import live_rooms
from django_fastws.schema import Description, Info, asyncapi, describe
from tests.schema.rooms import declare_rooms

INFO = Info("desk", "1.2.3", "example.org", is_secure=True)


@pytest.fixture
def described(routes) -> Description:
    """All rooms of ``rooms.py``."""
    declare_rooms(FastWS())
    return describe(live_rooms())


@pytest.fixture
def document(described):
    app = FastWS(prefix="/ws", tags=["raw"])

    @app.websocket("/echo/{room}")
    async def echo(ws, room): ...

    @app.websocket("/größe/{größe:int}", name="größe")
    async def size(ws, größe): ...

    return asyncapi(described, app.routes, INFO)
