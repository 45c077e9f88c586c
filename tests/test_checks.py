"""The system checks: for each, a test that provokes it and one that shows it absent."""

import pytest
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter
from django.apps import apps
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core import checks
from django.core.handlers.asgi import ASGIHandler
from django.test import override_settings

from django_fastws import FastWS, RouteError
from django_fastws import checks as our_checks
from django_fastws.asgi import get_asgi_application
from django_fastws.conf import SETTINGS
from django_fastws.routing.routes import Problem

pytestmark = pytest.mark.usefixtures("routes")

REDIS = {"BACKEND": "django_fastws.layer.RedisChannelLayer", "CONFIG": {"hosts": ["redis://redis.example"]}}
RIGHT = {
    "DEBUG": False,
    "ALLOWED_HOSTS": ["testserver"],
    "ASGI_APPLICATION": "tests.site.asgi.application",
    "CHANNEL_LAYERS": {"default": REDIS},
}


def found(**settings):
    """The ids and the messages of every check of ours, with these settings."""
    with override_settings(**{**RIGHT, **settings}):
        messages = checks.run_checks(tags=["fastws"])
    assert all(message.id.startswith("fastws.") for message in messages)
    assert all(message.hint for message in messages)
    assert all(message.level == (checks.ERROR if ".E" in message.id else checks.WARNING) for message in messages)
    return {message.id: message for message in messages}


