"""Only one of many: the lease of a route in a real Redis."""

from __future__ import annotations

import asyncio
import signal
import time
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import MovedError

from django_fastws import WebSocketDisconnect
from django_fastws.checks import check_eviction
from django_fastws.clients import lease as lease_module
from django_fastws.clients.lease import Lease, LeaseLost
from django_fastws.clients.lease_clock import now
from tests.clients.handlers import by_async_for
from tests.support.processes import RedisServer, free_port, stopped

from .conftest import running
from .peers import PATIENCE, closing, listen, soon

pytestmark = pytest.mark.redis

SECONDS = 1.0


@pytest.fixture
async def redis(redis_server):
    """A client of the Redis that all tests share."""
    async with Redis.from_url(redis_server.url) as client:
        await old_enough(client)
        yield client


async def old_enough(client):
    """Wait until a Redis that has just started gives leases."""
    left = SECONDS + 1.1 - (await client.info("server"))["uptime_in_seconds"]
    if left > 0:
        await asyncio.sleep(left)


@pytest.fixture
def key(request):
    """The name of a route that no other test has."""
    return f"{request.node.nodeid} {time.time()}"


@pytest.fixture
def names(key):
    """What Redis has of it: who holds the lease, and the token."""
    return f"asgi:lease:{{{key}}}", f"asgi:lease:{{{key}}}:token"


class Holder:
    """The Redis of one process, which is in its way.

    Attributes:
        name: by which the process holds a lease, once it has asked for one.
        is_cut: whether nothing gets to Redis.
        loses: how many answers are lost on their way.
        hides: whether a call that is cancelled fails instead, as happens inside of redis-py under load.
        asks: set at each call.
    """

    def __init__(self, redis):
        self._redis = redis
        self.name = None
        self.is_cut = False
        self.loses = 0
        self.hides = False
        self.asks = asyncio.Event()

    async def eval(self, script, count, *values):
        self.name = values[count]
        self.asks.set()
        if self.hides:
            try:
                await asyncio.sleep(SECONDS / 4)
            except asyncio.CancelledError:
                raise RedisConnectionError("hidden") from None
        if self.is_cut:
            raise RedisConnectionError("cut")
        answer = await self._redis.eval(script, count, *values)
        if self.loses:
            self.loses -= 1
            raise RedisConnectionError("lost")
        return answer


@pytest.fixture
async def holder(redis):
    return Holder(redis)


@pytest.fixture
def ahead(monkeypatch):
    """Set the clock of leases forward: ``ahead(60)``."""
    return lambda seconds: monkeypatch.setattr(lease_module, "now", lambda: now() + seconds)


@pytest.fixture
async def lease(redis, key):
    """Make leases of one route, each as a process of its own has it."""
    leases = []

    def make(seconds=SECONDS, client=redis):
        leases.append(Lease(client, key, seconds))
        return leases[-1]

    yield make
    for made in leases:
        await made.release()


# The lease itself


async def test_the_first_gets_it_and_tokens_grow(lease):
    tokens = []
    for _ in range(3):
        one = lease()
        await one.acquire()
        assert one.is_valid()
        tokens.append(one.token)
        await one.release()
        assert (one.is_valid(), one.token) == (False, None)
    assert tokens == sorted(set(tokens))


async def test_tokens_grow_also_when_redis_has_forgotten_them(lease, redis, names):
    one, two = lease(), lease()
    await one.acquire()
    token = one.token
    await one.release()
    await redis.delete(names[1])
    await asyncio.sleep(1)  # no more than one holder a second
    await two.acquire()
    assert two.token > token


async def test_another_waits_until_it_is_given_back(lease, log):
    one, two = lease(), lease()
    await one.acquire()
    first = one.token
    waiting = asyncio.create_task(two.acquire())
    await soon(lambda: log.starting("Waiting for the lease of "))
    assert (waiting.done(), two.is_valid()) == (False, False)
    await one.release()
    await asyncio.wait_for(waiting, PATIENCE)
    assert two.is_valid()
    assert two.token > first


async def test_it_is_renewed_as_long_as_its_holder_lives(lease):
    one, two = lease(), lease()
    await one.acquire()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(two.acquire(), SECONDS * 1.6)
    one.check()


