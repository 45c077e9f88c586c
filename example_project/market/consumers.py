"""The feed, from the socket that goes out to those that came in."""

from django.conf import settings

from django_fastws import FastWS, Room, WebSocket

app = FastWS(prefix="/ws", tags=["market"])
prices = Room("market")


@app.ws(url=lambda: settings.FEED_URL, reconnect=True, max_retries=-1)
async def feed(ws: WebSocket) -> None:
    """Read the feed, for all pages together."""
    async for message in ws:
        await prices.abroadcast(message.json())


@app.websocket("/market")
async def market(ws: WebSocket) -> None:
    """One page: it only listens."""
    await ws.accept()
    await ws.join(prices)
    async for _ in ws:
        pass
