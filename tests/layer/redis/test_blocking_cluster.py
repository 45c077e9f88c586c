"""Threads that publish to a cluster: which node they find, also when slots move and nodes are away."""

from __future__ import annotations

import signal
import threading
import time

import pytest
from channels.layers import get_channel_layer

from django_fastws import History, Room, WebSocketConnectionError
from django_fastws._core.envelope import BROADCAST, Envelope
from django_fastws._core.history_page import PageQuery
from django_fastws._core.slots import slot_of
from django_fastws.layer import get_broker, layer_status
from tests.site.client import token
from tests.support.clusters import RedisCluster
from tests.support.processes import HOST, free_port

pytestmark = [pytest.mark.redis, pytest.mark.slow]

HISTORY = History(messages=1000)


@pytest.fixture(autouse=True)
def closed(settings):
    yield
    if blocking := getattr(get_channel_layer(), "blocking", None):
        blocking.close()


def event(group, data, **more):
    return Envelope(BROADCAST, group, data, history=HISTORY, **more)


def stored(group):
    page = get_broker().read_history(group, HISTORY, PageQuery())
    return [one.envelope.data for one in page.stored], page.epoch


def test_a_slot_moves_between_two_broadcasts_and_while_it_is_on_its_way(on_cluster, redis_cluster):
    on_cluster(redis_cluster)
    group, broker = token(), get_broker()
    slot = slot_of(group.encode())
    broker.publish(event(group, "0"))
    epoch = stored(group)[1]
    for turn in range(1, 4):
        source = redis_cluster.owner_of_slot(slot)
        target = redis_cluster.others(source)[0]
        redis_cluster.begin_move(slot, source, target)
        broker.publish(event(group, f"{turn} begun"))
        redis_cluster.move_keys(redis_cluster.keys(slot, source), source, target)
        broker.publish(event(group, f"{turn} asked"))
        redis_cluster.end_move(slot, source, target)
        broker.publish(event(group, f"{turn} moved"))
    texts = ["0", *(f"{turn} {what}" for turn in range(1, 4) for what in ("begun", "asked", "moved"))]
    assert stored(group) == (texts, epoch)


def test_what_needs_all_keys_waits_until_they_are_together(on_cluster, redis_cluster):
    on_cluster(redis_cluster)
    group, broker = token(), get_broker()
    slot = slot_of(group.encode())
    broker.publish(event(group, "first"))
    source = redis_cluster.owner_of_slot(slot)
    target = redis_cluster.others(source)[0]
    redis_cluster.begin_move(slot, source, target)
    meta, stream = sorted(redis_cluster.keys(slot, source))
    redis_cluster.move_keys([stream], source, target)
    publishing = threading.Thread(target=broker.publish, args=[event(group, "second", idempotency_key="once")])
    publishing.start()
    time.sleep(0.1)
    assert publishing.is_alive()
    redis_cluster.move_keys([meta], source, target)
    redis_cluster.end_move(slot, source, target)
    publishing.join()
    broker.publish(event(group, "again", idempotency_key="once"))
    assert stored(group)[0] == ["first", "second"]


@pytest.mark.faults
def test_a_process_of_threads_alone_finds_the_heir_of_a_node(on_cluster, settings):
    settings.FASTWS_PUBLISH_RETRY_SECONDS = settings.FASTWS_PUBLISH_TIMEOUT_SECONDS = 60
    with RedisCluster(replicas=1) as cluster:
        on_cluster(cluster, cluster=[node.url for node in cluster.nodes])
        gone, _, _, heir = cluster.nodes
        name = next(name for name in iter(token, None) if cluster.owner(f"fastws.n.{name}") is gone)
        room = Room(name)
        room.broadcast("before")
        gone.stop(signal.SIGKILL)
        room.broadcast("held")
        assert cluster.owner(f"fastws.n.{name}") is heir
        assert layer_status().is_reachable


def test_a_cluster_that_is_out_of_reach_or_none_says_so(on_cluster, settings, redis_server, redis_cluster):
    settings.FASTWS_PUBLISH_RETRY_SECONDS = settings.FASTWS_PUBLISH_TIMEOUT_SECONDS = 0.2
    on_cluster(redis_cluster, cluster=f"redis://{HOST}:{free_port()}")
    with pytest.raises(WebSocketConnectionError, match="out of reach"):
        Room("a").broadcast("x")
    assert not layer_status().is_reachable
    on_cluster(redis_cluster, cluster=redis_server.url)
    with pytest.raises(WebSocketConnectionError, match="out of reach"):
        Room("a").broadcast("x")
    assert "no node of a Redis Cluster" in layer_status().error
