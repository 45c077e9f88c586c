"""The market: a socket that goes out for each symbol, and one room for all of them."""

from collections import deque

from django.conf import settings
from pydantic import BaseModel

from django_fastws import Event, FastWS, Latest, LiveSocket, WebSocket

from ..people import Person, person_of

SYMBOLS = {"ANVL": "Anvil Works", "BRGE": "Bridge & Sons", "CLDR": "Calder Cloud", "DUNE": "Dune Sand"}
RECENT = 60  # prices that the line of a symbol has


class Tick(BaseModel):
    """What the feed says, about ten times a second."""

    price: float


class Quote(Event):
    """What pages get: the newest price of a symbol, and the line that leads there."""

    name: str
    price: float
    recent: list[float]
    ticks: int


app = FastWS(tags=["market"])

# The newest quote of each symbol is kept, and is the state that a page begins with. None gets more than two a second.
market = app.room("market", latest=Latest(rate="2/s", seconds=600), presence=True, sends=[Quote])


@market.card
async def card(ws: LiveSocket) -> Person:
    """How the others see who is here."""
    return person_of(ws)


def follow(symbol: str, name: str) -> None:
    """Declare the route that reads one symbol, for all pages together."""
    recent: deque[float] = deque(maxlen=RECENT)
    ticks = 0

    @app.ws(lambda: f"{settings.FEED_URL}/{symbol}", name=symbol, reconnect=True, max_retries=-1)
    async def feed(ws: WebSocket) -> None:
        nonlocal ticks
        async for tick in ws.iter_as(Tick):
            ticks += 1
            recent.append(tick.price)
            quote = Quote(name=name, price=tick.price, recent=list(recent), ticks=ticks)
            await market().abroadcast(quote, key=symbol)


for symbol, name in SYMBOLS.items():
    follow(symbol, name)
