"""Checks of presence: for each, what provokes it and what looks like it and is right."""

import pytest
from django.core import checks
from django.test import override_settings

from django_fastws import FastWS, Presence
from tests.checks.messages import RIGHT, core, found

pytestmark = pytest.mark.usefixtures("routes")


@pytest.mark.parametrize(
    ("layers", "backend"),
    [
        (core(socket_timeout=None), "channels_redis.core.RedisChannelLayer"),
        ({"default": {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer"}}, "channels_redis.pubsub"),
    ],
    ids=["core", "pubsub"],
)
def test_presence_on_a_layer_that_keeps_none(layers, backend):
    FastWS().room("lobby")
    assert found(CHANNEL_LAYERS=layers) == {}
    FastWS().room("tickets/{pk:int}", presence=True)
    (message,) = found(CHANNEL_LAYERS=layers).values()
    assert message.id == "fastws.W057"
    assert backend in message.msg
    assert "'tickets/{pk:int}' in " in message.msg
    assert "django_fastws.layer.RedisChannelLayer" in message.hint


def test_a_layer_that_counts_is_one_that_keeps_presence():
    FastWS().room("hall", presence=Presence(counts_only=True))
    assert list(found(CHANNEL_LAYERS=core(socket_timeout=None))) == ["fastws.W057"]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"DEBUG": True, "CHANNEL_LAYERS": {}},
        {"DEBUG": True, "CHANNEL_LAYERS": {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}},
    ],
    ids=["redis", "none", "memory"],
)
def test_presence_where_it_is_kept(settings):
    FastWS().room("tickets/{pk:int}", presence=True)
    assert found(**settings) == {}


def test_a_layer_that_cannot_be_made_is_not_the_business_of_this_check():
    FastWS().room("tickets/{pk:int}", presence=True)
    layers = {"default": {"BACKEND": "django_fastws.layer.RedisChannelLayer", "CONFIG": {"unknown": 1}}}
    assert "fastws.W057" not in found(CHANNEL_LAYERS=layers)


# (settings, which of them the message has, words of it)
CONTRADICTIONS = [
    (
        {"FASTWS_PRESENCE_GRACE_SECONDS": 90},
        ["FASTWS_PRESENCE_RETURN_SECONDS = 60", "FASTWS_PRESENCE_GRACE_SECONDS = 90"],
    ),
    (
        {"FASTWS_PRESENCE_RETURN_SECONDS": 0},
        ["FASTWS_PRESENCE_RETURN_SECONDS = 0", "FASTWS_PRESENCE_GRACE_SECONDS = 10"],
    ),
    ({"FASTWS_PRESENCE_RETURN_SECONDS": 20}, ["FASTWS_DRAIN_SECONDS = 20"]),
    ({"FASTWS_PRESENCE_LEASE_SECONDS": 10}, ["FASTWS_PRESENCE_LEASE_SECONDS", "FASTWS_PUBLISH_TIMEOUT_SECONDS = 10"]),
    ({"FASTWS_PRESENCE_LEASE_SECONDS": 0.5}, ["FASTWS_PRESENCE_LEASE_SECONDS = 0.5"]),
]


@pytest.mark.parametrize(("settings", "words"), CONTRADICTIONS, ids=[str(row[0]) for row in CONTRADICTIONS])
def test_settings_that_contradict_one_another(settings, words):
    (message,) = found(**settings).values()
    assert message.id == "fastws.W058"
    assert all(word in message.msg for word in words)
    (name,) = settings
    assert "FASTWS_PRESENCE_" in message.hint or name in message.hint


def test_each_contradiction_is_told():
    with override_settings(**RIGHT, FASTWS_PRESENCE_GRACE_SECONDS=90, FASTWS_PRESENCE_LEASE_SECONDS=1):
        assert [one.id for one in checks.run_checks(tags=["fastws"])] == ["fastws.W058", "fastws.W058"]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"FASTWS_PRESENCE_GRACE_SECONDS": 0, "FASTWS_PRESENCE_RETURN_SECONDS": 21},
        {"FASTWS_PRESENCE_GRACE_SECONDS": 60},
        {"FASTWS_PRESENCE_RETURN_SECONDS": 30, "FASTWS_DRAIN_SECONDS": 5},
        {"FASTWS_PRESENCE_LEASE_SECONDS": 2, "FASTWS_PUBLISH_TIMEOUT_SECONDS": 1},
        {"FASTWS_PRESENCE_DIFF_SECONDS": 0},
    ],
    ids=str,
)
def test_settings_that_agree(settings):
    FastWS().room("tickets/{pk:int}", presence=True)
    assert found(**settings) == {}


def test_settings_of_others_are_not_compared_where_there_is_no_presence():
    assert found(FASTWS_DRAIN_SECONDS=120) == {}
    FastWS().room("tickets/{pk:int}", presence=True)
    assert list(found(FASTWS_DRAIN_SECONDS=120)) == ["fastws.W058"]


def test_what_is_no_number_is_told_as_that_alone():
    assert list(found(FASTWS_PRESENCE_GRACE_SECONDS="ten")) == ["fastws.E020"]
