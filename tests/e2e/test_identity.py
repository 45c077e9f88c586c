"""Sockets and who they were opened for, on real servers: rotations of the key, ends of sessions, races."""

from __future__ import annotations

import asyncio
import http.client
import random
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest
import websockets

from tests.conftest import Database, layer_config, make_database
from tests.site.client import LIMIT, connect, token
from tests.support.processes import HOST, ASGIServer, RedisServer

pytestmark = pytest.mark.server

#: What a view does, and what its user's socket sees.
CHANGES = {
    "password": (4401, "the password has changed"),
    "own password": (4401, "the password has changed"),
    "another": (4401, "the session has ended"),
    "flush": (4401, "the session has ended"),
    "deactivate": (4401, "the account is not active"),
    "password by a query": (4401, "the password has changed"),
    "expire": (4401, "the session has ended"),
}
NEW_KEY = (4401, "the session has a new key")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Database:
    return make_database(tmp_path_factory)


@pytest.fixture(scope="module")
def servers(database: Database) -> Iterator[Callable[[str], ASGIServer]]:
    """Servers whose secret key is another than that of ada's session, which is among the fallbacks."""
    running: dict[str, ASGIServer] = {}
    settings = {
        "SECRET_KEY": "the new one",
        "SECRET_KEY_FALLBACKS": ["for tests only"],
        "FASTWS_SESSION_CHECK_SECONDS": 0.5,
    }

    def get(kind: str) -> ASGIServer:
        if kind not in running:
            running[kind] = ASGIServer(kind, settings=settings, environment=database.environment)
            running[kind].start()
        return running[kind]

    yield get
    for server in running.values():
        server.__exit__()


def request(server: ASGIServer, path: str, cookie: str = "") -> tuple[str, str]:
    """GET a page: its text, and the session cookie that it set."""
    connection = http.client.HTTPConnection(HOST, server.port, timeout=LIMIT)
    connection.request("GET", quote(path, safe="/?=&"), headers={"Cookie": cookie} if cookie else {})
    response = connection.getresponse()
    text = response.read().decode()
    assert response.status == 200, text
    connection.close()
    return text, (response.getheader("Set-Cookie") or "").partition(";")[0]


async def get(server: ASGIServer, path: str, cookie: str = "") -> tuple[str, str]:
    return await asyncio.to_thread(request, server, path, cookie)


def with_cookie(cookie: str) -> dict[str, dict[str, str]]:
    return {"additional_headers": {"Cookie": cookie}}


@pytest.mark.parametrize("kind", ["runws_server", "daphne", "uvicorn"])
async def test_a_socket_is_the_first_after_a_rotation_of_the_key_and_http_is_logged_in_as_before(
    servers: Callable[[str], ASGIServer], kind: str, database: Database
) -> None:
    server = servers(kind)
    cookie = f"sessionid={database.session_key}"
    for _ in range(2):
        async with connect(server, "/ws/who", **with_cookie(cookie)) as ws:
            assert await ws.recv() == "ada"
    assert (await get(server, "/change/?do=nothing", cookie))[0] == "ada"


@pytest.mark.parametrize("kind", ["runws_server", "daphne", "uvicorn"])
async def test_no_socket_outlives_its_session_or_its_user(servers: Callable[[str], ASGIServer], kind: str) -> None:
    server = servers(kind)

    async def ended(do: str) -> tuple[int, str]:
        name = token()
        _, cookie = await get(server, f"/login/?name={name}")
        async with connect(server, "/ws/who", **with_cookie(cookie)) as ws:
            assert await ws.recv() == name
            assert (await get(server, f"/change/?do={do}", cookie))[0] == name
            return await ws.closed()

    _, cookie = await get(server, f"/login/?name={token()}")
    async with connect(server, "/ws/who", **with_cookie(cookie)) as other:
        await other.recv()
        ends = {do: await ended(do) for do in [*CHANGES, "new key"]}
        # A new key closes after a second, unless the look at the sessions comes sooner.
        assert ends.pop("new key") in (NEW_KEY, CHANGES["expire"])
        assert ends == CHANGES
        await other.send("still here")
        assert await other.recv() == "still here"


@pytest.mark.redis
async def test_a_log_out_during_a_handshake_in_another_process_leaves_no_socket(
    serve: Callable[..., ASGIServer], redis_server: RedisServer, database: Database
) -> None:
    one, two = [
        serve(
            "runws_server",
            layer=layer_config("ours", redis_server, prefix="identity"),
            settings={"FASTWS_SESSION_CHECK_SECONDS": None},
            environment=database.environment,
        )
        for _ in range(2)
    ]

    async def opened(cookie: str) -> int:
        """The status of the denial, or the code with which it is closed."""
        try:
            async with connect(two, "/ws/who", **with_cookie(cookie)) as ws:
                return (await ws.closed())[0]
        except websockets.InvalidStatus as refused:
            return refused.response.status_code

    ends = []
    for _ in range(25):
        _, cookie = await get(one, f"/login/?name={token()}")
        opening = asyncio.create_task(opened(cookie))
        await asyncio.sleep(random.uniform(0, 0.02))  # wherever that falls
        await get(one, "/logout/", cookie)
        ends.append(await opening)
    assert set(ends) <= {401, 403, 4401}
