"""receive_as() and iter_as(): validated messages, and what is left of the socket after one that does not fit."""

from __future__ import annotations

import logging
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from django_fastws import FastWS, InvalidMessage, WebSocket
from django_fastws.testing import connect


class Buy(BaseModel):
    side: Literal["buy"]
    count: int


class Sell(BaseModel):
    side: Literal["sell"]
    price: int


Order = Annotated[Buy | Sell, Field(discriminator="side")]


async def receive(ws: WebSocket) -> None:
    order: Any = await ws.receive_as(Order)
    await ws.send(type(order).__name__)


async def iterate(ws: WebSocket) -> None:
    async for order in ws.iter_as(Order):
        await ws.send(type(order).__name__)


@pytest.fixture(params=[receive, iterate])
def taking(request, routes):
    """A route whose handler receives in one of the ways, until the socket is closed."""

    @FastWS().websocket("/take")
    async def take(ws: WebSocket) -> None:
        await ws.accept()
        while not ws.closed:
            await request.param(ws)


@pytest.mark.parametrize("sent", ['{"side":"sell","price":1}', b'{"side":"sell","price":1}'])
async def test_a_message_is_what_it_was_asked_for_as(taking, sent):
    async with connect("/take") as ws:
        await ws.send(sent)
        assert await ws.receive_text() == "Sell"
        await ws.send('{"side":"buy","count":1}')
        assert await ws.receive_text() == "Buy"


@pytest.mark.parametrize(
    ("sent", "code", "reason"),
    [
        ("{", 1007, "the message is not JSON"),
        (b"\xff", 1007, "the message is not JSON"),
        ('{"side":"buy"}', 1008, "buy.count: Field required"),
    ],
)
async def test_what_does_not_fit_closes_the_socket_if_nobody_catches_it(taking, caplog, sent, code, reason):
    caplog.set_level(logging.INFO)
    async with connect("/take") as ws:
        await ws.send(sent)
        assert (await ws.wait_closed(), ws.close_reason) == (code, reason)
    (record,) = [record for record in caplog.records if record.name == "django_fastws.handlers"]
    assert (record.levelno, record.exc_info) == (logging.INFO, None)


async def test_an_iterator_goes_on_after_what_does_not_fit(routes):
    @FastWS().websocket("/take")
    async def take(ws: WebSocket) -> None:
        await ws.accept()
        orders = ws.iter_as(Buy)
        with pytest.raises(InvalidMessage) as raised:
            await anext(orders)
        await ws.send(raised.value.fields)
        async for order in orders:
            await ws.send(str(order.count))

    async with connect("/take") as ws:
        await ws.send("{}")
        assert await ws.receive_json() == {"side": ["Field required"], "count": ["Field required"]}
        await ws.send('{"side":"buy","count":7}')
        assert await ws.receive_text() == "7"


async def test_an_iterator_ends_when_the_connection_is_closed(routes):
    ended = []

    @FastWS().websocket("/take")
    async def take(ws: WebSocket) -> None:
        await ws.accept()
        async for _ in ws.iter_as(Buy):
            pass
        ended.append(ws.close_code)

    async with connect("/take") as ws:
        await ws.close(4000)
    assert ended == [4000]
