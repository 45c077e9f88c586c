"""The broker over Redis' publish and subscribe: what it knows of its layer without asking Redis."""

import asyncio

import pytest

from django_fastws import History, Latest, WebSocketConnectionError
from django_fastws._core.history_checks import encode_history_check
from django_fastws._core.history_page import PageQuery
from django_fastws.layer import RedisChannelLayer
from django_fastws.layer.outages import outage_of
from django_fastws.layer.redis.pubsub import RedisBroker
from tests.support.envelopes import holding
from tests.support.processes import free_port


@pytest.fixture
def layer(settings):
    """A layer whose Redis is not there."""
    settings.FASTWS_PUBLISH_RETRY_SECONDS = 0
    return RedisChannelLayer(hosts=[f"redis://127.0.0.1:{free_port()}"], prefix="p")


def test_the_hosts_and_the_prefix_are_those_of_the_layer(layer):
    broker = RedisBroker(layer)
    assert broker.redis_hosts == layer.hosts
    assert broker.redis_prefix == "p"


def test_the_status_is_that_of_the_layers_outage_and_asks_nobody(layer):
    broker, server = RedisBroker(layer), outage_of(layer).server("redis")
    assert broker.status.is_reachable
    server.report_lost("one", OSError("gone"))
    server.report_lost("other", OSError("gone too"))
    assert (broker.status.is_reachable, broker.status.error) == (False, "gone")
    server.report_restored("one")
    assert not broker.status.is_reachable
    server.report_restored("other")
    assert broker.status.is_reachable


async def test_what_cannot_be_published_is_our_error_and_the_layer_is_lost(layer):
    broker = RedisBroker(layer)
    for call in (broker.apublish(holding("g", 1)), asyncio.to_thread(broker.publish, holding("g", 1))):
        with pytest.raises(WebSocketConnectionError, match="cannot broadcast"):
            await call
    kept, query, check = History(), PageQuery(limit=0), encode_history_check("g")
    for call, said in (
        (broker.aread_history("g", kept, query), "cannot read the history: "),
        (asyncio.to_thread(broker.read_history, "g", kept, query), "cannot read the history: "),
        (broker.aclear_history(check, kept), "cannot clear the history: "),
        (asyncio.to_thread(broker.clear_history, check, kept), "cannot clear the history: "),
        (broker.aread_latest("g", Latest()), "cannot read the values of a keyed room: "),
    ):
        with pytest.raises(WebSocketConnectionError, match=said) as raised:
            await call
        assert raised.value.__cause__ is not None
    assert not broker.status.is_reachable
    await layer.flush()
