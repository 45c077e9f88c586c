"""An outbound route, and its tests."""

from django_fastws import FastWS, Room, WebSocket
from django_fastws.testing import peer

app = FastWS()


@app.ws(url="wss://stream.example.com/feed", reconnect=True, max_retries=-1)
async def feed(ws: WebSocket) -> None:
    await ws.send_json({"subscribe": "prices"})
    async for message in ws:
        await Room("market").abroadcast(message.json())


async def test_prices_are_passed_on():
    async with Room("market").listen() as heard, peer(feed) as remote:
        assert await remote.receive_json() == {"subscribe": "prices"}
        await remote.send_json({"price": 5})
        assert (await anext(heard)).data == {"price": 5}


async def test_a_lost_connection_is_made_again():
    async with peer(feed) as remote:
        await remote.receive_json()
        await remote.close(1006)
        await remote.reconnected()
        assert await remote.receive_json() == {"subscribe": "prices"}
