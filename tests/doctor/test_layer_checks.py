"""What is said of a channel layer: away, refusing, in memory, of others."""

import pytest

from django_fastws.doctor.layer_checks import _judge_redis, look_at_layer
from tests.conftest import layer_config
from tests.support.processes import RedisServer, free_port

OURS = "django_fastws.layer.RedisChannelLayer"


def by_check(findings):
    return {result.check: result for result in findings.results}


@pytest.mark.redis
@pytest.mark.parametrize("name", ["ours", "core", "pubsub"])
async def test_a_layer_that_works(name, redis_server, settings):
    settings.CHANNEL_LAYERS = {"default": layer_config(name, redis_server, f"doctor-{name}")}
    findings = await look_at_layer()
    assert {result.check: result.status for result in findings.results} == {
        "layer": "ok",
        "round trip": "ok",
        "redis": "ok",
    }
    assert (findings.is_usable, findings.is_shared) == (True, True)
    assert abs(findings.clock_skew) < 5


@pytest.mark.parametrize("backend", [None, "channels.layers.InMemoryChannelLayer"])
async def test_a_layer_that_ends_here_is_a_warning(settings, backend):
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": backend}} if backend else {}
    findings = await look_at_layer()
    assert by_check(findings)["layer"].status == "warning"
    assert "RedisChannelLayer" in by_check(findings)["layer"].hint
    assert (findings.is_usable, findings.is_shared) == (True, False)


@pytest.mark.redis
@pytest.mark.parametrize("backend", [OURS, "channels_redis.core.RedisChannelLayer"])
async def test_a_layer_that_is_away(settings, backend):
    settings.CHANNEL_LAYERS = {
        "default": {"BACKEND": backend, "CONFIG": {"hosts": [f"redis://127.0.0.1:{free_port()}"]}}
    }
    findings = await look_at_layer()
    (result,) = findings.results
    assert (result.check, result.status, findings.is_usable) == ("layer", "failed", False)
    assert result.hint.startswith("Start Redis")


@pytest.mark.redis
@pytest.mark.parametrize("user", ["", ":wrong@"])
async def test_a_password_that_is_missing_or_wrong(settings, user):
    with RedisServer("--requirepass", "secret") as server:
        url = server.url.replace("//", f"//{user}")
        settings.CHANNEL_LAYERS = {"default": {"BACKEND": OURS, "CONFIG": {"hosts": [url]}}}
        (result,) = (await look_at_layer()).results
    assert (result.check, result.status) == ("layer", "failed")
    assert "password" in result.hint
    assert "wrong@" not in result.detail


@pytest.mark.parametrize(
    "layer", [{"BACKEND": "no.such.Layer"}, {}, {"BACKEND": OURS, "CONFIG": {"hosts": 5}}], ids=str
)
async def test_a_layer_that_cannot_be_made(settings, layer):
    settings.CHANNEL_LAYERS = {"default": layer}
    (result,) = (await look_at_layer()).results
    assert (result.check, result.status) == ("layer", "failed")


INFO = {"redis_version": "7.2.1", "connected_clients": 5, "maxclients": 10_000, "used_memory": 1, "maxmemory": 0}
EVICTING = {"maxmemory": 100_000_000, "maxmemory_policy": "allkeys-lru"}


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({}, "ok"),
        ({"redis_version": "6.0.9"}, "warning"),
        ({"connected_clients": 9_500}, "warning"),
        ({"maxmemory": 100, "used_memory": 95}, "warning"),
        (EVICTING, "warning"),
        ({**EVICTING, "maxmemory_policy": "noeviction"}, "ok"),
    ],
    ids=str,
)
def test_the_limits_of_redis(more, status):
    assert _judge_redis("redis", {**INFO, **more}, needs_scripts=True).status == status
