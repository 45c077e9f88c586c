"""Clients of redis-py for what is no message: leases on a cluster, and what its nodes evict."""

from __future__ import annotations

import asyncio
import signal

import pytest
import redis

from django_fastws._core.slots import slot_of
from django_fastws.clients.lease import Lease
from django_fastws.layer import evicting_policy, get_broker, has_redis, redis_client, redis_prefix
from tests.site.client import LIMIT, token

pytestmark = [pytest.mark.redis, pytest.mark.slow]

SECONDS = 2.0


@pytest.fixture(params=["URL", "parts"])
def configured(request, settings, redis_cluster):
    first = redis_cluster.nodes[0]
    cluster = redis_cluster.url if request.param == "URL" else {"host": "127.0.0.1", "port": first.port}
    config = {"cluster": cluster, "prefix": token()}
    layer = {"BACKEND": "django_fastws.layer.RedisChannelLayer", "CONFIG": config}
    settings.CHANNEL_LAYERS = {"default": layer}


@pytest.mark.usefixtures("configured")
async def test_leases_are_at_the_nodes_that_have_their_keys(redis_cluster):
    assert has_redis()
    assert len(get_broker().redis_hosts) == 1
    client = redis_client()
    names = [token() for _ in range(8)]
    leases = [Lease(client, name, SECONDS, redis_prefix()) for name in names]
    async with asyncio.timeout(LIMIT):
        await asyncio.gather(*(lease.acquire() for lease in leases))
    assert all(lease.is_valid() for lease in leases)
    assert len({redis_cluster.owner(name) for name in names}) > 1
    for name in names:
        with redis.Redis.from_url(redis_cluster.owner(name).url) as direct:
            assert direct.exists(f"{redis_prefix()}:lease:{{{name}}}")
    other = Lease(client, names[0], SECONDS, redis_prefix())
    taking = asyncio.ensure_future(other.acquire())
    await asyncio.sleep(0.1)
    assert not taking.done()
    await leases[0].release()
    async with asyncio.timeout(LIMIT):
        await taking
    await asyncio.gather(*(lease.release() for lease in [*leases[1:], other]))
    await client.aclose(close_connection_pool=True)


@pytest.mark.faults
async def test_a_lease_is_kept_while_its_slot_moves_and_while_another_node_is_away(settings, own_cluster):
    config = {"cluster": own_cluster.url}
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "django_fastws.layer.RedisChannelLayer", "CONFIG": config}}
    source, target, away = own_cluster.nodes
    name = next(name for name in iter(token, None) if own_cluster.owner(name) is source)
    client = redis_client()
    lease = Lease(client, name, SECONDS, redis_prefix())
    async with asyncio.timeout(LIMIT):
        await lease.acquire()
    held = lease.token
    await asyncio.to_thread(own_cluster.move, slot_of(name.encode()), source, target)
    away.stop(signal.SIGKILL)
    for _ in range(15):
        await asyncio.sleep(SECONDS / 10)
        assert lease.is_valid()
        assert lease.token == held
    await lease.release()
    await client.aclose(close_connection_pool=True)


@pytest.mark.usefixtures("configured")
def test_a_node_that_evicts_is_found(redis_cluster):
    assert evicting_policy() is None
    node = redis_cluster.nodes[2]
    node.ask("CONFIG", "SET", "maxmemory", "100mb")
    node.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    try:
        assert evicting_policy() == "allkeys-lru"
    finally:
        node.ask("CONFIG", "SET", "maxmemory", "0")
        node.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")
