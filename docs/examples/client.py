"""The test client."""

from django_fastws.testing import connect


async def echoes():
    async with connect("/ws/inbox", headers={"Accept-Language": "de"}, timeout=2) as ws:
        await ws.send({"hello": "world"})
        assert await ws.receive_json() == {"kind": "json", "value": {"hello": "world"}}
        assert await ws.receive_nothing()


async def passes_over():
    async with connect("/ws/inbox") as ws:
        for data in ("hello", {"size": 5}, {"size": 500}):
            await ws.send(data)
        assert (await ws.receive_json(where={"kind": "json"}))["value"] == {"size": 5}
        await ws.receive_json(where=lambda told: told["value"]["size"] > 100)
