"""The test client."""

from django_fastws.testing import connect


async def echoes():
    async with connect("/ws/inbox", headers={"Accept-Language": "de"}, timeout=2) as ws:
        await ws.send({"hello": "world"})
        assert await ws.receive_json() == {"kind": "json", "value": {"hello": "world"}}
        assert await ws.receive_nothing()
