"""Who is present, on two real servers that share a Redis: the list of what has to be so, a test for each line of it.

Where something must not come, its time is a minute, and what shows that it has not come is told later: that somebody
else has. Where something must come, its time is short, and it is waited for.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from django_fastws import Room, presence
from tests.conftest import Database, layer_config, make_database
from tests.site.client import LIMIT, connect, token, until
from tests.support import scripts
from tests.support.present_pages import Page, raw_page
from tests.support.processes import ASGIServer, RedisServer, stopped
from tests.support.proxy import Proxy

pytestmark = [pytest.mark.redis, pytest.mark.server]

GRACE, LEASE, RETURN = 0.5, 4.0, 5.0
PRESENCE = "FASTWS_PRESENCE_{}_SECONDS"
#: What must not come takes a minute.
PATIENT = {PRESENCE.format(name): 60 for name in ("GRACE", "LEASE", "RETURN")} | {PRESENCE.format("DIFF"): 0.05}
#: What must come, comes soon.
QUICK = {
    PRESENCE.format(name): value
    for name, value in (("GRACE", GRACE), ("LEASE", LEASE), ("RETURN", RETURN), ("DIFF", 0.05))
}
DRAIN = {"FASTWS_DRAIN_SECONDS": 2}
KINDS = [("runws_server", "runws_server"), ("daphne", "uvicorn")]


class User(NamedTuple):
    key: str
    cookie: str
    name: str

    @property
    def card(self) -> dict[str, str]:
        return {"name": self.name}


def log_in(server: ASGIServer) -> User:
    """Somebody new, who is logged in."""
    name = token()[:20]
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(server.http_url(f"/login/?name={name}"), timeout=LIMIT) as answer:
        cookie = (answer.headers["Set-Cookie"] or "").partition(";")[0]
        return User(answer.read().decode(), cookie, name)


class Site:
    """Servers that share a Redis, with the database and the signals of all."""

    def __init__(self, layer: dict[str, Any], database: Database, directory: Path) -> None:
        self.layer = layer
        self.signals_path = directory / f"signals-{token()}"
        self.signals_path.touch()
        self._environment = {**database.environment, "TEST_SIGNALS": str(self.signals_path)}
        self._stack = contextlib.ExitStack()
        self.servers: list[ASGIServer] = []

    def start(self, kind: str = "runws_server", settings: Mapping[str, Any] = PATIENT, **more: Any) -> ASGIServer:
        made = ASGIServer(
            kind, layer=self.layer, settings={**settings, **DRAIN, **more}, environment=self._environment
        )
        self.servers.append(self._stack.enter_context(made))
        return made

    def signals(self, room: str) -> list[tuple[str, str]]:
        """The signals of a room that were sent so far, in any process."""
        lines = map(json.loads, self.signals_path.read_text().splitlines())
        return [(kind, key) for kind, name, key, *_ in lines if name == room]

    async def until_signals(self, room: str, *wanted: tuple[str, str]) -> None:
        async def are_there() -> bool:
            return len(self.signals(room)) >= len(wanted)

        await until(are_there, f"{wanted} in {room}")
        assert sorted(self.signals(room)) == sorted(wanted)

    def close(self) -> None:
        for server in self.servers:
            print(f"── log of {server.kind}:", server.log()[-5000:], sep="\n")
        self._stack.close()


class Pair(NamedTuple):
    site: Site
    one: ASGIServer
    two: ASGIServer


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Database:
    return make_database(tmp_path_factory)


@pytest.fixture(scope="module")
def pairs(
    redis_server: RedisServer, database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Pair]]:
    """Two servers that nobody stops, for all tests that want the same."""
    made: dict[Any, Pair] = {}

    def get(settings: Mapping[str, Any], kinds: tuple[str, str] = KINDS[0]) -> Pair:
        key = settings[PRESENCE.format("GRACE")], kinds
        if key not in made:
            layer = layer_config("ours", redis_server, prefix=f"presence-{token()}")
            site = Site(layer, database, tmp_path_factory.mktemp("presence"))
            made[key] = Pair(site, *(site.start(kind, settings) for kind in kinds))
        return made[key]

    yield get
    for pair in made.values():
        pair.site.close()


@pytest.fixture
def use(settings: Any) -> Callable[[Site], None]:
    """Have the process of the test use the layer of a site."""

    def use(site: Site) -> None:
        settings.CHANNEL_LAYERS = {"default": site.layer}

    return use


@pytest.fixture
def pair(pairs: Callable[..., Pair], use: Callable[[Site], None], request: pytest.FixtureRequest) -> Pair:
    """Two servers with much patience, of two kinds where the test is for several."""
    found = pairs(PATIENT, getattr(request, "param", KINDS[0]))
    use(found.site)
    return found


@pytest.fixture
def quick_pair(pairs: Callable[..., Pair], use: Callable[[Site], None], request: pytest.FixtureRequest) -> Pair:
    """Two servers without."""
    found = pairs(QUICK, getattr(request, "param", KINDS[0]))
    use(found.site)
    return found


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def site(
    redis_server: RedisServer, database: Database, tmp_path: Path, use: Callable[[Site], None]
) -> Iterator[Site]:
    """Servers that the test stops and kills."""
    made = Site(layer_config("ours", redis_server, prefix=f"presence-{token()}"), database, tmp_path)
    use(made)
    yield made
    made.close()


on_kinds = pytest.mark.parametrize("pair", KINDS, indirect=True, ids="-".join)
on_quick_kinds = pytest.mark.parametrize("quick_pair", KINDS, indirect=True, ids="-".join)


@pytest.fixture
def room() -> str:
    return f"here/{token()}"


@pytest.fixture
async def stack() -> AsyncIterator[contextlib.AsyncExitStack]:
    async with contextlib.AsyncExitStack() as stack:
        yield stack


@pytest.fixture
def page(stack: contextlib.AsyncExitStack, room: str) -> Callable[..., Any]:
    """Open a page: ``await page(server)``, or ``await page(server, user)``."""

    async def open_(server: ASGIServer, user: User | None = None, **options: Any) -> Page:
        made = await stack.enter_async_context(Page(room, cookie=user.cookie if user else "", **options))
        return await made.open(server)

    return open_


async def nothing_was_told(watcher: Page, server: ASGIServer) -> str:
    """A page was told nothing of who is present since this was last so: that is told in order, so somebody comes."""
    async with Page(watcher.room) as marker:
        await marker.open(server)
        await watcher.until(lambda page: marker.client in page.people)
    joined = {marker.client: {"meta": {"name": ""}, "connections": 1}}
    told = [frame["presence"] for frame in watcher.told if "presence" in frame or "present" in frame]
    assert told == [{"joined": joined, "left": [], "changed": {}}]
    watcher.told.clear()
    return marker.client


async def present(room: str) -> dict[str, int]:
    return {one.key: one.connections for one in await Room(room).apresent()}


# ── They come and go ────────────────────────────────────────────────────────────────────────────────────────────────


@on_kinds
async def test_green_within_seconds(pair, page):
    watcher = await page(pair.one)
    began = time.monotonic()
    ada = await page(pair.two)
    await watcher.until_there(ada.client)
    assert time.monotonic() - began < 10


@on_kinds
async def test_a_fresh_page_is_right_before_any_event(pair, page, room, stack):
    user = log_in(pair.one)
    first = await page(pair.two)
    await stack.enter_async_context(raw_page(pair.two, room, user.cookie))
    second = await page(pair.one)
    nobody = {"name": ""}
    assert second.people == {first.client: (nobody, 1), second.client: (nobody, 1), user.key: (user.card, 1)}
    assert second.told == []


@on_quick_kinds
async def test_a_closed_tab_is_grey_within_the_grace(quick_pair, page):
    watcher, ada = await page(quick_pair.one), await page(quick_pair.two)
    await watcher.until_there(ada.client)
    began = time.monotonic()
    await ada.close()
    await watcher.until_there()
    assert GRACE * 0.9 < time.monotonic() - began < GRACE + 10


@on_quick_kinds
async def test_a_connection_that_is_lost_and_a_raw_socket_that_is_closed_are_grey_as_well(quick_pair, page, room):
    watcher, ada = await page(quick_pair.one), await page(quick_pair.two)
    user = log_in(quick_pair.one)
    async with raw_page(quick_pair.two, room, user.cookie):
        await watcher.until_there(ada.client, user.key)
    await watcher.until_there(ada.client)
    await ada.drop()
    await watcher.until_there()


@pytest.mark.parametrize("lands", ["on the same server", "on the other server"])
@on_kinds
async def test_a_reload_does_not_flap(pair, page, room, lands):
    user, phone = log_in(pair.one), log_in(pair.one)
    watcher, ada = await page(pair.one), await page(pair.two, user)
    async with raw_page(pair.two, room, phone.cookie):
        await watcher.until_there(user.key, phone.key)
    watcher.told.clear()
    await ada.close()
    where = pair.two if lands == "on the same server" else pair.one
    again = await page(where, user)  # a page that is new has another id
    async with raw_page(where, room, phone.cookie):
        there = [("joined", watcher.client), ("joined", await nothing_was_told(watcher, pair.two))]
        assert user.key in again.people
        await pair.site.until_signals(room, *there, *(("joined", key) for key in (user.key, phone.key)))


@on_kinds
async def test_who_is_nobody_and_comes_back_within_the_grace_was_never_gone(pair, page):
    watcher, ada = await page(pair.one), await page(pair.two)
    await watcher.until_there(ada.client)
    watcher.told.clear()
    await ada.drop()
    await ada.open(pair.one)
    await nothing_was_told(watcher, pair.two)
    await ada.open(pair.two)  # and nobody has noticed that it has gone
    await nothing_was_told(watcher, pair.one)


async def test_a_client_that_returns_with_its_number_gets_what_has_changed_else_all(pair, page):
    watcher, ada, bob = await page(pair.one), await page(pair.two), await page(pair.one)
    await ada.until_there(watcher.client, bob.client)
    await ada.drop()
    carol = await page(pair.two)
    await ada.open(pair.one)
    assert set(ada.answer["presence"]["joined"]) == {carol.client}
    assert (ada.answer["presence"]["left"], "present" in ada.answer) == ([], False)
    assert ada.people.keys() == {one.client for one in (watcher, ada, bob, carol)}
    await ada.drop()
    ada.version = 1  # of which nobody knows any more
    await ada.open(pair.two)
    assert "presence" not in ada.answer
    assert ada.answer["present"].keys() == {one.client for one in (watcher, ada, bob, carol)}


# ── One is one ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_four_tabs_and_a_phone_are_one(pair, page, room, stack):
    user = log_in(pair.one)
    watcher = await page(pair.one)
    for server in (pair.one, pair.two) * 2:
        await page(server, user)
    await stack.enter_async_context(raw_page(pair.two, room, user.cookie))
    await watcher.until(lambda page: page.people.get(user.key) == (user.card, 5))
    assert await present(room) == {watcher.client: 1, user.key: 5}
    assert await Room(room).acount() == 2
    await pair.site.until_signals(room, ("joined", watcher.client), ("joined", user.key))


@on_quick_kinds
async def test_closing_one_of_two_tabs_does_not_remove_the_user(quick_pair, page, room):
    pair, user = quick_pair, log_in(quick_pair.one)
    watcher = await page(pair.one)
    stays, goes, elsewhere = await page(pair.two, user), await page(pair.two, user), await page(pair.one, user)
    await watcher.until(lambda page: page.people.get(user.key) == (user.card, 3))
    watcher.told.clear()
    await goes.close()
    await watcher.until(lambda page: page.people[user.key][1] == 2)
    await elsewhere.close()
    await watcher.until(lambda page: page.people[user.key][1] == 1)
    changed = [frame["presence"] for frame in watcher.told]
    assert [(one["joined"], one["left"]) for one in changed] == [({}, [])] * 2
    assert (await present(room))[user.key] == 1
    assert await presence.ais_online(user.key)
    await stays.close()
    await watcher.until_there()
    assert not await presence.ais_online(user.key)


async def test_counts_are_of_the_cluster(pair, page, room, stack):
    users = [log_in(pair.one) for _ in range(2)]
    pages = [await page(server) for server in (pair.one, pair.two, pair.two)]
    for server in (pair.one, pair.two):
        await stack.enter_async_context(raw_page(server, room, users[0].cookie))
    await page(pair.two, users[1])
    assert await Room(room).acount() == 5
    assert await asyncio.to_thread(Room(room).count) == 5
    assert {one.key for one in await asyncio.to_thread(Room(room).present)} == {
        *(one.client for one in pages),
        *(user.key for user in users),
    }
    script = f"print(sorted((one.key, one.connections) for one in Room({room!r}).present()), Room({room!r}).count())"
    wanted = sorted((await present(room)).items())
    assert (await scripts.run(script, pair.site.layer)).strip() == f"{wanted} 5"


async def test_a_room_that_counts_tells_how_many_and_nothing_else(quick_pair, page, stack):
    pair, name = quick_pair, f"crowd/{token()}"
    watcher = await stack.enter_async_context(Page(name))
    await watcher.open(pair.one)
    assert watcher.answer["count"] == 1
    assert not {"present", "v"} & watcher.answer.keys()
    others = [await stack.enter_async_context(Page(name)) for _ in range(3)]
    for number, other in enumerate(others):
        await other.open(pair.two if number else pair.one)
        assert other.count == number + 2
    await watcher.until(lambda page: page.count == 4)
    assert await Room(name).acount() == 4
    for other in others:
        await other.close()
    await watcher.until(lambda page: page.count == 1)
    assert {frozenset(frame) for frame in watcher.told} == {frozenset(("room", "count"))}


async def test_an_update_is_a_change_and_nobody_leaves(pair, page, room):
    user = log_in(pair.one)
    watcher, ada = await page(pair.one), await page(pair.two, user)
    async with raw_page(pair.one, room, user.cookie) as raw:
        await watcher.until(lambda page: page.people.get(user.key) == (user.card, 2))
        watcher.told.clear()
        await ada.call("show", card={"name": "busy"})
        await watcher.until(lambda page: page.people[user.key] == ({"name": "busy"}, 2))
        assert await raw.ask({"name": "raw"}) == "shown"
        await watcher.until(lambda page: page.people[user.key] == ({"name": "raw"}, 2))
        (found,) = [one for one in await Room(room).apresent() if one.key == user.key]
        assert found.meta == {"name": "raw"}
    assert [(frame["presence"]["joined"], frame["presence"]["left"]) for frame in watcher.told] == [({}, [])] * 2


@pytest.mark.parametrize("key", ["__proto__", "constructor", "c-" + 'a"b\\é🙂'])
async def test_whatever_a_key_is_called(quick_pair, page, room, key):
    watcher = await page(quick_pair.one)
    odd = await page(quick_pair.two, client=key)
    assert key in odd.people
    await watcher.until_there(key)
    assert (await present(room))[key] == 1
    await odd.close()
    await watcher.until_there()
    await quick_pair.site.until_signals(room, ("joined", watcher.client), ("joined", key), ("left", key))


async def test_who_is_nobody_cannot_pose_as_a_user(pair, page, room, stack):
    user = log_in(pair.one)
    ada, bob = await page(pair.one, user), await page(pair.one)
    stranger = await page(pair.two, client="c-stranger")
    for server in (pair.one, pair.two):
        async with Page(room) as poser:
            poser.ws = await stack.enter_async_context(connect(server, "/ws/live"))
            for client in (user.key, "1", "01", " 1"):
                assert (await poser.error(hello={"client": client}))["code"] == "bad_request"
    assert await present(room) == {user.key: 1, bob.client: 1, stranger.client: 1}
    assert ada.people[user.key] == (user.card, 1)


# ── Who is online ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_who_is_online_is_known_in_every_process(quick_pair, page, room):
    pair = quick_pair
    ada, bob, carol = (log_in(pair.one) for _ in range(3))
    keys = {int(user.key) for user in (ada, bob, carol)}
    first, second = await page(pair.one, ada), await page(pair.two, bob)
    assert await presence.aonline(keys) == {int(ada.key), int(bob.key)}
    assert await asyncio.to_thread(presence.online, keys) == {int(ada.key), int(bob.key)}
    assert [await presence.ais_online(user.key) for user in (ada, bob, carol)] == [True, True, False]
    assert await asyncio.to_thread(presence.is_online, int(ada.key))
    assert await presence.alast_seen(carol.key) is None
    seen = await presence.alast_seen(ada.key)
    assert seen is not None
    assert abs(seen.timestamp() - time.time()) < 5
    await first.close()
    closed = time.time()

    async def gone() -> bool:
        return await presence.aonline(keys) == {int(bob.key)}

    await until(gone, "the end of one")
    seen = await asyncio.to_thread(presence.last_seen, ada.key)
    assert seen is not None
    assert abs(seen.timestamp() - closed) < 5
    assert bob.key in second.people


async def test_signals_are_sent_once_in_the_cluster(quick_pair, page, room):
    pair, user = quick_pair, log_in(quick_pair.one)
    watchers = [await page(pair.one), await page(pair.two)]
    tabs = [await page(server, user) for server in (pair.one, pair.two)]
    for tab in tabs:
        await tab.close()
    for watcher in watchers:
        await watcher.until(lambda page: user.key in page.people or user.key in page.left)
        await watcher.until(lambda page: user.key not in page.people)
    joined = [("joined", watcher.client) for watcher in watchers]
    wanted = [*joined, ("joined", user.key), ("left", user.key)]
    await pair.site.until_signals(room, *wanted)
    last = await page(pair.two)
    await pair.site.until_signals(room, *wanted, ("joined", last.client))


# ── Servers end ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("kind", "signum"),
    [("runws_server", signal.SIGKILL), ("uvicorn", signal.SIGKILL), ("daphne", signal.SIGTERM)],
    ids=["runws_server is killed", "uvicorn is killed", "daphne is stopped without a word"],
)
async def test_a_server_that_dies_leaves_nobody_past_the_lease(site, page, room, kind, signum):
    one, three, two = site.start(settings=QUICK), site.start(settings=QUICK), site.start(kind, settings=QUICK)
    user, other = log_in(one), log_in(one)
    watchers = [await page(one), await page(three)]
    gone = [await page(two), await page(two)]
    both = await page(two, user)
    await page(one, user)
    async with raw_page(two, room, other.cookie):
        everybody = {*(one.client for one in gone), user.key, other.key}
        for watcher in watchers:
            await watcher.until(lambda page: everybody <= page.people.keys() and page.people[user.key][1] == 2)
        there = [("joined", key) for key in (*(one.client for one in watchers), *everybody)]
        await site.until_signals(room, *there)  # what dies before it has sent them, has not
        began = time.monotonic()
        two.stop(signum)
    for watcher in watchers:
        await watcher.until(lambda page: page.people.keys() == {watchers[0].client, watchers[1].client, user.key})
        await watcher.until(lambda page: page.people[user.key][1] == 1)
        assert sorted(watcher.left) == sorted({*(one.client for one in gone), other.key})
    assert time.monotonic() - began < LEASE + 10
    assert both.people
    assert await present(room) == {watchers[0].client: 1, watchers[1].client: 1, user.key: 1}
    assert await Room(room).acount() == 3
    assert await presence.aonline([user.key, other.key]) == {user.key}
    assert await presence.alast_seen(other.key) is not None
    left = [("left", key) for key in (*(one.client for one in gone), other.key)]
    await site.until_signals(room, *there, *left)
    last = await page(one)
    await site.until_signals(room, *there, *left, ("joined", last.client))


async def test_who_has_lost_its_server_and_is_back_within_the_lease_was_never_gone(site, page, room):
    one, two = site.start(), site.start()
    user = log_in(one)
    watcher, ada, bob = await page(one), await page(two), await page(two, user)
    await watcher.until_there(ada.client, user.key)
    there = [("joined", key) for key in (watcher.client, ada.client, user.key)]
    await site.until_signals(room, *there)
    watcher.told.clear()
    two.stop(signal.SIGKILL)
    for lost in (ada, bob):
        await lost.open(one)
    last = await nothing_was_told(watcher, one)
    await site.until_signals(room, *there, ("joined", last))


async def test_where_no_server_lives_nobody_is_present_and_the_next_says_so_once(site, page, room):
    user = log_in(first := site.start(settings=QUICK))
    ada = await page(first)
    await page(first, user)
    await site.until_signals(room, ("joined", ada.client), ("joined", user.key))
    first.stop(signal.SIGKILL)
    script = f"print(Room({room!r}).present(), Room({room!r}).count())"

    async def is_empty() -> bool:
        return await Room(room).apresent() == [] and await Room(room).acount() == 0

    await until(is_empty, "the end of all")
    assert (await scripts.run(script, site.layer)).strip() == "[] 0"
    assert not await presence.ais_online(user.key)
    watcher = await page(site.start(settings=QUICK))
    await watcher.until_there()
    joined = [("joined", key) for key in (ada.client, user.key, watcher.client)]
    await site.until_signals(room, *joined, ("left", ada.client), ("left", user.key))


async def test_a_rolling_deploy_is_not_seen(site, page, room, stack):
    one, two = site.start(), site.start()
    user = log_in(one)
    raw_users = {one: log_in(one), two: log_in(one)}
    watcher = await page(one)
    pages = {two: [await page(two), await page(two, user)], one: [await page(one), await page(one, user), watcher]}
    raws = [
        (server, await stack.enter_async_context(raw_page(server, room, raw_users[server].cookie)))
        for server in (one, two)
    ]
    everybody = {user.key, *(one.key for one in raw_users.values()), *(pages[server][0].client for server in pages)}
    await watcher.until_there(*everybody)
    await watcher.until(lambda page: page.people[user.key][1] == 2)
    watcher.told.clear()
    for server, other in ((two, one), (one, two)):
        ended = asyncio.create_task(asyncio.to_thread(server.stop))
        moving = pages.pop(server)
        for each in moving:
            assert (await each.ws.closed())[0] == 1012
            await each.open(other)
        pages[other] += moving
        for where, raw in list(raws):
            if where is server:
                assert (await raw.closed())[0] == 1012
        for (where, _), whose in zip(list(raws), raw_users.values(), strict=True):
            if where is server:
                raw = await stack.enter_async_context(raw_page(other, room, whose.cookie))
                raws[list(raw_users.values()).index(whose)] = (other, raw)
        assert await ended == 0
        if server is two:
            everybody.add(await nothing_was_told(watcher, one))
            await asyncio.to_thread(server.start)
            pages[two] = []
        else:  # it was told of nothing that had happened while it was away
            assert watcher.answer["presence"] == {"joined": {}, "left": [], "changed": {}}
    everybody.add(await nothing_was_told(watcher, two))
    assert watcher.people.keys() == {watcher.client, *everybody}
    assert watcher.people[user.key] == (user.card, 2)
    await site.until_signals(room, *(("joined", key) for key in watcher.people))


async def test_who_does_not_come_back_after_a_deploy_has_left(site, page, room):
    one, two = site.start(settings=QUICK), site.start(settings=QUICK)
    watcher, ada = await page(one), await page(two)
    await watcher.until_there(ada.client)
    assert await asyncio.to_thread(two.stop) == 0
    await watcher.until_there()
    await site.until_signals(room, ("joined", watcher.client), ("joined", ada.client), ("left", ada.client))


# ── The layer breaks ────────────────────────────────────────────────────────────────────────────────────────────────


class Broken(NamedTuple):
    """Two servers with a Redis of their own, behind a proxy."""

    site: Site
    redis: RedisServer
    proxy: Proxy
    one: ASGIServer
    two: ASGIServer


@pytest.fixture
def broken(
    own_redis: RedisServer, database: Database, tmp_path: Path, use: Callable[[Site], None]
) -> Iterator[Broken]:
    with Proxy(own_redis.port) as proxy:
        layer = layer_config("ours", own_redis, prefix="presence")
        layer["CONFIG"]["hosts"] = [proxy.url]
        made = Site(layer, database, tmp_path)
        use(made)
        servers = [made.start(settings=QUICK | {PRESENCE.format("GRACE"): 60}) for _ in range(2)]
        yield Broken(made, own_redis, proxy, *servers)
        made.close()


@pytest.mark.faults
@pytest.mark.parametrize("how", ["cut", "cut for longer than the lease", "paused", "restarted empty"])
async def test_after_an_outage_all_are_present_and_nobody_was_told_to_have_left(broken, page, room, stack, how):
    one, two = broken.one, broken.two
    user = log_in(one)
    pages = [await page(one), await page(two), await page(two, user)]
    await stack.enter_async_context(raw_page(one, room, user.cookie))
    wanted = {pages[0].client, pages[1].client, user.key}
    for each in pages:
        await each.until(lambda page: page.people.keys() == wanted and page.people[user.key][1] == 2)
    if how == "cut":
        broken.proxy.cut()
        broken.proxy.restore()
    elif how == "cut for longer than the lease":
        broken.proxy.cut()
        await asyncio.sleep(LEASE * 1.5)
        broken.proxy.restore()
    elif how == "paused":
        with stopped(broken.redis):
            await asyncio.sleep(LEASE * 1.5)
        broken.proxy.cut_once()
    else:
        broken.redis.stop(signal.SIGKILL)
        broken.redis.start()

    async def all_are_back() -> bool:
        with contextlib.suppress(Exception):
            return await present(room) == {pages[0].client: 1, pages[1].client: 1, user.key: 2}
        return False

    await until(all_are_back, "that all are present again")
    last = await comes(page, two)
    for each in pages:
        await each.until(lambda page: last.client in page.people)
        assert each.people.keys() == {*wanted, last.client}
        assert each.people[user.key] == (user.card, 2)
        assert each.left == []
    assert await presence.ais_online(user.key)
    assert "left" not in [kind for kind, _ in broken.site.signals(room)]


async def comes(page: Callable[..., Any], server: ASGIServer) -> Page:
    """A page that joins as soon as that is possible."""
    async with asyncio.timeout(LIMIT):
        while True:
            try:
                found: Page = await page(server)
            except (AssertionError, OSError):  # such as unavailable
                await asyncio.sleep(0.1)
            else:
                return found


@pytest.mark.faults
async def test_who_comes_and_goes_while_redis_is_away_is_told_when_it_is_back(broken, page, room):
    watcher, ada, bob = await page(broken.one), await page(broken.two), await page(broken.two)
    await watcher.until_there(ada.client, bob.client)
    broken.proxy.cut()
    await ada.drop()
    await bob.ask(leave=room)
    broken.proxy.restore()
    carol = await comes(page, broken.two)
    await watcher.until(lambda page: carol.client in page.people)
    assert watcher.people.keys() == {watcher.client, ada.client, bob.client, carol.client}  # in their grace
    assert await present(room) == dict.fromkeys(watcher.people, 1)


# ── A slow client ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
async def test_a_client_that_does_not_read_gets_all_who_are_present_when_it_does(site, page, room, policy):
    small = {"FASTWS_SLOW_CONSUMER": policy, "FASTWS_SEND_BUFFER_BYTES": 1000}
    one, two = site.start(settings=QUICK, **small), site.start(settings=QUICK)
    slow, fast = await page(one), await page(two)
    await slow.until_there(fast.client)
    slow.ws.transport.pause_reading()
    for _ in range(10):
        await slow.say({"room": room, "event": "fill", "data": {"size": 1_000_000, "times": 1}})
    guests = [await page(two) for _ in range(20)]
    await fast.until_there(slow.client, *(guest.client for guest in guests))
    for guest in guests[1:]:
        await guest.close()
    await fast.until_there(slow.client, guests[0].client)
    slow.told.clear()
    slow.ws.transport.resume_reading()
    await slow.until(lambda page: any("present" in frame for frame in page.told))
    await slow.until_there(fast.client, guests[0].client)
    last = await page(two)
    await slow.until_there(fast.client, guests[0].client, last.client)
