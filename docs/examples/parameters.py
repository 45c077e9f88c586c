"""Parameters of the path and the query string."""

import datetime as dt
from decimal import Decimal
from enum import Enum
from typing import Annotated, Literal
from uuid import UUID

from annotated_types import Gt, MaxLen
from django_fastws import FastWS, Query, WebSocket, WebSocketException

app = FastWS(prefix="/ws")


class Side(Enum):
    BUY = "buy"
    SELL = "sell"


@app.websocket("/ticker/{market}")
async def ticker(
    ws: WebSocket,
    market: Annotated[str, "slug"],  # from the path
    currency: Literal["EUR", "USD"],  # ?currency=EUR, required
    limit: int = 100,  # &limit=20
    side: Side | None = None,  # &side=buy
    above: Decimal | None = None,  # &above=12.50
    since: dt.date | None = None,  # &since=2024-12-31
    symbol: list[str] = [],  # &symbol=ABC&symbol=XYZ
    raw: bool = False,  # &raw=true
):
    await ws.accept()
    await ws.send_json(
        {
            "market": market,
            "currency": currency,
            "limit": limit,
            "side": side,
            "above": above,
            "since": since,
            "symbols": symbol,
            "raw": raw,
        }
    )


@app.websocket("/orders/{order}")
async def order(ws: WebSocket, order: UUID):
    await ws.accept()
    await ws.send_json({"order": order})


@app.websocket("/search")
async def search(ws: WebSocket):
    await ws.accept()
    filters = {name: values for name, values in ws.query_params.lists() if name.startswith("filter-")}
    await ws.send_json(filters)


@app.websocket("/page")
async def page(
    ws: WebSocket,
    number: Annotated[int, Gt(0)] = 1,  # ?number=2
    ids: Annotated[list[int], MaxLen(100), Query(alias="ids[]")] = [],  # &ids[]=4&ids[]=5
):
    await ws.accept()
    await ws.send_json({"number": number, "ids": ids})


@app.websocket("/window")
async def window(ws: WebSocket, start: dt.datetime, end: dt.datetime):
    await ws.accept()
    if end <= start:
        raise WebSocketException(1008, "the end must come after the start")
    await ws.send_json({"seconds": (end - start).total_seconds()})
