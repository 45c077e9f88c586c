"""Two real servers and a Redis between them: the fan-outs of both are linked to the broadcast of one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import layer_config
from tests.site.client import connect, token, until
from tests.support.processes import ASGIServer, RedisServer
from tests.support.spans import Seen, read_file

pytestmark = [pytest.mark.server, pytest.mark.redis, pytest.mark.slow]

CALL = "call live/{name} say"


@pytest.fixture
def servers(serve: Any, redis_server: RedisServer, tmp_path: Path) -> list[tuple[ASGIServer, Path]]:
    layer = layer_config("ours", redis_server, prefix=f"traces-{token()}")
    found = []
    for kind in ("runws_server", "uvicorn"):
        path = tmp_path / kind
        found.append((serve(kind, layer=layer, environment={"TEST_TRACES": str(path)}), path))
    return found


async def ended(path: Path, name: str) -> list[Seen]:
    """The spans of one name that a server has exported."""

    async def look() -> list[Seen]:
        return [span for span in read_file(path) if span.name == name]

    found: list[Seen] = await until(look, f"a span {name!r}")
    return found


async def test_a_fan_out_of_each_process_is_linked_to_the_broadcast_of_one(servers):
    (one, path_of_one), (two, path_of_two) = servers
    room = f"live/{token()}"
    given = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    async with connect(one, "/ws/live", additional_headers=given) as ada, connect(two, "/ws/live") as bob:
        for ws in (ada, bob):
            assert "ok" in await ws.ask({"join": room, "id": 1})
        await ada.send(json.dumps({"room": room, "event": "say", "data": {"text": "hi"}, "id": 2}))
        assert (await bob.recv_json())["data"] == {"text": "hi"}
    (call,) = await ended(path_of_one, CALL)
    (broadcast,) = [span for span in await ended(path_of_one, "broadcast live/{name}") if span.parent == call.id]
    handshake = (await ended(path_of_one, "WS /ws/live"))[0]
    assert (handshake.parent, call.links) == ("b7ad6b7169203331", [handshake.id])
    for path in (path_of_one, path_of_two):
        fan_outs = [span for span in await ended(path, "fan-out live/{name}") if broadcast.id in span.links]
        assert [(span.kind, span.trace, span.parent) for span in fan_outs] == [
            ("CONSUMER", broadcast.trace, broadcast.id)
        ]
    assert not any(room in name for path in (path_of_one, path_of_two) for name in path.read_text().split('"'))
