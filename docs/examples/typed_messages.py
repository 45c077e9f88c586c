"""A socket that takes typed messages, and says what is wrong with the others."""

from __future__ import annotations

from typing import Literal

from django_fastws import FastWS, InvalidMessage, WebSocket
from pydantic import BaseModel, PositiveInt

app = FastWS()


class Order(BaseModel):
    side: Literal["buy", "sell"]
    count: PositiveInt


@app.websocket("/orders")
async def orders(ws: WebSocket) -> None:
    await ws.accept()
    while not ws.closed:
        try:
            async for order in ws.iter_as(Order):
                await ws.send({"done": f"{order.side} {order.count}"})
        except InvalidMessage as error:
            await ws.send({"errors": error.fields})
