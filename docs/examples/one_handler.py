"""A handler on its own."""

from channels.routing import URLRouter
from django.urls import path
from django_fastws import FastWS, WebSocket
from django_fastws.testing import connect

app = FastWS()


@app.websocket("/double/{number:int}")
async def double(ws: WebSocket, number: int):
    await ws.accept()
    await ws.send_json(2 * number)


async def test_double():
    application = URLRouter([path("<int:number>", double.as_asgi())])
    async with connect("/21", application=application) as ws:
        assert await ws.receive_json() == 42
