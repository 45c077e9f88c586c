"""The path at which a server answers Prometheus."""

from __future__ import annotations

import gzip

import pytest

from tests.server.client import RawClient, fetch
from tests.site.client import connect
from tests.test_prometheus import samples

pytestmark = pytest.mark.server


@pytest.mark.parametrize("kind", ["runws_server", "runserver"])
async def test_prometheus_is_answered_before_django(serve, kind):
    server = serve(kind, settings={"FASTWS_METRICS_PATH": "/internal/metrics"}, environment={"TEST_DEBUG": "1"})
    headers = {"Host": "not.allowed.example", "Accept": "text/plain"}
    answer = await fetch(server, "/internal/metrics", headers=headers)
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["cache-control"] == "no-store"
    found = samples(answer.body)
    assert (found["fastws_draining"], found["fastws_users"]) == (0, 0)
    head = await fetch(server, "/internal/metrics", "HEAD")
    assert (head.status, head.body) == (200, b"")
    post = await fetch(server, "/internal/metrics", "POST")
    assert (post.status, post.headers["allow"]) == (405, "GET, HEAD")
    packed = await fetch(server, "/internal/metrics", headers={"Accept-Encoding": "gzip"})
    assert "fastws_draining" in samples(gzip.decompress(packed.body))
    one = await fetch(server, "/internal/metrics?name[]=fastws_draining")
    assert list(samples(one.body)) == ["fastws_draining"]
    assert "/internal/metrics" not in server.log()


async def test_nothing_is_answered_unless_it_is_asked_for(serve):
    server = serve("runws_server")
    assert [(await fetch(server, path)).status for path in ("/metrics", "/None")] == [404, 404]


async def test_what_is_served_is_counted(serve):
    server = serve("runws_server", settings={"FASTWS_METRICS_PATH": "/metrics"})
    async with RawClient(server, "/ws/echo", headers="Sec-WebSocket-Version: 13\r\n") as client:  # a second one
        assert client.status == 400
    async with connect(server, "/ws/echo") as ws:
        await ws.send('"x"')
        await ws.recv()
        found = samples((await fetch(server, "/metrics")).body)
    assert found["fastws_connections{route=/ws/echo}{transport=daphne}"] == 1
    assert found["fastws_handshakes_total{route=/ws/echo}"] == 1
    assert found["fastws_denials_total{reason=malformed}"] == 1
    assert "Denied a WebSocket on '/ws/echo'" in server.log()
    assert found["fastws_received_messages_total"] == found["fastws_sent_messages_total"] == 1
