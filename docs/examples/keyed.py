"""Prices of markets, and cursors on boards: rooms in which the newest value of each key counts, and nothing else."""

from __future__ import annotations

from django_fastws import Event, FastWS, Latest, LiveSocket, Room

app = FastWS()


class Price(Event):
    bid: float
    ask: float


prices = app.room("prices/{market:slug}", latest=Latest(rate="5/s", seconds=3600), sends=[Price])


def quote(market: str, symbol: str, bid: float, ask: float) -> None:
    prices(market=market).broadcast(Price(bid=bid, ask=ask), key=symbol)


def delist(market: str, symbol: str) -> None:
    prices(market=market).remove(symbol)


class Cursor(Event):
    who: str
    x: float
    y: float


cursors = app.room("boards/{pk:int}/cursors", latest=Latest(rate="20/s", seconds=60), sends=[Cursor])


@cursors.on("move", rate="40/s")
async def move(ws: LiveSocket, room: Room, x: float, y: float) -> None:
    await room.abroadcast(Cursor(who=ws.user.username, x=x, y=y), key=ws.id, exclude=ws)


@cursors.on_leave
async def gone(ws: LiveSocket, room: Room) -> None:
    await room.aremove(ws.id)


async def test_a_page_begins_with_the_newest_prices():
    from django_fastws.testing import live

    market = prices(market="spot")
    await market.abroadcast(Price(bid=1, ask=2), key="BTC")
    async with live() as client:
        room = await client.join(market)
        assert room.latest == {"BTC": {"bid": 1, "ask": 2}}
        await market.abroadcast(Price(bid=3, ask=4), key="BTC")
        assert (await room.next(key="BTC")).data == {"bid": 3, "ask": 4}
        await market.aremove("BTC")
        assert (await room.next(key="BTC")).removed
        assert room.latest == {}
