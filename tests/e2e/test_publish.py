"""HTTP publish on real servers, with ASGI and WSGI: signed from outside, heard by members in another process."""

from __future__ import annotations

import asyncio
import http.client
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.conftest import check_log, layer_config
from tests.site.client import LIMIT, connect, token
from tests.support.processes import HOST, ASGIServer, RedisServer, stopped
from tests.support.signing import KEYS, SECRET, encoded, signed

pytestmark = [pytest.mark.server, pytest.mark.redis]

SERVERS = ["runws_server", "daphne", "uvicorn", "wsgi"]
PATH = "/realtime/publish"


class Publisher:
    """Sends requests to a server."""

    def __init__(self, server: ASGIServer) -> None:
        self.server = server

    def send(self, body: bytes, headers: Any, method: str = "POST") -> tuple[int, dict[str, str], bytes]:
        """The status, the headers in small letters and the body; headers may be a list of pairs."""
        connection = http.client.HTTPConnection(HOST, self.server.port, timeout=LIMIT)
        try:
            connection.putrequest(method, PATH)
            for name, value in headers.items() if isinstance(headers, dict) else headers:
                connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
        finally:
            connection.close()

    def results(self, *items: Any, key: str = "all", secret: str = KEYS["all"]["secret"][0]) -> list[Any]:
        body = encoded(*items)
        status, headers, answer = self.send(body, signed(body, key, secret))
        assert (status, headers["content-type"]) == (200, "application/json"), answer
        found: list[Any] = json.loads(answer)["results"]
        return found


@pytest.fixture
def start(serve: Callable[..., ASGIServer], site_database: Any) -> Callable[..., ASGIServer]:
    def start(kind: str, redis: RedisServer, layer: str = "ours", **settings: Any) -> ASGIServer:
        return serve(
            kind,
            layer=layer_config(
                layer, redis, prefix=token()[:8] if "prefix" not in settings else settings.pop("prefix")
            ),
            settings={"FASTWS_PUBLISH_KEYS": KEYS, **settings},
            environment=site_database.environment,
        )

    return start


@pytest.mark.parametrize("kind", SERVERS)
async def test_members_in_another_process_hear_what_is_published(kind, start, redis_server):
    members = start("runws_server", redis_server, prefix=(prefix := token()[:8]))
    publisher = Publisher(start(kind, redis_server, prefix=prefix))
    name, raw = f"log/{token()}", token()
    async with connect(members, "/ws/live") as live, connect(members, f"/ws/member?room={raw}") as member:
        await member.recv()
        await live.send_json({"join": name, "id": 1})
        joined = await live.recv_json()
        epoch = joined["ok"]["at"].partition(":")[0]
        results = await asyncio.to_thread(
            publisher.results,
            {"room": name, "event": "noted", "data": {"text": "größe ✓"}},
            {"room": name, "event": "noted", "data": {"words": "none"}},
            {"room": raw, "data": "a text"},
            {"room": raw, "data": {"n": [1, None]}},
            {"room": name, "event": "noted", "data": {"text": "two"}, "idempotency_key": "2"},
            {"room": name, "event": "noted", "data": {"text": "two"}, "idempotency_key": "2"},
        )
        assert [one.get("at", one.get("error", {}).get("code")) for one in results] == [
            f"{epoch}:1",
            "invalid",
            None,
            None,
            f"{epoch}:2",
            f"{epoch}:2",
        ]
        for offset, text in (1, "größe ✓"), (2, "two"):
            told = {"room": name, "event": "noted", "data": {"text": text}, "at": f"{epoch}:{offset}"}
            assert await live.recv_json() == told
        assert [await member.recv(), await member.recv()] == ["a text", '{"n":[1,null]}']
    for server in members, publisher.server:
        check_log(server)


