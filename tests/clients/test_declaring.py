"""System checks of outbound routes."""

from __future__ import annotations

import pytest
from django.core.checks import Error, Warning

from django_fastws.checks import check_outbound_routes, check_routes
from tests.routing.outbound import HTTP_URL, URL, handler


def found(app=None):
    return [(type(message), message.id) for message in check_outbound_routes()]


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        ({}, []),
        ({"max_retries": 0}, []),
        ({"reconnect": True}, [(Warning, "fastws.W030")]),
        ({"reconnect": True, "max_retries": 0}, [(Warning, "fastws.W030")]),
        ({"reconnect": True, "max_retries": 1}, []),
        ({"reconnect": True, "max_retries": -1}, []),
    ],
)
def test_w030_reconnect_without_retries(app, options, ids):
    app.ws(URL, **options)(handler)
    assert found() == ids


def test_w030_names_the_route_and_the_remedy(app):
    app.ws(URL, reconnect=True)(handler)
    (warning,) = check_outbound_routes()
    assert f"{handler.__module__}.handler" in warning.msg
    assert "max_retries=-1" in warning.hint


LAYERS = {
    "none": {},
    "in-memory": {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
    "ours": {"default": {"BACKEND": "django_fastws.layer.RedisChannelLayer", "CONFIG": {"hosts": ["redis://x"]}}},
    "pub/sub": {
        "default": {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": ["redis://x"]}}
    },
    "core": {"default": {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": ["redis://x"]}}},
}


@pytest.mark.parametrize("lease", [True, False])
@pytest.mark.parametrize("layer", LAYERS)
def test_e031_a_lease_without_a_redis(app, settings, layer, lease):
    settings.CHANNEL_LAYERS = LAYERS[layer]
    app.ws(URL, lease=lease)(handler)
    assert found() == ([(Error, "fastws.E031")] if lease and layer in ("none", "in-memory") else [])


def test_e013_a_name_that_several_routes_were_given(app):
    app.ws(URL, name="feed")(handler)
    app.get(HTTP_URL, name="feed")(handler)
    (error,) = check_routes()
    assert error.id == "fastws.E013"
    assert "'feed'" in error.msg


def test_routes_without_a_name_may_share_their_functions(app):
    app.ws(URL)(handler)
    app.ws(f"{URL}/b")(handler)
    assert check_routes() == []