async def test_acquiring_what_one_has_changes_nothing(lease):
    one = lease()
    await one.acquire()
    token = one.token
    await one.acquire()
    assert one.token == token


async def test_it_expires_when_nobody_renews_it(lease, holder):
    one, two = lease(client=holder), lease()
    await one.acquire()
    holder.is_cut = True
    await asyncio.wait_for(two.acquire(), PATIENCE)
    assert not one.is_valid()
    with pytest.raises(LeaseLost) as lost:
        one.check()
    assert isinstance(lost.value, WebSocketDisconnect)
    assert str(lost.value) == "the connection is closed (1006 the lease was lost)"


async def test_its_holder_stops_believing_in_it_before_redis_gives_it_to_another(lease, redis, names, holder, ahead):
    one = lease(60, holder)
    await one.release()
    await redis.set(names[0], holder.name)  # or a Redis that has just started would give none
    await one.acquire()
    assert one.is_valid()
    ahead(await redis.pttl(names[0]) / 1000 - 1)
    assert not one.is_valid()


async def test_who_has_lost_it_does_not_give_back_anothers(lease, holder):
    one, two = lease(client=holder), lease()
    await one.acquire()
    holder.is_cut = True
    await asyncio.wait_for(two.acquire(), PATIENCE)
    holder.is_cut = False
    await one.release()
    await asyncio.sleep(0)
    assert two.is_valid()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(lease().acquire(), SECONDS / 2)


async def test_an_answer_that_is_lost_costs_no_waiting(lease, redis, names, holder):
    """Redis has given the lease, and the holder has not heard of it: it asks again, and has it."""
    one, holder.loses = lease(client=holder), 1
    await asyncio.wait_for(one.acquire(), PATIENCE)
    assert (one.is_valid(), holder.loses) == (True, 0)
    assert (await redis.get(names[0])).decode() == holder.name


async def test_giving_up_while_asking_leaves_no_lease_behind(lease, redis, names, holder):
    one, holder.loses = lease(client=holder), 1000
    asking = asyncio.create_task(one.acquire())
    async with asyncio.timeout(PATIENCE):
        while not await redis.exists(names[0]):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    asking.cancel()
    await asyncio.wait([asking])
    await one.release()
    assert not await redis.exists(names[0])


@pytest.mark.parametrize("is_renewed", [False, True], ids=["acquire", "renew"])
async def test_a_cancellation_that_the_client_hides_ends_what_is_asked_for(lease, holder, is_renewed):
    one = lease(client=holder)
    if is_renewed:
        await one.acquire()
    holder.hides = True
    holder.asks.clear()
    asking = None if is_renewed else asyncio.create_task(one.acquire())
    await asyncio.wait_for(holder.asks.wait(), PATIENCE)
    if asking is None:
        asking = asyncio.create_task(one.release())
    else:
        asking.cancel()
    done, _ = await asyncio.wait([asking], timeout=PATIENCE)
    holder.hides = False
    assert done
    assert asking.cancelled() is not is_renewed


async def test_a_lease_that_redis_has_forgotten_is_kept_by_its_holder(lease, redis, names, holder):
    one = lease(client=holder)
    await one.acquire()
    await redis.delete(names[0])
    await asyncio.sleep(SECONDS / 2)
    assert one.is_valid()
    assert (await redis.get(names[0])).decode() == holder.name


async def test_a_lease_that_redis_has_forgotten_is_not_given_to_another_before_its_time(lease, redis, names, holder):
    """Its holder cannot renew it: nobody knows whether it lives."""
    one, two = lease(client=holder), lease()
    await one.acquire()
    holder.is_cut = True
    await redis.delete(names[0])
    await asyncio.wait_for(two.acquire(), PATIENCE)
    assert not one.is_valid()


async def test_a_redis_that_has_forgotten_all_gives_no_lease_whose_holder_lives(lease, redis, names):
    one, two = lease(), lease()
    await one.acquire()
    asking = asyncio.create_task(two.acquire())
    for _ in range(3):
        await redis.delete(*names)
        await asyncio.sleep(SECONDS / 3)
    assert (one.is_valid(), asking.done()) == (True, False)
    asking.cancel()


