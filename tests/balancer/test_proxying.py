"""What comes through a proxy with the shipped configuration, and as what."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

import pytest
import websockets

from tests.balancer.client import ELSEWHERE, LIMIT, browser, connect
from tests.balancer.conftest import IDLE_SECONDS

pytestmark = [pytest.mark.server, pytest.mark.redis]

FORGED = {
    "X-Forwarded-For": "192.0.2.1, 192.0.2.2",
    "X-Forwarded-Proto": "gopher",
    "X-Forwarded-Port": "4711",
}


async def welcomed(ws: Any) -> dict[str, Any]:
    """What the server says of a socket that was opened."""
    said: dict[str, Any] = await ws.recv_json()
    return said


async def test_sockets_spread_over_both_servers(proxy, servers):
    async with AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(connect(proxy.url("/ws/where"))) for _ in range(20)]
        pids = Counter([(await welcomed(ws))["pid"] for ws in sockets])
    assert pids.keys() == {server.pid for server in servers}
    assert min(pids.values()) >= 8


async def test_rooms_reach_the_members_at_both_servers(proxy, servers):
    async with AsyncExitStack() as stack:
        sockets, pids = [], set()
        for _ in range(4):
            ws = await stack.enter_async_context(connect(proxy.url("/ws/member/lobby")))
            pids.add(int((await ws.recv()).removeprefix("joined ")))
            sockets.append(ws)
        assert pids == {server.pid for server in servers}
        await sockets[0].send("hello")
        for ws in sockets:
            while await ws.recv() != "hello":
                pass


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
async def test_a_handshake_comes_from_its_client(proxy, certificates, tls):
    url = proxy.url("/ws/where", scheme="wss" if tls else "ws")
    context = certificates.client() if tls else None
    for headers in ({}, FORGED, FORGED | {"X-Forwarded-Proto": "http" if tls else "https"}):
        async with connect(url, local_addr=(ELSEWHERE, 0), additional_headers=headers, ssl=context) as ws:
            said = await welcomed(ws)
        assert (said["client"], said["scheme"]) == ([ELSEWHERE, 0], "wss" if tls else "ws")


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
async def test_a_request_comes_from_its_client(proxy, certificates, tls):
    url = proxy.url("/where", scheme="https" if tls else "http")
    async with browser(ELSEWHERE, verify=certificates.client()) as client:
        for headers in ({}, FORGED, FORGED | {"X-Forwarded-Proto": "http" if tls else "https"}):
            said = (await client.get(url, headers=headers)).json()
            assert (said["client"], said["scheme"]) == (ELSEWHERE, "https" if tls else "http")


async def test_the_host_comes_through_with_its_port(proxy):
    """As what the origin of a page's handshake is compared with."""
    async with browser() as client:
        said = (await client.get(proxy.url("/where", scheme="http"))).json()
    assert said["host"] == f"127.0.0.1:{proxy.port}"
    async with connect(proxy.url("/ws/where"), origin=f"http://127.0.0.1:{proxy.port}") as ws:
        assert await welcomed(ws)
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with connect(proxy.url("/ws/where"), origin="http://elsewhere.test"):
            pass
    assert refused.value.response.status_code == 403


async def test_messages_of_a_mebibyte_come_through(proxy):
    async with connect(proxy.url("/ws/where")) as ws:
        await welcomed(ws)
        for message in ("", b"", "ä" * 500_000, bytes(range(256)) * 4096):
            await ws.send(message)
            assert await ws.recv() == message


async def test_close_codes_and_reasons_come_through(proxy):
    async with connect(proxy.url("/ws/close/4001")) as ws:
        assert await ws.closed() == (4001, "on purpose")


async def test_uploads_come_through_up_to_ten_mebibytes(proxy, kind):
    async with browser() as client:
        url = proxy.url("/where", scheme="http")
        said = (await client.post(url, content=bytes(2_000_000))).json()
        assert said["bytes"] == 2_000_000
        if kind == "nginx":  # haproxy has no such limit; Django has
            answer = await client.post(url, content=bytes(11 << 20))
            assert answer.status_code == 413


async def test_metrics_are_for_who_asks_a_server_itself(proxy, servers):
    async with browser() as client:
        for server in servers:
            answer = await client.get(f"http://{server.address}/metrics")
            assert answer.status_code == 200
            assert "fastws_connections" in answer.text
        assert (await client.get(proxy.url("/metrics", scheme="http"))).status_code == 404


async def test_headers_come_through_up_to_fifteen_kibibytes(proxy):
    """Less than 16, which is the limit of the servers; the proxies add some."""
    async with browser() as client:
        for size, statuses in ((14_000, [200]), (17_000, [400, 431])):
            answer = await client.get(proxy.url("/where", scheme="http"), headers={"Cookie": "a=" + size * "x"})
            assert answer.status_code in statuses
    async with connect(proxy.url("/ws/where"), additional_headers={"Cookie": "a=" + 14_000 * "x"}) as ws:
        assert await welcomed(ws)


@pytest.mark.nginx
async def test_nginx_serves_the_static_files(servers, shared_proxies):
    proxy = shared_proxies("nginx", *servers)
    (proxy.root / "static").mkdir(parents=True)
    (proxy.root / "static" / "page.js").write_text("live()")
    async with browser() as client:
        answer = await client.get(proxy.url("/static/page.js", scheme="http"))
    assert (answer.status_code, answer.text) == (200, "live()")
    assert answer.headers["content-type"] == "application/javascript"


async def test_streamed_answers_are_not_held_back(proxy, servers):
    async with browser() as client, client.stream("GET", proxy.url("/stream", scheme="http")) as answer:
        parts = answer.aiter_text()
        assert await asyncio.wait_for(anext(parts), LIMIT) == "first"
        for server in servers:
            await client.get(f"http://{server.address}/more")
        assert await asyncio.wait_for(anext(parts), LIMIT) == "second"


@pytest.mark.slow
async def test_a_slow_reader_of_an_answer_slows_its_view_down(proxy, servers):
    """And does not fill a disk of the proxy's."""

    async def poured() -> int:
        async with browser() as client:
            answers = [await client.get(f"http://{server.address}/flooded") for server in servers]
        return sum(answer.json()["bytes"] for answer in answers)

    began = await poured()
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port, limit=1)
    try:
        writer.write(b"GET /flood HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        await reader.readexactly(len("HTTP/1.1 200"))
        before, now = -1, await poured()
        while now > before:
            await asyncio.sleep(1)  # until it has stood still for so long
            before, now = now, await poured()
    finally:
        writer.transport.abort()
    assert 1 << 20 < now - began < 64 << 20  # what the kernel's buffers hold


@pytest.mark.slow
async def test_pings_keep_idle_sockets_open(proxy, kind, silent_server, shared_proxies):
    """And without them the proxy would cut them."""
    cut_off = shared_proxies(kind, silent_server, silent_server)
    began = time.monotonic()
    async with connect(cut_off.url("/ws/where")) as silent, connect(proxy.url("/ws/where")) as pinged:
        await welcomed(silent)
        await welcomed(pinged)
        assert await silent.closed() == (1006, "")
        assert time.monotonic() - began > IDLE_SECONDS * 0.9
        # There is nothing to wait for: what must not happen would by then have happened.
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(pinged.wait_closed(), 1.5 * IDLE_SECONDS - (time.monotonic() - began))
        await pinged.send("still here")
        assert await pinged.recv() == "still here"
