"""Handlers mounted one by one."""

from channels.routing import URLRouter
from django.urls import path
from django_fastws import FastWS, WebSocket
from django_fastws.asgi import Handshake
from django_fastws.routing import websocket_urlpatterns

app = FastWS()


@app.websocket("/status")
async def status(ws: WebSocket):
    await ws.accept()
    await ws.send("up")


@app.websocket("/chat/{room}")
async def chat(ws: WebSocket, room: str):
    await ws.accept()
    await ws.send(room)


# Every route, below a path of its own.
below = Handshake(URLRouter([path("v2/", URLRouter(websocket_urlpatterns()))]))

# One handler, on two paths that only this router knows.
alone = Handshake(
    URLRouter(
        [
            path("talk/<str:room>", chat.as_asgi()),
            path("gossip/<slug:room>", chat.as_asgi()),
        ]
    )
)