@pytest.mark.parametrize("kind", SERVERS)
def test_what_a_server_passes_on_of_headers_and_bodies_is_told_apart(kind, start, redis_server):
    publisher = Publisher(start(kind, redis_server, FASTWS_MAX_BODY_BYTES=20_000))
    item = {"room": "raw", "data": 1}
    body = encoded(item)
    good = signed(body)

    def status(headers: Any = None, sent: bytes = body, method: str = "POST") -> int:
        return publisher.send(sent, signed(sent) if headers is None else headers, method)[0]

    assert status() == 200
    assert status({name.upper(): value for name, value in good.items()}) == 200
    assert status({name: f"  {value}  " for name, value in good.items()}) == 200
    assert status({**good, "Content-Type": "application/x-www-form-urlencoded"}) == 200
    for name in good:
        assert status([*good.items(), (name, good[name])]) == 401  # twice
        assert status({**good, name: b"\xff\xfe"}) == 401
        assert status({other: value for other, value in good.items() if other != name}) == 401
    assert status(signed(body, secret="x")) == 401
    assert status({}) == 401
    assert status(sent=b"\xff\x00") == 400
    assert status(sent=b"") == 400
    assert status(sent=b"[" * 20_000) == 400
    assert status(sent=body + b" " * (20_000 - len(body))) == 200
    assert status(sent=body + b" " * 20_000) == 413
    for method in ("GET", "HEAD", "OPTIONS", "PUT", "DELETE"):
        assert status(method=method) == 405
    log = publisher.server.log()
    assert log.count("HTTP publish refused") == 1
    assert "Traceback" not in log
    assert SECRET not in log


@pytest.mark.parametrize("kind", ["runws_server", "uvicorn"])
def test_a_body_may_come_in_chunks(kind, start, redis_server):
    server = start(kind, redis_server, FASTWS_MAX_BODY_BYTES=1000)
    body = encoded({"room": "raw", "data": "größe ✓"})
    for more, status in (0, 200), (1000, 413):
        sent = body + b" " * more
        connection = http.client.HTTPConnection(HOST, server.port, timeout=LIMIT)
        parts = iter([sent[:10], sent[10:11], sent[11:]])
        connection.request("POST", PATH, parts, signed(sent), encode_chunked=True)
        assert connection.getresponse().status == status
        connection.close()


@pytest.mark.parametrize("kind", ["runws_server", "wsgi"])
def test_a_thousand_keep_their_order_beside_others(kind, start, redis_server):
    publisher = Publisher(start(kind, redis_server))
    rooms = [f"kept/{token()}" for _ in range(3)]

    def publish(turn: int) -> list[Any]:
        return publisher.results(*[{"room": rooms[number % 3], "data": [turn, number]} for number in range(1000)])

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(publish, range(8)))
    for place in range(3):
        offsets = [[int(one["at"].partition(":")[2]) for one in results[place::3]] for results in found]
        assert all(some == sorted(some) for some in offsets)
        every = sorted(offset for some in offsets for offset in some)
        assert every == list(range(1, len(every) + 1))


@pytest.mark.faults
@pytest.mark.parametrize("layer", ["ours", "pubsub", "core"])
@pytest.mark.parametrize("kind", ["uvicorn", "wsgi"])
def test_while_redis_is_away_or_silent_all_are_unavailable_after_one_deadline(kind, layer, start, own_redis):
    settings = {"FASTWS_PUBLISH_TIMEOUT_SECONDS": 0.3, "FASTWS_PUBLISH_RETRY_SECONDS": 0.3}
    publisher = Publisher(start(kind, own_redis, layer, **settings))
    items = [{"room": f"orders/{number % 7}", "data": number} for number in range(1000)]
    error = {"code": "unavailable", "message": "it cannot be published now; the same may succeed later"}

    def wait_until_one_is_published() -> None:
        ends = time.monotonic() + LIMIT
        while publisher.results({"room": "raw", "data": 1}) != [{"at": None}]:
            assert time.monotonic() < ends

    wait_until_one_is_published()  # the first one connects, which may take a slow machine too long

    def are_unavailable() -> None:
        started = time.monotonic()
        assert publisher.results(*items) == [{"error": error}] * 1000
        # A thousand deadlines are five minutes; a slow machine is no minute slow.
        assert time.monotonic() - started < 60

    with stopped(own_redis):
        are_unavailable()
    own_redis.stop()
    are_unavailable()
    if layer == "ours":  # channels-redis's own tell of their subscriptions with one
        assert "Traceback" not in publisher.server.log()
    own_redis.start()
    wait_until_one_is_published()
