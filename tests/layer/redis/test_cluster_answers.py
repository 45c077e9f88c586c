"""What nodes of a cluster say of it, and what is none."""

from __future__ import annotations

import pytest
import redis
from channels.layers import get_channel_layer

from django_fastws import WebSocketConnectionError
from django_fastws._core.resp import ErrorReply
from django_fastws._core.slots import Node
from django_fastws.layer import check_layer, get_broker
from django_fastws.layer.redis.cluster_answers import NotAClusterError, ask, decode_answers
from django_fastws.layer.redis.cluster_hosts import ClusterHosts
from tests.contract.subscriber import hello
from tests.site.client import LIMIT
from tests.support.ids import shown
from tests.support.processes import HOST, free_port

ASKED = Node("asked", 1)
SLOTS = [[0, 16383, [b"a", 1, b"id"]]]


@pytest.mark.parametrize(
    ("spublish", "has_sharded"),
    [([[b"spublish", 3]], True), ([None], False), ([[]], False), (ErrorReply("NOPERM"), False)],
    ids=shown,
)
def test_who_has_what_and_whether_there_are_sharded_channels(spublish, has_sharded):
    answers = decode_answers([SLOTS, spublish], ASKED)
    assert set(answers.owners) == {Node("a", 1)}
    assert answers.has_sharded is has_sharded


@pytest.mark.parametrize("text", ["ERR This instance has cluster support disabled", "ERR unknown command 'CLUSTER'"])
def test_a_redis_that_is_no_node_says_so(text):
    with pytest.raises(NotAClusterError, match=r"asked:1 is no node of a Redis Cluster .* name it in hosts"):
        decode_answers([ErrorReply(text), [None]], ASKED)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (ErrorReply("LOADING Redis is loading"), "does not say who has which slot: LOADING"),
        (ErrorReply("NOPERM this user has no permissions"), "does not say who has which slot: NOPERM"),
        ([], "not made yet"),
        (b"OK", "is no Redis"),
    ],
    ids=shown,
)
def test_a_node_that_does_not_say_it_yet(reply, error):
    with pytest.raises(ConnectionError, match=error) as raised:
        decode_answers([reply, [None]], ASKED)
    assert not isinstance(raised.value, NotAClusterError)


@pytest.mark.redis
async def test_a_node_is_asked_over_a_connection_of_its_own(redis_cluster):
    hosts = ClusterHosts(redis_cluster.url, {})
    answers = await ask(hosts.host(hosts.seeds[0]), hosts.seeds[0], LIMIT)
    assert {node.port for node in set(answers.owners) if node} == {node.port for node in redis_cluster.nodes}
    assert answers.has_sharded == redis_cluster.has_sharded
    with pytest.raises((OSError, redis.ConnectionError), match=r"."):
        await ask({"host": HOST, "port": free_port()}, ASKED, LIMIT)


@pytest.mark.redis
async def test_a_layer_whose_redis_is_no_cluster_says_so_at_once(settings, redis_server):
    layer = {"BACKEND": "django_fastws.layer.RedisChannelLayer", "CONFIG": {"cluster": redis_server.url}}
    settings.CHANNEL_LAYERS = {"default": layer}
    settings.FASTWS_PUBLISH_RETRY_SECONDS = 60
    for call in (get_broker().apublish(hello("a", "hi")), check_layer(30)):
        with pytest.raises(WebSocketConnectionError, match=r"is no node of a Redis Cluster .*name it in hosts"):
            await call
    await get_channel_layer().flush()
