"""Fixtures for the tests of users."""

import pytest
from django.core.cache import cache

from django_fastws import FastWS, WebSocketDisconnect
from django_fastws.users.registry import current_users
from tests.support.processes import free_port
from tests.users.closing import all_published

ENGINES = [f"django.contrib.sessions.backends.{name}" for name in ("db", "cached_db", "cache", "file")]


@pytest.fixture(autouse=True)
async def _settled():
    """Sockets are looked at no more when the database is emptied behind the test."""
    yield
    await current_users().settled()


@pytest.fixture(params=ENGINES, ids=lambda name: name.rpartition(".")[2])
def engine(request, settings, tmp_path):
    """Where sessions are stored; each of them, unless a test names its own."""
    settings.SESSION_ENGINE = request.param
    settings.SESSION_FILE_PATH = str(tmp_path)
    cache.clear()
    yield request.param
    cache.clear()


@pytest.fixture
def ends(routes):
    """Serves ``/x``; each handler tells how it has ended."""
    told = []

    async def handler(ws):
        await ws.accept()
        await ws.join("lobby")
        try:
            while True:
                told.append((await ws.receive()).data)
        except WebSocketDisconnect as end:
            told.append((end.code, end.reason))
            raise
        finally:
            told.append("finally")

    FastWS().websocket("/x")(handler)
    return told


@pytest.fixture
def no_redis(settings):
    """A Redis layer that cannot be reached."""
    settings.FASTWS_PUBLISH_TIMEOUT_SECONDS = 1
    settings.FASTWS_PUBLISH_RETRY_SECONDS = 0.5
    settings.CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "django_fastws.layer.RedisChannelLayer",
            "CONFIG": {"hosts": [f"redis://127.0.0.1:{free_port()}"]},
        }
    }
    yield
    all_published()  # what goes on would keep the next test's log-outs waiting


@pytest.fixture
def served(routes):
    """Serves ``/x``, for those who are logged in."""

    async def handler(ws):
        await ws.accept()
        async for message in ws:
            await ws.send(message.data)

    FastWS().websocket("/x", login_required=True)(handler)
    FastWS().websocket("/any")(handler)


@pytest.fixture
def often(settings):
    """Sockets are looked at all the time."""
    settings.FASTWS_SESSION_CHECK_SECONDS = 0.05


@pytest.fixture
def never(settings):
    settings.FASTWS_SESSION_CHECK_SECONDS = None