async def test_a_lease_that_another_had_meanwhile_is_not_renewed(lease, redis, names):
    """A failover to a replica that had not heard of the first holder."""
    one, two = lease(), lease()
    await one.acquire()
    await redis.delete(*names)
    await redis.hset(names[1], mapping={"token": one.token - 1, "until": 0})
    await two.acquire()
    await two.release()
    await soon(lambda: not one.is_valid())
    assert one.token is None


async def test_tokens_do_not_repeat_after_a_failover_to_a_replica_that_lags(lease, redis, names):
    one, two = lease(), lease()
    await one.acquire()
    before = await redis.dump(names[1])
    token = one.token
    await one.release()
    await two.acquire()
    newest = two.token
    await two.release()
    await redis.restore(names[1], 0, before, replace=True)  # the replica never heard of the second
    await redis.hset(names[1], "until", 0)
    three = lease()
    await three.acquire()
    assert token < newest < three.token


async def test_two_installations_with_prefixes_of_their_own_do_not_meet(redis, key):
    one, two = Lease(redis, key, SECONDS, "production"), Lease(redis, key, SECONDS, "staging")
    await asyncio.wait_for(asyncio.gather(one.acquire(), two.acquire()), PATIENCE)
    assert await redis.exists(f"production:lease:{{{key}}}", f"staging:lease:{{{key}}}") == 2
    await asyncio.gather(one.release(), two.release())


async def test_a_redis_user_that_may_touch_the_prefix_alone_suffices(redis, redis_server, key):
    await redis.execute_command(
        "ACL",
        "SETUSER",
        "limited",
        "reset",
        "on",
        ">secret",
        "~staging*",
        "resetchannels",
        "&staging*",
        "+@all",
        "-@admin",
    )
    try:
        async with Redis.from_url(redis_server.url, username="limited", password="secret") as client:
            one, two = Lease(client, key, SECONDS, "staging"), Lease(client, key, SECONDS, "staging")
            await asyncio.wait_for(one.acquire(), PATIENCE)
            await asyncio.sleep(SECONDS / 2)
            await one.release()
            await asyncio.wait_for(two.acquire(), PATIENCE)
            assert two.is_valid()
            await two.release()
    finally:
        await redis.execute_command("ACL", "DELUSER", "limited")


async def test_the_cause_is_named_where_redis_refuses(redis, redis_server, key, log):
    await redis.execute_command("ACL", "SETUSER", "barred", "reset", "on", ">secret", "~else*", "+@all")
    try:
        async with Redis.from_url(redis_server.url, username="barred", password="secret") as client:
            asking = asyncio.create_task(Lease(client, key, SECONDS).acquire())
            await soon(lambda: log.starting("A lease cannot be kept, for Redis refuses: "))
            asking.cancel()
    finally:
        await redis.execute_command("ACL", "DELUSER", "barred")


async def test_a_node_of_a_cluster_is_named_as_the_cause(key, log):
    with RedisServer("--cluster-enabled", "yes") as server:
        async with Redis.from_url(server.url) as client:
            asking = asyncio.create_task(Lease(client, key, SECONDS).acquire())
            await soon(lambda: log.starting("A lease cannot be kept, for the Redis is a node of a Redis Cluster"))
            asking.cancel()


async def test_another_node_of_a_cluster_is_named_as_the_cause(key, log):
    class Node:
        async def eval(self, *args):
            raise MovedError("12520 127.0.0.1:7001")

    asking = asyncio.create_task(Lease(Node(), key, SECONDS).acquire())
    await soon(lambda: log.starting("A lease cannot be kept, for the Redis is a node of a Redis Cluster"))
    asking.cancel()


async def test_each_route_has_a_lease_of_its_own(redis, key):
    one, two = Lease(redis, f"{key} one", SECONDS), Lease(redis, f"{key} two", SECONDS)
    await asyncio.wait_for(asyncio.gather(one.acquire(), two.acquire()), PATIENCE)
    assert (one.is_valid(), two.is_valid()) == (True, True)
    await asyncio.gather(one.release(), two.release())


