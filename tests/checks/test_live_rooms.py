"""Checks of live rooms: for each, what provokes it and what looks like it and is right."""

from __future__ import annotations

import pytest
from django.conf import settings

from django_fastws import FastWS, History, Latest, RouteError
from django_fastws.routing.routes import Problem
from tests.checks.messages import core, found

pytestmark = pytest.mark.usefixtures("routes")


def test_two_patterns_that_match_one_name():
    FastWS().room("tickets/{pk:int}")
    FastWS().room("tickets/{slug}")
    (message,) = found().values()
    assert message.id == "fastws.E050"
    assert "'tickets/7'" in message.msg
    assert message.msg.count("test_live_rooms.py:") == 2


def test_patterns_that_differ():
    FastWS().room("tickets/{pk:int}")
    FastWS().room("tickets/new")
    assert found() == {}


def test_two_rooms_of_one_name():
    FastWS().room("a", name="tickets")
    FastWS().room("b", name="tickets")
    (message,) = found().values()
    assert message.id == "fastws.E051"
    assert message.msg.count("test_live_rooms.py:") == 2


def test_names_that_are_not_given_may_be_shared():
    FastWS().room("tickets/{pk:int}")
    FastWS().room("tickets/{pk:int}/tickets/", name="tickets")
    assert found() == {}


def test_rooms_that_no_client_can_join():
    assert found(FASTWS_LIVE_PATH=None) == {}
    FastWS().room("tickets/{pk:int}")
    assert list(found(FASTWS_LIVE_PATH=None)) == ["fastws.W052"]
    assert found(FASTWS_LIVE_PATH="/live") == {}


@pytest.mark.parametrize(
    ("layers", "backend"),
    [
        (core(socket_timeout=None), "channels_redis.core.RedisChannelLayer"),
        ({"default": {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer"}}, "channels_redis.pubsub"),
        ({"default": {"BACKEND": "tests.layer.test_broker.Watched"}}, "tests.layer.test_broker.Watched"),
    ],
    ids=["core", "pubsub", "custom"],
)
def test_histories_on_a_layer_that_keeps_none(layers, backend):
    FastWS().room("lobby")
    assert found(CHANNEL_LAYERS=layers) == {}
    FastWS().room("tickets/{pk:int}", history=History())
    (message,) = found(CHANNEL_LAYERS=layers).values()
    assert message.id == "fastws.W053"
    assert backend in message.msg
    assert "'tickets/{pk:int}' in " in message.msg
    assert "django_fastws.layer.RedisChannelLayer" in message.hint


@pytest.mark.parametrize(
    ("layers", "backend"),
    [
        (core(socket_timeout=None), "channels_redis.core.RedisChannelLayer"),
        ({"default": {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer"}}, "channels_redis.pubsub"),
    ],
    ids=["core", "pubsub"],
)
def test_keyed_rooms_on_a_layer_that_keeps_no_values(layers, backend):
    FastWS().room("prices/{market}", latest=Latest())
    (message,) = found(CHANNEL_LAYERS=layers).values()
    assert message.id == "fastws.W056"
    assert backend in message.msg
    assert "'prices/{market}' in " in message.msg
    assert "django_fastws.layer.RedisChannelLayer" in message.hint
    FastWS().room("tickets/{pk:int}", history=History())
    assert sorted(found(CHANNEL_LAYERS=layers)) == ["fastws.W053", "fastws.W056"]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"DEBUG": True, "CHANNEL_LAYERS": {}},
        {"DEBUG": True, "CHANNEL_LAYERS": {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}},
    ],
    ids=["redis", "none", "memory"],
)
def test_histories_and_values_where_they_are_kept(settings):
    FastWS().room("tickets/{pk:int}", history=History())
    FastWS().room("prices/{market}", latest=Latest())
    assert found(**settings) == {}


def test_histories_in_the_database_need_no_layer_that_keeps_any():
    FastWS().room("tickets/{pk:int}", history=History(database=True))
    assert found(CHANNEL_LAYERS=core(socket_timeout=None)) == {}


def test_histories_that_end_at_the_process_are_reported_as_its_rooms_are():
    FastWS().room("tickets/{pk:int}", history=History())
    assert list(found(CHANNEL_LAYERS={})) == ["fastws.W006"]


def test_a_layer_that_cannot_be_made_is_not_the_business_of_this_check():
    FastWS().room("tickets/{pk:int}", history=History())
    layers = {"default": {"BACKEND": "django_fastws.layer.RedisChannelLayer", "CONFIG": {"unknown": 1}}}
    assert "fastws.W053" not in found(CHANNEL_LAYERS=layers)


def test_a_route_on_the_path_of_live_sockets():
    app = FastWS()
    app.room("tickets/{pk:int}")

    @app.websocket("/ws/live")
    async def live(ws): ...

    message = found()["fastws.E010"]
    assert "FASTWS_LIVE_PATH" in message.msg


@pytest.mark.parametrize(
    ("options", "id_"),
    [({"login_required": True}, "fastws.E040"), ({"max_connections_per_user": 1}, "fastws.E040"), ({}, None)],
)
def test_a_room_that_asks_for_users_where_there_are_none(options, id_):
    FastWS().room("tickets/{pk:int}", **options)
    without = [app for app in settings.INSTALLED_APPS if app not in ("django.contrib.auth", "django.contrib.admin")]
    assert list(found(INSTALLED_APPS=without)) == ([id_] if id_ else [])


def test_a_permission_of_an_app_that_is_not_there():
    FastWS().room("tickets/{pk:int}", permission="nowhere.view_it")
    assert list(found()) == ["fastws.W041"]


def test_a_mistake_in_a_declaration_is_found(routes):
    with pytest.raises(RouteError) as raised:
        FastWS().room("tickets/{pk:int}").on("state")
    routes.problems.append(Problem("desk.consumers", raised.value))
    (message,) = found().values()
    assert message.id == "fastws.E014"
    assert "'state' means something else to the client" in message.msg
