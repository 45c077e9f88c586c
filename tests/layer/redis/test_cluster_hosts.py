"""Options of a cluster: what is taken, what is refused and how, and how each node is connected to."""

from __future__ import annotations

import pytest

from django_fastws._core.slots import Node
from django_fastws.layer import RedisChannelLayer
from django_fastws.layer.redis.cluster_hosts import ClusterHosts, check_cluster
from django_fastws.layer.redis.hosts import describe
from tests.support.ids import shown

A, B = Node("a.example", 6379), Node("2001:db8::1", 7001)


@pytest.mark.parametrize(
    ("cluster", "seeds"),
    [
        ("redis://a.example", [A]),
        ("rediss://user:secret@a.example:6380", [Node("a.example", 6380)]),
        ({"address": "redis://a.example:7000/0"}, [Node("a.example", 7000)]),
        ({"host": "a.example", "password": "secret"}, [A]),
        (["redis://a.example", {"host": "2001:db8::1", "port": 7001}], [A, B]),
        ("redis://[2001:db8::1]:7001", [B]),
        ("redis://", [Node("localhost", 6379)]),
    ],
    ids=shown,
)
def test_the_nodes_that_are_asked_first(cluster, seeds):
    check_cluster({"cluster": cluster})
    assert ClusterHosts(cluster, {}).seeds == seeds


def test_every_node_is_connected_to_as_the_first_one():
    hosts = ClusterHosts(
        ["rediss://user:s%40x@a.example:6380/0?ssl_cert_reqs=none", "redis://b"], {"max_connections": 5}
    )
    assert hosts.host(B) == {
        "address": "rediss://user:s%40x@[2001:db8::1]:7001/0?ssl_cert_reqs=none",
        "max_connections": 5,
    }
    assert describe(hosts.host(A)) == "a.example:6379"
    hosts = ClusterHosts({"host": "a.example", "password": "secret", "max_connections": 9}, {"max_connections": 5})
    assert hosts.host(B) == {"host": B.host, "port": 7001, "password": "secret", "max_connections": 9}


def test_whoever_was_found_may_be_asked_too():
    hosts = ClusterHosts(["redis://a.example"], {})
    assert hosts.to_ask([]) == [A]
    hosts.found([B, A])
    assert hosts.to_ask([]) == [B, A]
    assert hosts.to_ask([A]) == [A, B]


WRONG = [
    ({"cluster": "redis://a", "hosts": ["redis://b"]}, "either hosts, .* or a cluster"),
    ({"cluster": []}, "names no node"),
    ({"cluster": ""}, "names no node"),
    ({"cluster": "a.example:6379"}, "redis://10.0.0.1:6379"),
    ({"cluster": "http://a.example"}, "redis://10.0.0.1:6379"),
    ({"cluster": "unix:///run/redis.sock"}, "redis://10.0.0.1:6379"),
    ({"cluster": {"path": "/run/redis.sock"}}, "redis://10.0.0.1:6379"),
    ({"cluster": 6379}, "not 6379"),
    ({"cluster": "redis://a:port"}, "no port of a node"),
    ({"cluster": "redis://a:99999"}, "no port of a node"),
    ({"cluster": "redis://a/1"}, "no database but 0"),
    ({"cluster": "redis://a?db=1"}, "no database but 0"),
    ({"cluster": {"host": "a", "db": 1}}, "no database but 0"),
    ({"cluster": {"master_name": "main", "sentinels": [("a", 26379)]}}, "no Sentinels"),
    ({"cluster": "redis://a", "prefix": "{shop}"}, "has a brace"),
    ({"cluster": "redis://a", "sharded_pubsub": "no"}, "True, False or None"),
    ({"hosts": ["redis://a"], "sharded_pubsub": True}, "name a cluster"),
]


@pytest.mark.parametrize(("config", "error"), WRONG, ids=shown)
def test_what_is_wrong_is_refused_with_its_remedy(config, error):
    with pytest.raises(ValueError, match=error):
        check_cluster(config)
    with pytest.raises(ValueError, match=error):
        RedisChannelLayer(**config)


def test_no_password_is_in_an_error():
    with pytest.raises(ValueError, match=r"not 'http://a'") as error:
        check_cluster({"cluster": "http://user:secret@a"})
    assert "secret" not in str(error.value)