async def test_a_redis_that_has_just_started_gives_no_lease_for_as_long_as_one_lasts(key):
    """It may have forgotten a lease in which its holder still believes."""
    with RedisServer() as server:
        started = time.monotonic()
        async with Redis.from_url(server.url) as client:
            one = Lease(client, key, SECONDS)
            await asyncio.wait_for(one.acquire(), PATIENCE)
            assert time.monotonic() - started > SECONDS - 0.5  # it may have taken half a second to start
            await one.release()


# Supervisors: each stands for a process


@pytest.fixture
def leasing(app, settings, redis_layer, redis, key):
    """The settings and the options of a route with a lease."""
    settings.CHANNEL_LAYERS = {"default": redis_layer}
    settings.FASTWS_CLIENT_LEASE_SECONDS = SECONDS
    return {"lease": True, "name": key.replace(":", "/"), "reconnect": True, "max_retries": -1}


@asynccontextmanager
async def several(app, count):
    """So many supervisors of the same routes."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(running(app)) for _ in range(count)]


async def tell_token(ws):
    await ws.send(str(ws.fencing_token))
    await by_async_for(ws)


def check_one_after_the_other(visits):
    """Never two connections at the same time, and tokens that grow."""
    for before, after in pairwise(visits):
        assert before.closed is not None
        assert before.closed <= after.opened
    tokens = [int(visit.received[0]) for visit in visits if visit.received]
    assert tokens == sorted(tokens)


async def test_of_three_exactly_one_holds_and_a_stop_hands_over_at_once(app, peer, leasing, redis):
    server = await peer(listen)
    app.ws(server.url, **leasing)(tell_token)
    async with several(app, 3) as all_three:
        for number in range(3):
            await soon(lambda: len(server.visits) > number and server.visits[number].received)  # noqa: B023
            await asyncio.sleep(0.2)
            assert len(server.open_visits) == 1
            holders = [it for it in all_three if "connected" in it.supervisor.status()]
            assert len(holders) == 1
            waiting = [it for it in all_three if "waiting for the lease" in it.supervisor.status()]
            assert len(waiting) == 2 - number
            holders[0].stop()
            assert await holders[0].ended()
            all_three.remove(holders[0])
    assert [(await visit.ended()).close_code for visit in server.visits] == [1001] * 3
    check_one_after_the_other(server.visits)
    assert len({visit.received[0] for visit in server.visits}) == 3


async def test_a_stop_while_waiting_for_the_lease_is_immediate(app, peer, leasing, lease):
    server = await peer(listen)
    app.ws(server.url, **leasing)(tell_token)
    async with running(app) as first:
        await server.visit()
        async with running(app, drain_seconds=120) as second:
            await soon(lambda: "waiting for the lease" in second.supervisor.status())
            second.stop()
            assert await second.ended()
        assert not first.task.done()
    assert len(server.visits) == 1


async def test_the_lease_is_kept_over_several_connections(app, peer, leasing):
    server = await peer(closing(1001, 1001, 1001))
    app.ws(server.url, **leasing)(tell_token)
    tokens = set()

    async with several(app, 2):
        await soon(lambda: len(server.visits) == 4 and server.visits[3].received)
        tokens = {visit.received[0] for visit in server.visits if visit.received}
    assert len(tokens) == 1


async def test_a_route_that_is_done_gives_its_lease_back(app, peer, leasing):
    server = await peer(listen)

    @app.ws(server.url, **leasing)
    async def once(ws):
        await ws.send(str(ws.fencing_token))

    async with several(app, 2) as both:
        assert [await it.ended() for it in both] == [True, True]
    visits = [await visit.ended() for visit in server.visits]
    check_one_after_the_other(visits)
    assert len(visits) == 2


async def test_its_keys_have_the_prefix_of_the_layer(app, peer, leasing, redis_layer, settings, redis):
    prefix = f"prefix of {leasing['name']}"
    settings.CHANNEL_LAYERS = {"default": {**redis_layer, "CONFIG": {**redis_layer["CONFIG"], "prefix": prefix}}}
    server = await peer(listen)
    app.ws(server.url, **leasing)(tell_token)
    async with running(app):
        await server.visit()
        keys = {name.decode() async for name in redis.scan_iter(f"{prefix}*".replace("[", "\\["))}
    name = f"{prefix}:lease:{{{leasing['name']}}}"
    assert keys == {name, f"{name}:token"}


async def test_a_route_without_a_lease_has_no_token(app, peer, leasing):
    server = await peer(listen)
    app.ws(server.url)(tell_token)
    async with running(app):
        await soon(lambda: server.visits and server.visits[0].received)
    assert server.visits[0].received == ["None"]


@pytest.mark.parametrize("call", ["send", "recv", "ping", "pong", "close", "return"])
async def test_a_socket_whose_lease_is_over_is_not_touched(app, peer, leasing, call, ahead):
    """A process that was suspended goes on in the middle of its handler: whatever it does next, it is cut off."""
    server = await peer(closing(None))
    raised = []

    @app.ws(server.url, **leasing)
    async def feed(ws):
        if raised:
            await by_async_for(ws)
            return
        ahead(3600)
        calls = {"send": lambda: ws.send("x"), "recv": ws.recv, "ping": ws.ping, "pong": ws.pong}
        raised.append(None)
        if call in calls:
            with pytest.raises(WebSocketDisconnect) as lost:
                await calls[call]()
            raised.append(lost.value.code)
        elif call == "close":
            await ws.close(4000)

    async with running(app):
        visit = await (await server.visit()).ended()
        ahead(0)
        await soon(lambda: len(server.visits) == 2)
    assert (visit.received, visit.close_code) == ([], 1006)
    assert raised in ([None, 1006], [None])
    assert (await server.visits[1].ended()).close_code == 1001


# Redis in trouble


@pytest.fixture
async def own_redis(leasing, settings):
    """A Redis that this test may stop and kill."""
    with RedisServer() as server:
        settings.CHANNEL_LAYERS["default"]["CONFIG"]["hosts"] = [server.url]
        settings.CHANNEL_LAYERS = {**settings.CHANNEL_LAYERS}  # tell Channels
        async with Redis.from_url(server.url) as client:
            await old_enough(client)
        yield server


async def test_redis_down_for_less_than_the_lease_is_not_noticed_and_for_longer_it_cuts_the_socket(
    app, peer, leasing, own_redis, log
):
    server = await peer(listen)
    app.ws(server.url, **leasing)(tell_token)
    async with several(app, 2):
        await soon(lambda: server.visits and server.visits[0].received)
        with stopped(own_redis):
            await asyncio.sleep(SECONDS * 0.4)
        await asyncio.sleep(SECONDS * 1.2)
        assert (len(server.visits), len(server.open_visits)) == (1, 1)

        with stopped(own_redis):
            since = time.monotonic()
            visit = await server.visits[0].ended()
            assert visit.closed - since < SECONDS + 10
            await asyncio.sleep(SECONDS / 2)
            assert len(server.visits) == 1  # without Redis nobody knows whether another holds it
        await soon(lambda: len(server.visits) == 2 and server.visits[1].received)
        await asyncio.sleep(SECONDS / 2)
        assert len(server.open_visits) == 1
    assert visit.close_code == 1006  # no close frame: another might hold the route by then
    assert log.endings[0] == "1006: the lease was lost; waiting for it again"
    check_one_after_the_other(server.visits)
    assert log.starting("A lease cannot be kept, for Redis is out of reach")


async def test_a_redis_that_comes_back_empty_gives_no_lease_that_another_still_believes_in(
    app, peer, leasing, own_redis
):
    server = await peer(listen)
    app.ws(server.url, **leasing)(tell_token)
    async with several(app, 3):
        await soon(lambda: server.visits and server.visits[0].received)
        await asyncio.to_thread(own_redis.stop, signal.SIGKILL)
        await asyncio.to_thread(own_redis.start)
        await asyncio.sleep(SECONDS * 1.5)
        await soon(lambda: len(server.open_visits) == 1)
    check_one_after_the_other(server.visits)


# Processes


async def test_a_process_that_is_stopped_or_killed_is_replaced_and_never_two_hold_the_route(
    project, peer, redis_server, redis, key
):
    """A is stopped past its lease, and B takes over; A goes on, and must not touch its socket; B is killed."""
    heard: list[tuple[float, int, str]] = []

    async def talk(ws, visit):
        async def tick():
            while True:
                await ws.send("tick")
                await asyncio.sleep(0.01)

        async def ping():
            while True:
                await (await ws.ping())
                heard.append((time.time(), visit.number, "pong"))

        busy = [asyncio.create_task(tick()), asyncio.create_task(ping())]
        try:
            async for message in ws:
                heard.append((time.time(), visit.number, message))
        finally:
            for task in busy:
                task.cancel()
            await asyncio.gather(*busy, return_exceptions=True)

    server = await peer(talk)
    project.settings(
        CHANNEL_LAYERS={
            "default": {
                "BACKEND": "django_fastws.layer.RedisChannelLayer",
                "CONFIG": {"hosts": [redis_server.url]},
            }
        },
        FASTWS_CLIENT_LEASE_SECONDS=SECONDS,
    )
    project.consumers(
        """
        import time

        @app.ws(URL, name=NAME, lease=True, reconnect=True, max_retries=-1)
        async def feed(ws):
            await ws.send(f"token {ws.fencing_token}")
            with open("notes", "a") as notes:
                async for message in ws:
                    print(time.time(), ws.fencing_token, file=notes, flush=True)
                    await ws.send(f"token {ws.fencing_token}")
        """,
        URL=server.url,
        NAME=key.replace(":", "/"),
    )

    def told(number):
        """Whether the connection has told its token."""
        return lambda: any(visit == number for _, visit, _ in heard)

    a = await project.start()
    await soon(told(0))
    b = await project.start()
    await b.line("Waiting for the lease of ")

    a.send(signal.SIGSTOP)
    held = time.time()
    await soon(told(1))
    await asyncio.sleep(0.3)
    a.send(signal.SIGCONT)
    assert (await server.visits[0].ended()).close_code == 1006
    await a.line("the lease was lost; waiting for it again")
    await a.line("Waiting for the lease of ")
    assert len(server.open_visits) == 1

    b.send(signal.SIGKILL)
    await soon(told(2))
    assert await a.stop() == 0
    assert (await server.visits[2].ended()).close_code == 1001

    tokens = [
        next(int(text.split()[1]) for _, visit, text in heard if visit == number and text != "pong")
        for number in range(3)
    ]
    assert tokens == sorted(set(tokens))
    # What A sent and took over its first connection, pongs included, it did before it was held.
    assert max(at for at, visit, _ in heard if visit == 0) < min(at for at, visit, _ in heard if visit == 1)
    assert held < server_time(server.visits[1])
    notes = [line.split() for line in project.read("notes").splitlines()]
    assert max(float(at) for at, token in notes if int(token) == tokens[0]) < held + 0.1


def server_time(visit):
    """When a connection was opened, by the clock of the wall."""
    return time.time() - (time.monotonic() - visit.opened)


# Eviction


@pytest.mark.parametrize(
    ("limit", "policy", "is_refused"),
    [
        ("100mb", "allkeys-lru", True),
        ("100mb", "volatile-ttl", True),
        ("100mb", "noeviction", False),
        ("0", "allkeys-lru", False),
    ],
)
async def test_a_redis_that_may_forget_leases_is_refused(app, leasing, own_redis, log, limit, policy, is_refused):
    app.ws("ws://example.com", **leasing)(tell_token)
    async with Redis.from_url(own_redis.url) as client:
        await client.config_set("maxmemory", limit)
        await client.config_set("maxmemory-policy", policy)
    found = await asyncio.to_thread(check_eviction)
    assert [(error.id, policy in error.msg) for error in found] == [("fastws.E034", True)] * is_refused
    app.outbound.clear()
    app.ws("ws://example.com")(tell_token)
    assert check_eviction() == []


async def test_a_redis_out_of_reach_is_not_accused(app, leasing, settings):
    settings.CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "django_fastws.layer.RedisChannelLayer",
            "CONFIG": {"hosts": [f"redis://127.0.0.1:{free_port()}"]},
        }
    }
    app.ws("ws://example.com", **leasing)(tell_token)
    assert check_eviction() == []
