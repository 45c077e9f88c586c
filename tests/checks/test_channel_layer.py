"""Checks of the channel layer: for each, what provokes it and what looks like it and is right."""

import pytest
from channels.generic.websocket import AsyncWebsocketConsumer

from django_fastws import FastWS
from tests.checks.messages import REDIS, core, found

pytestmark = pytest.mark.usefixtures("routes")


def ours(**config):
    return {"default": {"BACKEND": "django_fastws.layer.RedisChannelLayer", "CONFIG": config}}


# (id, settings that provoke it, words of its message or hint)
PROVOKED = [
    (
        "fastws.W006",
        {"CHANNEL_LAYERS": {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}},
        "the in-memory layer",
    ),
    ("fastws.W006", {"CHANNEL_LAYERS": {}}, "no default layer"),
    ("fastws.W006", {"CHANNEL_LAYERS": None}, "no default layer"),
    ("fastws.E035", {"CHANNEL_LAYERS": ours(cluster="redis://a", hosts=["redis://b"])}, "either hosts, "),
    ("fastws.E035", {"CHANNEL_LAYERS": ours(cluster="unix:///run/redis.sock")}, "redis://10.0.0.1:6379"),
    ("fastws.E035", {"CHANNEL_LAYERS": ours(cluster="redis://a/3")}, "no database but 0"),
    ("fastws.E035", {"CHANNEL_LAYERS": ours(hosts="redis://a")}, "is a list"),
    ("fastws.W036", {"CHANNEL_LAYERS": ours(clusters="redis://a")}, "Is it 'cluster'?"),
    ("fastws.W036", {"CHANNEL_LAYERS": ours(hosts=["redis://a"], db=3)}, "It reads hosts, cluster, "),
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
    (
        "fastws.W006",
        {"DEBUG": True, "CHANNEL_LAYERS": {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}},
    ),
    ("fastws.W006", {"DEBUG": True, "CHANNEL_LAYERS": {}}),
    ("fastws.E035", {"CHANNEL_LAYERS": ours(cluster=["rediss://user:secret@a:7000/0", "redis://b"])}),
    ("fastws.E035", {"CHANNEL_LAYERS": ours(hosts=["redis://a"])}),
    ("fastws.W036", {"CHANNEL_LAYERS": ours(hosts=["redis://a"], capacity=9, expiry=9, group_expiry=9, prefix="a")}),
    ("fastws.E035", {"CHANNEL_LAYERS": {"default": {"BACKEND": "django_fastws.layer.RedisChannelLayer"}}}),
]


@pytest.mark.parametrize(("id_", "settings"), ABSENT, ids=[f"{row[0]}-{row[1]!r}"[:70] for row in ABSENT])
def test_what_is_right_is_not_found_fault_with(id_, settings):
    assert id_ not in found(**settings)


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
