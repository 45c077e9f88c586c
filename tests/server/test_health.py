"""The paths for monitors, and what is said of a channel layer that cannot be reached."""

from __future__ import annotations

import asyncio

import pytest

from django_fastws.layer import LayerStatus
from django_fastws.layer import probe as reachability
from django_fastws.server import health
from tests.clients.projects import Project
from tests.server.client import fetch
from tests.site.client import until
from tests.support.processes import RedisServer, free_port, stopped

pytestmark = pytest.mark.server


def layer_at(url: str) -> dict:
    return {"BACKEND": "django_fastws.layer.RedisChannelLayer", "CONFIG": {"hosts": [url]}}


@pytest.mark.parametrize("kind", ["runws_server", "runserver"])
async def test_it_is_alive_and_ready(serve, kind):
    server = serve(kind, environment={"TEST_DEBUG": "1"})
    for path, status in (("/healthz", "alive"), ("/readyz", "ready")):
        answer = await fetch(server, path)
        assert (answer.status, answer.json()) == (200, {"status": status})
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["cache-control"] == "no-store"
        head = await fetch(server, path, "HEAD")
        assert (head.status, head.body) == (200, b"")
        assert head.headers["content-length"] == str(len(answer.body))
        post = await fetch(server, path, "POST")
        assert (post.status, post.headers["allow"]) == (405, "GET, HEAD")


async def test_it_is_answered_before_the_application(plain, site):
    """Which knows nothing of it, and would fail; or has an opinion on the Host header."""
    headers = {"Host": "not.allowed.example"}
    assert (await fetch(plain(), "/healthz?from=here", headers=headers)).status == 200
    assert (await fetch(site("runws_server"), "/healthz", headers=headers)).status == 200
    assert (await fetch(site("runws_server"), "/healthz/")).status == 404


async def test_the_settings_say_where(serve):
    server = serve("runws_server", settings={"FASTWS_HEALTH_PATH": "/alive", "FASTWS_READY_PATH": None})
    assert (await fetch(server, "/alive")).json() == {"status": "alive"}
    assert [(await fetch(server, path)).status for path in ("/healthz", "/readyz", "/None")] == [404, 404, 404]


async def test_monitors_are_not_in_the_access_log(serve_plain):
    server = serve_plain()
    for path in ("/healthz", "/readyz?x=1", "/scope/"):
        await fetch(server, path)
    assert "GET /scope/" in server.log()
    assert "healthz" not in server.log()
    assert "readyz" not in server.log()


async def test_a_request_may_be_for_the_whole_url(serve):
    server = serve("runws_server")
    assert (await fetch(server, f"http://127.0.0.1:{server.port}/healthz")).json() == {"status": "alive"}
    assert (await fetch(server, f"http://127.0.0.1:{server.port}/hello/")).body == b"hello"


@pytest.mark.redis
@pytest.mark.faults
async def test_it_is_not_ready_while_the_layer_is_out_of_reach(serve):
    async def status() -> int:
        return (await fetch(server, "/readyz")).status

    async def is_ready() -> bool:
        return await status() == 200

    async def is_not_ready() -> bool:
        return await status() == 503

    with RedisServer() as redis:
        server = serve("runws_server", layer=layer_at(redis.url))
        assert await status() == 200
        with stopped(redis):  # it takes connections and does not answer
            await until(is_not_ready)
            answer = await fetch(server, "/readyz")
            assert answer.json() == {"status": "unavailable", "reason": "the channel layer is unreachable"}
            assert (await fetch(server, "/healthz")).status == 200
        await until(is_ready)
        redis.stop()
        await until(is_not_ready)
        redis.start()
        await until(is_ready)


async def test_a_layer_that_is_known_to_be_lost_is_not_waited_for(monkeypatch):
    async def probe():
        await asyncio.Event().wait()

    monkeypatch.setattr(health, "layer_problem", probe)
    monkeypatch.setattr(reachability, "layer_status", lambda: LayerStatus(is_reachable=False, error="refused"))
    sent = []

    async def send(message):
        sent.append(message)

    asked = health.Health(lambda: False)
    scope = {"type": "http", "path": "/readyz", "method": "GET"}
    async with asyncio.timeout(30):
        await asked.application(scope)(scope, None, send)
    assert sent[0]["status"] == 503
    asked._probe.cancel()


@pytest.mark.redis
@pytest.mark.faults
async def test_asking_often_does_not_burden_the_layer(serve, own_redis):
    import redis

    server = serve("runws_server", layer=layer_at(own_redis.url))
    client = redis.Redis.from_url(own_redis.url)
    before = client.info("commandstats").get("cmdstat_ping", {"calls": 0})["calls"]
    await asyncio.gather(*(fetch(server, "/readyz") for _ in range(50)))
    after = client.info("commandstats")["cmdstat_ping"]["calls"]
    client.close()
    assert after - before < 25  # some are because time goes by


@pytest.mark.redis
@pytest.mark.faults
@pytest.mark.parametrize("kind", ["runws_server", "runserver"])
async def test_a_layer_that_is_out_of_reach_at_start_is_told_of_once_and_tried_again(serve, kind):
    redis = RedisServer()
    server = serve(kind, layer=layer_at(redis.url), environment={"TEST_DEBUG": "1"})

    async def is_told() -> bool:
        return "The channel layer cannot be reached" in server.log()

    await until(is_told)
    assert (await fetch(server, "/readyz")).status == 503
    with redis:

        async def is_back() -> bool:
            return (
                "The channel layer is back after" in server.log() and (await fetch(server, "/readyz")).status == 200
            )

        await until(is_back)
    log = server.log()
    assert log.count("The channel layer cannot be reached") == 1
    assert "correct CHANNEL_LAYERS" in log
    assert "Traceback" not in log


async def test_a_layer_that_does_not_exist_is_no_reason_not_to_start(serve):
    server = serve("runws_server", layer=layer_at(f"redis://127.0.0.1:{free_port()}"))
    assert (await fetch(server, "/healthz")).status == 200
    assert (await fetch(server, "/hello/")).status == 200


@pytest.mark.redis
@pytest.mark.faults
async def test_runws_clients_tells_of_it_too(tmp_path):
    """A layer of channels-redis, which does not tell by itself when it is back."""
    redis = RedisServer()
    host = {"address": redis.url, "socket_timeout": None}
    layer = {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": [host]}}
    async with Project(tmp_path / "project") as project:
        project.settings(CHANNEL_LAYERS={"default": layer})
        project.consumers(f"""
            @app.ws("ws://127.0.0.1:{free_port()}", reconnect=True, max_retries=-1)
            async def feed(ws):
                pass
            """)
        command = await project.start()
        line = await command.line("The channel layer cannot be reached, and rooms do not work")
        assert line.endswith("Start it, or correct CHANNEL_LAYERS. Trying again.")
        with redis:
            await command.line("The channel layer can be reached, after")
        assert await command.stop() == 0
        assert command.output.count("The channel layer cannot be reached") == 1