def core(**host):
    address = host.pop("address", "redis://redis.example")
    hosts = [{"address": address, **host}] if host else [address]
    return {"default": {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": hosts}}}


def test_a_project_without_mistakes_has_no_messages():
    assert found() == {}


def test_every_check_is_registered():
    registered = checks.registry.registry.get_checks()
    assert all(check in registered for check in our_checks.all_checks)
    assert "fastws" in checks.registry.registry.tags_available()


# (id, settings that provoke it, words of its message or hint)
PROVOKED = [
    ("fastws.W001", {"INSTALLED_APPS": ["daphne", "django_fastws"]}, "'channels' is not in INSTALLED_APPS"),
    ("fastws.W002", {"INSTALLED_APPS": ["channels", "django_fastws"]}, "'daphne' is not in INSTALLED_APPS"),
    (
        "fastws.E003",
        {"INSTALLED_APPS": ["django.contrib.staticfiles", "daphne", "channels", "django_fastws"]},
        "'daphne' comes after 'django.contrib.staticfiles'",
    ),
    (
        "fastws.W004",
        {"INSTALLED_APPS": ["channels", "daphne", "django_fastws"]},
        "'channels', 'daphne', 'django_fastws'",
    ),
    (
        "fastws.W004",
        {"INSTALLED_APPS": ["daphne", "django_fastws", "channels"]},
        "'daphne', 'django_fastws', 'channels'",
    ),
    ("fastws.E005", {"ASGI_APPLICATION": None}, "ASGI_APPLICATION is not set"),
    ("fastws.E005", {"ASGI_APPLICATION": ""}, "ASGI_APPLICATION is not set"),
    (
        "fastws.W006",
        {"CHANNEL_LAYERS": {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}},
        "the in-memory layer",
    ),
    ("fastws.W006", {"CHANNEL_LAYERS": {}}, "no default layer"),
    ("fastws.W006", {"CHANNEL_LAYERS": None}, "no default layer"),
    ("fastws.W008", {"ALLOWED_HOSTS": ["*"]}, "ALLOWED_HOSTS contains '*'"),
    ("fastws.W008", {"ALLOWED_HOSTS": ["example.com", "*"]}, "ALLOWED_HOSTS contains '*'"),
    (
        "fastws.E020",
        {"FASTWS_ALLOWED_ORIGINS": "https://example.com"},
        "FASTWS_ALLOWED_ORIGINS = 'https://example.com'",
    ),
    ("fastws.E020", {"FASTWS_ALLOWED_ORIGINS": [5]}, "FASTWS_ALLOWED_ORIGINS = [5]"),
    *[
        ("fastws.E020", {"FASTWS_ALLOWED_ORIGINS": [pattern]}, "or 'https://*.example.com'")
        for pattern in ("", "https://", "https://w*.example.com", "https://*", "https://a b.example", "https://[::1")
    ],
    ("fastws.E020", {"FASTWS_CONSUMERS_MODULE": "a b"}, "FASTWS_CONSUMERS_MODULE = 'a b'"),
    ("fastws.E020", {"FASTWS_CONSUMERS_MODULE": None}, "FASTWS_CONSUMERS_MODULE = None"),
    ("fastws.E020", {"FASTWS_CONSUMERS_MODULE": ""}, "FASTWS_CONSUMERS_MODULE = ''"),
    ("fastws.E020", {"FASTWS_MAX_MESSAGE_BYTES": 0}, "FASTWS_MAX_MESSAGE_BYTES = 0"),
    ("fastws.E020", {"FASTWS_MAX_MESSAGE_BYTES": "1M"}, "FASTWS_MAX_MESSAGE_BYTES = '1M'"),
    ("fastws.E020", {"FASTWS_MAX_MESSAGE_BYTES": True}, "FASTWS_MAX_MESSAGE_BYTES = True"),
    ("fastws.E020", {"FASTWS_SEND_BUFFER_BYTES": -1}, "FASTWS_SEND_BUFFER_BYTES = -1"),
    ("fastws.E020", {"FASTWS_SLOW_CONSUMER": "drop"}, "'disconnect', 'drop_oldest', 'drop_newest'"),
    ("fastws.E020", {"FASTWS_SLOW_CONSUMER": []}, "FASTWS_SLOW_CONSUMER = []"),
    ("fastws.E020", {"FASTWS_CLIENT_LIBRARY": "httpx"}, "is not one of 'websockets', 'picows'"),
    ("fastws.E020", {"FASTWS_CLIENT_LIBRARY": None}, "FASTWS_CLIENT_LIBRARY = None"),
    ("fastws.E020", {"FASTWS_CLIENT_LIBRARY": []}, "FASTWS_CLIENT_LIBRARY = []"),
    ("fastws.E020", {"FASTWS_CLIENT_HTTP_HANDLER_SECONDS": 0}, "FASTWS_CLIENT_HTTP_HANDLER_SECONDS = 0"),
    ("fastws.E020", {"FASTWS_PUBLISH_TIMEOUT_SECONDS": 0}, "FASTWS_PUBLISH_TIMEOUT_SECONDS = 0"),
    *[
        ("fastws.E020", {name: value}, f"{name} = {value!r}")
        for name in (
            "FASTWS_MAX_CONNECTIONS",
            "FASTWS_MAX_CONNECTIONS_PER_ADDRESS",
            "FASTWS_MAX_CONNECTIONS_PER_USER",
        )
        for value in (0, -1, 1.5, "5", True)
    ],
    *[
        ("fastws.E020", {name: value}, f"{name} = {value!r}")
        for name in ("FASTWS_IDLE_TIMEOUT", "FASTWS_MAX_LIFETIME")
        for value in (0, -1, "5", False, float("inf"))
    ],
    *[
        ("fastws.E020", {name: value}, f"{name} = {value!r} is not None or a rate such as '20/s'")
        for name in ("FASTWS_HANDSHAKE_RATE", "FASTWS_HANDSHAKE_RATE_PER_ADDRESS", "FASTWS_MESSAGE_RATE")
        for value in ("", "fast", "0/s", 20, True, [])
    ],
    *[("fastws.E020", {"FASTWS_CLOSE_ON_LOGOUT": value}, "True, False or 'session'") for value in (None, 1, "yes")],
    *[
        ("fastws.W021", {name: 1}, f"There is no setting {name}. Did you mean {meant}?")
        for name, meant in [
            ("FASTWS_MAX_MESAGE_BYTES", "FASTWS_MAX_MESSAGE_BYTES"),
            ("FASTWS_IDLETIMEOUT", "FASTWS_IDLE_TIMEOUT"),
            ("FAST_WS_IDLE_TIMEOUT", "FASTWS_IDLE_TIMEOUT"),
            ("FATSWS_IDLE_TIMEOUT", "FASTWS_IDLE_TIMEOUT"),
            ("DJANGO_FASTWS_IDLE_TIMEOUT", "FASTWS_IDLE_TIMEOUT"),
        ]
    ],
    ("fastws.W021", {"FASTWS_FROBNICATE": 1}, "The settings are FASTWS_ALLOWED_ORIGINS, "),
]


@pytest.mark.parametrize(
    ("id_", "settings", "words"), PROVOKED, ids=[f"{row[0]}-{row[1]!r}"[:70] for row in PROVOKED]
)
def test_a_mistake_in_the_settings_is_found(id_, settings, words):
    messages = found(**settings)
    assert list(messages) == [id_]
    assert words in messages[id_].msg + messages[id_].hint


# Settings that are right, and look like mistakes
ABSENT = [
    ("fastws.W001", {"INSTALLED_APPS": ["daphne", "channels", "django_fastws"]}),
    ("fastws.W002", {"INSTALLED_APPS": ["daphne", "channels", "django_fastws"]}),
    ("fastws.E003", {"INSTALLED_APPS": ["daphne", "django.contrib.staticfiles", "channels", "django_fastws"]}),
    (
        "fastws.E003",
        {
            "INSTALLED_APPS": [
                "django.contrib.contenttypes",
                "django.contrib.auth",
                "daphne",
                "channels",
                "django_fastws",
            ]
        },
    ),
    ("fastws.W004", {"INSTALLED_APPS": ["daphne", "django.contrib.staticfiles", "channels", "django_fastws"]}),
    ("fastws.E005", {}),
    (
        "fastws.W006",
        {"DEBUG": True, "CHANNEL_LAYERS": {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}},
    ),
    ("fastws.W006", {"DEBUG": True, "CHANNEL_LAYERS": {}}),
    ("fastws.W008", {"ALLOWED_HOSTS": ["*"], "FASTWS_ALLOWED_ORIGINS": ["https://example.com"]}),
    ("fastws.W008", {"ALLOWED_HOSTS": [".example.com"]}),
    ("fastws.E020", {"FASTWS_ALLOWED_ORIGINS": None}),
    ("fastws.E020", {"FASTWS_ALLOWED_ORIGINS": ("https://example.com",)}),
    ("fastws.E020", {"FASTWS_ALLOWED_ORIGINS": []}),
    ("fastws.E020", {"FASTWS_CONSUMERS_MODULE": "ws.consumers"}),
    ("fastws.E020", {"FASTWS_PUBLISH_TIMEOUT_SECONDS": 0.5}),
    ("fastws.E020", {"FASTWS_CLIENT_LIBRARY": "websockets"}),
    ("fastws.E020", {"FASTWS_CLIENT_LIBRARY": "picows"}),
    ("fastws.E020", {"FASTWS_SLOW_CONSUMER": "drop_newest"}),
    ("fastws.E020", {"FASTWS_MAX_CONNECTIONS": 1, "FASTWS_IDLE_TIMEOUT": 0.5, "FASTWS_CLOSE_ON_LOGOUT": False}),
    ("fastws.E020", {"FASTWS_CLOSE_ON_LOGOUT": "session", "FASTWS_DRAIN_SECONDS": 0}),
    ("fastws.E020", {"FASTWS_HANDSHAKE_RATE": "5/10s", "FASTWS_MESSAGE_RATE": "100/m burst 20"}),
    ("fastws.E020", {"FASTWS_MAX_LIFETIME": None, "FASTWS_MESSAGE_RATE": None, "FASTWS_MAX_CONNECTIONS": None}),
    *[
        ("fastws.W021", {name: 1})
        for name in ("WS_URL", "NEWS_PER_PAGE", "FAST_CACHE", "AWS_REGION", "VIEWS_IDLE_TIMEOUT")
    ],
    ("fastws.E020", {"FASTWS_ALLOWED_ORIGINS": ["*", "null", "chrome-extension://abc", "https://*.bücher.example"]}),
    ("fastws.W021", {name: SETTINGS[name].default for name in sorted(SETTINGS)}),
]


@pytest.mark.parametrize(("id_", "settings"), ABSENT, ids=[f"{row[0]}-{row[1]!r}"[:70] for row in ABSENT])
def test_what_is_right_is_not_found_fault_with(id_, settings):
    assert id_ not in found(**settings)


@pytest.mark.parametrize("name", ["FASTWS_DRAIN_SECONDS", "FASTWS_DB_THREADS"])
def test_every_setting_of_the_contract_is_known(name):
    assert found(**{name: 5}) == {}


def test_the_default_of_every_setting_is_of_its_kind():
    assert "fastws.E020" not in found(**{name: setting.default for name, setting in SETTINGS.items()})


# The core Redis layer, whose own waiting redis-py 8 cuts short


@pytest.mark.parametrize(
    ("version", "layers", "is_found"),
    [
        ("8.1.0", core(), True),
        ("10.0", core(), True),
        ("8.0.0b1", core(), True),
        ("7.2.0", core(), False),
        ("5.0.1", core(), False),
        ("8.1.0", core(socket_timeout=None), False),
        ("8.1.0", core(address="redis://redis.example?socket_timeout=60"), False),
        ("8.1.0", core(max_connections=5000), True),
        ("8.1.0", {"default": {"BACKEND": "channels_redis.core.RedisChannelLayer"}}, True),
        ("8.1.0", {"default": {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": None}}, True),
        ("8.1.0", {"default": REDIS}, False),
        ("8.1.0", {"default": {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer"}}, False),
    ],
)
def test_the_core_layer_with_redis_pys_defaults(monkeypatch, version, layers, is_found):
    monkeypatch.setattr("redis.__version__", version)
    messages = found(CHANNEL_LAYERS=layers)
    assert list(messages) == (["fastws.W007"] if is_found else [])
    if is_found:
        assert '"socket_timeout": None' in messages["fastws.W007"].hint
        assert "django_fastws.layer.RedisChannelLayer" in messages["fastws.W007"].hint


def test_the_core_layer_with_a_timeout_as_short_as_its_own_waiting(monkeypatch):
    monkeypatch.setattr("redis.__version__", "8.1.0")
    assert "fastws.W007" in found(CHANNEL_LAYERS=core(socket_timeout=5))


@pytest.mark.parametrize("hosts", ["redis://redis.example", None, [], [("redis.example", 6379)], [{"sentinels": []}]])
def test_any_shape_of_hosts_can_be_checked(monkeypatch, hosts):
    monkeypatch.setattr("redis.__version__", "8.1.0")
    layers = {"default": {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": hosts}}}
    assert set(found(CHANNEL_LAYERS=layers)) <= {"fastws.W007"}


def test_the_core_layers_defaults_are_fatal_for_consumer_classes(monkeypatch):
    monkeypatch.setattr("redis.__version__", "8.1.0")
    FastWS().websocket("/x")(AsyncWebsocketConsumer)
    assert list(found(CHANNEL_LAYERS=core())) == ["fastws.E007"]


# Applications that serve no WebSockets

PLAIN = ASGIHandler()
HTTP_ONLY = ProtocolTypeRouter({"http": PLAIN})
STATIC = ASGIStaticFilesHandler(PLAIN)
STATIC_AROUND_OURS = ASGIStaticFilesHandler(get_asgi_application())
COMPOSED = ProtocolTypeRouter({"http": PLAIN, "websocket": PLAIN})


class ServesAll(ASGIHandler):
    """Made from Django's application, and serves what that refuses."""

    async def __call__(self, scope, receive, send):
        """Whatever it is asked."""


OWN = ServesAll()


@pytest.mark.parametrize(
    ("name", "is_found"),
    [
        ("tests.test_checks.PLAIN", True),
        ("tests.test_checks.HTTP_ONLY", True),
        ("tests.test_checks.COMPOSED", False),
        ("tests.test_checks.STATIC", True),
        ("tests.test_checks.STATIC_AROUND_OURS", False),
        ("tests.test_checks.OWN", False),
        ("example_project.asgi.application", False),
        ("tests.site.asgi.application", False),
        ("tests.nowhere.application", False),
        ("no path", False),
    ],
)
def test_an_application_that_serves_no_websockets(name, is_found):
    assert found(ASGI_APPLICATION=name) == {}  # there are no routes
    FastWS().websocket("/x")(one)
    assert list(found(ASGI_APPLICATION=name)) == (["fastws.W009"] if is_found else [])


# Apps before daphne whose runserver is made from daphne's


@pytest.mark.parametrize(
    ("apps_", "is_found"),
    [
        (["tests.site.runserver", "daphne", "channels", "django_fastws"], False),
        (["tests.site.runserver", "daphne", "django.contrib.staticfiles", "channels", "django_fastws"], False),
        (["django.contrib.staticfiles", "tests.site.runserver", "daphne", "channels", "django_fastws"], True),
    ],
)
def test_a_runserver_that_is_made_from_daphnes_may_come_first(apps_, is_found):
    assert list(found(INSTALLED_APPS=apps_)) == (["fastws.E003"] if is_found else [])


# Routes


async def one(ws, room="", other=""): ...


async def two(ws, room="", other=""): ...


def test_duplicate_paths():
    FastWS("/ws").websocket("/{room}")(one)
    FastWS().websocket("/ws/<other>")(two)
    (message,) = found().values()
    assert message.id == "fastws.E010"
    assert message.msg.count("test_checks.py:") == 2
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
    assert "test_checks.py:" in message.msg
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
    assert message.msg.count("test_checks.py:") == 2


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


def test_the_checks_do_not_need_app_configs():
    configs = [apps.get_app_config("django_fastws")]
    for check in our_checks.all_checks:
        assert check() == check(app_configs=configs, databases=["default"])


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
        assert "test_checks.one" in without["fastws.E040"].msg


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
