"""Checks of routes: for each, what provokes it and what looks like it and is right."""

import pytest
from django.core.checks import Error, Warning

from django_fastws import FastWS, RouteError
from django_fastws.checks import check_outbound_routes, check_routes
from django_fastws.routing.routes import Problem
from tests.checks.messages import REDIS, found, one, two
from tests.routing.outbound import HTTP_URL, URL, handler

pytestmark = pytest.mark.usefixtures("routes")

# Routes


def test_duplicate_paths():
    FastWS("/ws").websocket("/{room}")(one)
    FastWS().websocket("/ws/<other>")(two)
    (message,) = found().values()
    assert message.id == "fastws.E010"
    assert message.msg.count("messages.py:") == 2
    assert "'/ws/{room}'" in message.msg


def test_paths_that_differ():
    FastWS().websocket("/{room}")(one)
    FastWS().websocket("/{room:int}")(two)
    assert found() == {}


def test_a_handler_that_is_not_async(routes):
    with pytest.raises(RouteError) as raised:
        FastWS().websocket("/x")(lambda ws: None)
    routes.problems.append(Problem("shop.consumers", raised.value))
    (message,) = found().values()
    assert message.id == "fastws.E011"
    assert message.msg.startswith("shop.consumers: ")
    assert "async def" in message.hint


def test_a_path_parameter_that_the_handler_does_not_take():
    async def chat(ws, rom: str): ...

    FastWS().websocket("/chat/{room}")(chat)
    (message,) = found().values()
    assert message.id == "fastws.E012"
    assert "does not take 'room'" in message.msg
    assert "test_declared_routes.py:" in message.msg
    assert "async def chat(ws, room: str)" in message.hint


def test_the_hint_for_a_missing_parameter_has_the_handlers_name():
    async def chat(ws): ...

    FastWS().websocket("/chat/{room}", name="the-chat")(chat)
    assert "async def chat(ws, room: str)" in found()["fastws.E012"].hint


def test_a_path_parameter_that_the_handler_takes_in_its_kwargs():
    async def chat(ws, **kwargs): ...

    FastWS().websocket("/chat/{room}")(chat)
    assert found() == {}


def test_duplicate_names():
    FastWS().websocket("/a", name="chat")(one)
    FastWS().websocket("/b", name="chat")(two)
    (message,) = found().values()
    assert message.id == "fastws.E013"
    assert "'chat'" in message.msg
    assert message.msg.count("messages.py:") == 2


def test_names_that_are_not_given_may_be_shared():
    FastWS().websocket("/a")(one)
    FastWS().websocket("/b")(one)
    assert found() == {}


def test_any_other_mistake_in_a_route(routes):
    with pytest.raises(RouteError) as raised:
        FastWS().websocket("/{room")(one)
    routes.problems.append(Problem("shop.consumers", raised.value))
    (message,) = found().values()
    assert message.id == "fastws.E014"
    assert "stray '{'" in message.msg
    assert "the module was not loaded" in message.hint


# Outbound routes that would share a lease


async def leased(ws): ...


@pytest.mark.parametrize(("names", "is_found"), [((None, None), True), (("a", "b"), False), ((None, "b"), False)])
def test_routes_that_would_share_a_lease(names, is_found):
    app = FastWS()
    for name in names:
        app.ws("ws://feed.example/", lease=True, name=name)(leased)
    message = found(CHANNEL_LAYERS={"default": REDIS}).get("fastws.E032")
    assert (message is not None) == is_found
    if message is not None:
        assert "leased" in message.msg
        assert "name=" in message.hint


# Routes that ask who is logged in


@pytest.mark.parametrize(
    ("rules", "is_found"),
    [
        ({"login_required": True}, True),
        ({"permission": "auth.view_user"}, True),
        ({"max_connections_per_user": 5}, True),
        ({"max_connections_per_user": None}, False),
        ({"permission": lambda ws: True}, False),
        ({"max_connections": 5, "rate": "5/s"}, False),
    ],
)
def test_a_route_that_asks_for_users_where_there_are_none(rules, is_found):
    FastWS().websocket("/x", **rules)(one)
    assert "fastws.E040" not in found()
    without = found(INSTALLED_APPS=["daphne", "channels", "django_fastws"])
    assert ("fastws.E040" in without) == is_found
    if is_found:
        assert "messages.one" in without["fastws.E040"].msg


@pytest.mark.parametrize(
    ("permission", "is_found"),
    [
        ("auth.view_user", False),
        ("aut.view_user", True),
        (["auth.view_user", "shop.view_order"], True),
        ("site.x", False),
    ],
)
def test_a_permission_of_an_app_that_is_not_there(permission, is_found):
    FastWS().websocket("/x", permission=permission)(one)
    message = found().get("fastws.W041")
    assert (message is not None) == is_found
    if message is not None:
        assert "contenttypes" in message.hint


# Outbound routes


@pytest.fixture
def app():
    return FastWS()


def said():
    """Kind and id of what is said of outbound routes alone."""
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
    assert said() == ids


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
    assert said() == ([(Error, "fastws.E031")] if lease and layer in ("none", "in-memory") else [])


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
