"""ASGI applications, which have other types in each library, and the test client."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, assert_type

from asgiref.typing import ASGI3Application, ASGIReceiveCallable, ASGISendCallable
from asgiref.typing import Scope as AsgirefScope
from channels.routing import ProtocolTypeRouter, URLRouter
from django.contrib.auth.models import User
from django.urls import path

from django_fastws import FastWS, WebSocket, WebSocketMessage
from django_fastws.asgi import AuthMiddleware, Handshake, OriginCheck, SessionMiddleware, get_asgi_application
from django_fastws.routing import WebSocketRouter, reverse_ws, websocket_urlpatterns
from django_fastws.testing import (
    HandshakeDenied,
    JoinedRoom,
    Left,
    LiveClient,
    Peer,
    ReceivedEvent,
    TestWebSocket,
    connect,
    live,
    peer,
)

app = FastWS()

# As Starlette calls them.
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
StarletteApp = Callable[[Scope, Receive, Send], Awaitable[None]]


@app.websocket("/chat/{room}")
async def chat(ws: WebSocket, room: str) -> None: ...


@app.ws("wss://feed.example/")
async def feed(ws: WebSocket) -> None: ...


async def by_asgiref(scope: AsgirefScope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None: ...


async def by_starlette(scope: Scope, receive: Receive, send: Send) -> None: ...


async def by_hand(scope: dict[str, Any], receive: Any, send: Any) -> None: ...


class Middleware:
    def __init__(self, inner: ASGI3Application) -> None:
        self.inner = inner

    async def __call__(self, scope: AsgirefScope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await self.inner(scope, receive, send)


def middleware(inner: StarletteApp) -> StarletteApp:
    return inner


applications = [
    Handshake(by_asgiref),
    Handshake(by_starlette),
    Handshake(by_hand),
    Handshake(Middleware(by_asgiref)),
    Handshake(URLRouter(websocket_urlpatterns())),
    Handshake(URLRouter([path("chat/<str:room>", chat.as_asgi())])),
    Handshake(OriginCheck(SessionMiddleware(AuthMiddleware(WebSocketRouter())))),
]
ProtocolTypeRouter({"http": get_asgi_application(), "websocket": Handshake(WebSocketRouter())})
application = get_asgi_application(websocket_middleware=["mysite.TokenMiddleware", Middleware, middleware])
Handshake(chat)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def served_by_asgiref(app: ASGI3Application) -> None: ...


def served_by_starlette(app: StarletteApp) -> None: ...


served_by_asgiref(application)
served_by_starlette(application)
for one in applications:
    served_by_asgiref(one)
    served_by_starlette(one)
for inner in (OriginCheck(by_hand), SessionMiddleware(by_hand), AuthMiddleware(by_hand), WebSocketRouter()):
    served_by_asgiref(inner)
    served_by_starlette(inner)
assert_type(reverse_ws("chat", room="lobby"), str)
reverse_ws(chat, room="lobby")


async def test_chat(user: User) -> None:
    async with connect("/chat/lobby", application=by_asgiref, user=user, headers={"Accept": "*/*"}) as ws:
        assert_type(ws, TestWebSocket)
        await ws.send({"text": "hello"})
        assert_type(await ws.receive(), WebSocketMessage)
        assert_type(await ws.receive_text(timeout=1), str)
        assert_type(await ws.receive_nothing(), bool)
        assert_type(await ws.wait_closed(), int)
        async for message in ws:
            assert_type(message, WebSocketMessage)
    try:
        async with connect("/chat/lobby", application=URLRouter([])):
            pass
    except HandshakeDenied as denied:
        assert_type(denied.status, int)


async def test_rooms(user: User) -> None:
    async with live(user=user) as client:
        assert_type(client, LiveClient)
        room = await client.join("tickets/5")
        assert_type(room, JoinedRoom)
        heard = await room.next()
        assert_type(heard, ReceivedEvent)
        await room.call("say", text="hello")
        async for number in room.stream("numbers", to=3):
            print(number)
        assert_type(await room.wait_left(), Left)


async def test_feed() -> None:
    async with peer(feed) as server:
        assert_type(server, Peer)
        await server.send_json({"price": 5})
        assert_type(await server.receive(), WebSocketMessage)
