"""Handlers of sockets that come in: users, sessions, rules, messages."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Concatenate, Literal, ParamSpec, TypedDict, assert_type

from channels.generic.websocket import AsyncWebsocketConsumer
from django.contrib.auth.models import AbstractUser, AnonymousUser, User
from django.contrib.sessions.backends.base import SessionBase
from django.http import QueryDict
from pydantic import BaseModel

from django_fastws import (
    FastWS,
    InvalidMessage,
    RouteError,
    WebSocket,
    WebSocketMessage,
    adisconnect,
    disconnect,
)
from django_fastws.types import SocketUser

app = FastWS(prefix="/ws", tags=["samples"])

Arguments = ParamSpec("Arguments")


class Member(AbstractUser):
    nickname = "Ada"

    class Meta(AbstractUser.Meta):
        abstract = True


class Order(BaseModel):
    side: Literal["buy", "sell"]


@dataclass
class Cancel:
    number: int


class Note(TypedDict):
    text: str


# Users and sessions


@app.websocket("/any")
async def any_user(ws: WebSocket) -> None:
    await ws.accept(headers={"X-Kind": "sample"})
    assert_type(ws.user, SocketUser)
    assert_type(ws.user.username, str)
    assert_type(ws.user.is_authenticated, bool)
    assert_type(await ws.user.ahas_perm("news.add_announcement"), bool)
    assert_type(ws.session, SessionBase)
    assert_type(ws.query_params, QueryDict)
    assert_type(ws.rooms, frozenset[str])
    await ws.session.asave()
    ws.scope["seen"] = True
    ws.user.nickname  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    ws.usr  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


@app.websocket("/own/{pk:int}", login_required=True)
async def own_user(ws: WebSocket[Member], pk: int, since: int = 0) -> None:
    assert_type(ws.user, Member)
    await ws.send(ws.user.nickname)
    ws.user.nick  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


@app.websocket("/django")
async def django_user(ws: WebSocket[User]) -> None:
    assert_type(ws.user, User)
    assert_type(ws.user.email, str)
    takes_any(ws)
    takes_some(ws)  # pyright: ignore[reportArgumentType] # takes fields of models for what they are in the class
    takes_members(ws)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def takes_any(ws: WebSocket[Any]) -> None:
    """Whatever the user is."""


def takes_some(ws: WebSocket) -> None:
    """Whatever the user is, if it has what those of Django have."""


def takes_members(ws: WebSocket[Member]) -> None:
    """Only with a user of ours."""


nobody: SocketUser = AnonymousUser()
somebody: SocketUser = User()  # pyright: ignore[reportAssignmentType] # as above


def ends(user: User, session: SessionBase) -> None:
    assert_type(disconnect(user=user, code=4401, reason="logged out"), None)
    disconnect(session=session)
    disconnect(user)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def ends_soon(user: User) -> None:
    await adisconnect(user=user.pk)


# Rules


def permitted(ws: WebSocket) -> bool:
    return ws.user.is_staff


def permitted_member(ws: WebSocket[Member]) -> bool:
    return bool(ws.user.nickname)


async def permitted_soon(ws: WebSocket[Member]) -> bool:
    return await ws.user.ahas_perm("news.add_announcement")


@app.websocket("/one", permission=permitted)
async def one_rule(ws: WebSocket) -> None: ...


@app.websocket("/several", permission=["news.add_announcement", permitted_member, permitted_soon])
async def several_rules(ws: WebSocket[Member]) -> None: ...


@app.websocket("/lambda", permission=lambda ws: ws.user.is_staff, rate=None, max_connections_per_user=3)
async def lambda_rule(ws: WebSocket) -> None: ...


@app.websocket("/no", permission=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
async def no_rule(ws: WebSocket) -> None: ...


# Decoration


def staff_only(
    handler: Callable[Concatenate[WebSocket, Arguments], Coroutine[Any, Any, None]],
) -> Callable[Concatenate[WebSocket, Arguments], Coroutine[Any, Any, None]]:
    @functools.wraps(handler)
    async def wrapper(ws: WebSocket, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        if ws.user.is_staff:
            await handler(ws, *args, **kwargs)

    return wrapper


@app.websocket("/shops/{shop}")
@staff_only
async def orders(ws: WebSocket, shop: str, tag: list[str] = []) -> None: ...  # noqa: B006


async def decorated(ws: WebSocket[Member]) -> None:
    assert_type(await own_user(ws, 5), None)
    assert_type(own_user.__name__, str)
    own_user.as_asgi()
    await own_user(ws, "5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@app.websocket("/sync")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
def sync_handler(ws: WebSocket) -> None: ...


@app.websocket("/consumer")
class Consumer(AsyncWebsocketConsumer):
    sent = 5


assert_type(Consumer.sent, int)

try:
    app.websocket("chat")(any_user)
except RouteError as error:
    text: str = str(error)


# Messages


@app.websocket("/messages")
async def messages(ws: WebSocket) -> None:
    await ws.send("text")
    await ws.send(b"binary")
    await ws.send({"a": [1]})
    await ws.send_json(5)
    await ws.send(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert_type(await ws.receive(), WebSocketMessage)
    assert_type(await ws.receive_text(), str)
    assert_type(await ws.receive_bytes(), bytes)
    assert_type(await ws.recv_str(), str)
    assert_type(await ws.ping(), float)
    async for message in ws:
        assert_type(message.data, str | bytes)
        assert_type(message.text, str | None)
    assert_type(ws.close_code, int | None)


@app.websocket("/typed")
async def typed_messages(ws: WebSocket) -> None:
    assert_type(await ws.receive_as(Order), Order)
    assert_type(await ws.receive_as(Cancel), Cancel)
    assert_type(await ws.receive_as(Note), Note)
    assert_type(await ws.receive_as(list[Order]), list[Order])
    assert_type(await ws.receive_as(Order | Cancel), Order | Cancel)
    assert_type(await ws.receive_as(Order | None), Order | None)
    assert_type(await ws.receive_as(Literal["a", "b"]), Literal["a", "b"])
    try:
        async for one in ws.iter_as(Order):
            assert_type(one, Order)
    except InvalidMessage as invalid:
        await ws.send({"errors": invalid.fields})
    async for either in ws.iter_as(Order | Cancel):
        assert_type(either, Order | Cancel)
