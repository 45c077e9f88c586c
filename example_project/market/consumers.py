"""The feed, from the socket that goes out to the pages."""

from datetime import datetime

from django.conf import settings

from django_fastws import Event, FastWS, WebSocket


class Tick(Event):
    """The prices of one moment; what else the feed says is ignored."""

    at: datetime
    prices: dict[str, float]


app = FastWS(tags=["market"])
market = app.room("market", sends=[Tick])  # without a state: the next tick is there in a moment


@app.ws(url=lambda: settings.FEED_URL, reconnect=True, max_retries=-1)
async def feed(ws: WebSocket) -> None:
    """Read the feed, for all pages together."""
    async for tick in ws.iter_as(Tick):
        await market().abroadcast(tick)
