"""Checks of the settings' values: for each, what provokes it and what looks like it and is right."""

import pytest

from django_fastws.conf import SETTINGS
from tests.checks.messages import found

pytestmark = pytest.mark.usefixtures("routes")

LONG = "x" * 32


def keys(**about):
    """The setting with one key of HTTP publish, that is right but for this."""
    return {"FASTWS_PUBLISH_KEYS": {"shop": {"secret": LONG, "rooms": ["orders/*"], **about}}}


# (id, settings that provoke it, words of its message or hint)
PROVOKED = [
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
    ("fastws.E020", {"FASTWS_PUBLISH_KEYS": []}, "FASTWS_PUBLISH_KEYS is not a dict of keys such as {'shop': "),
    ("fastws.E020", keys(secret=""), "['shop']['secret'] is empty"),
    ("fastws.E020", keys(rooms="orders/*"), "['shop']['rooms'] is no list of names of rooms"),
    ("fastws.E020", keys(room=["orders/*"]), "['shop'] has 'room'"),
    ("fastws.E020", {"FASTWS_PUBLISH_KEYS": {"my shop": {"secret": LONG}}}, "'my shop' is no id"),
    ("fastws.W070", keys(secret="x" * 31), "can be guessed: it has 31 bytes."),
    ("fastws.W070", keys(secret=[LONG, "old", b"x" * 16]), "can be guessed: it has 3 bytes."),
    ("fastws.W071", keys(rooms=[]), "The key 'shop' in FASTWS_PUBLISH_KEYS may publish to no room."),
    ("fastws.W071", keys(rooms=[""]), "may publish to no room."),
    *[
        ("fastws.W072", keys(rooms=["news", room]), f"may publish to {room!r}, the room of this very name.")
        for room in ("orders/{pk}", "orders/?", "orders/[0-9]*")
    ],
    ("fastws.W071", {"FASTWS_PUBLISH_KEYS": {"shop": {"secret": LONG}}}, "may publish to no room."),
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
    ("fastws.W070", keys(secret=[LONG, b"x" * 40])),
    ("fastws.W071", keys(rooms=("*",))),
    ("fastws.W072", keys(rooms=["orders/*/items", "größe (1)", "a.b", "*"])),
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


def test_a_secret_is_in_no_message():
    for about in ({"secret": "hush"}, {"secret": "hush", "rooms": 5}, {"secret": {"hush": 1}}):
        messages = found(**keys(**about)).values()
        assert messages
        assert not [message for message in messages if "hush" in f"{message.msg} {message.hint}"]


def test_the_default_of_every_setting_is_of_its_kind():
    assert "fastws.E020" not in found(**{name: setting.default for name, setting in SETTINGS.items()})
