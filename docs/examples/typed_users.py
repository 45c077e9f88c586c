"""Handlers whose user has a type."""

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeAlias

from django.contrib.auth.models import User
from django_fastws import FastWS, LiveSocket, WebSocket, WebSocketException

app = FastWS(prefix="/ws")


@app.websocket("/profile", login_required=True)
async def profile(ws: WebSocket[User]) -> None:
    await ws.accept()
    await ws.send({"email": ws.user.email})


Arguments = ParamSpec("Arguments")


Handler: TypeAlias = Callable[Concatenate[WebSocket[User], Arguments], Coroutine[Any, Any, None]]


def staff_only(handler: Handler[Arguments]) -> Handler[Arguments]:
    @wraps(handler)
    async def wrapper(ws: WebSocket[User], /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        if not ws.user.is_staff:
            raise WebSocketException(4403, "staff only")
        await handler(ws, *args, **kwargs)

    return wrapper


@app.websocket("/audit/{shop}", login_required=True)
@staff_only
async def audit(ws: WebSocket[User], shop: str) -> None:
    await ws.accept()
    await ws.send({"shop": shop, "by": ws.user.get_full_name()})


desk = app.room("desk", login_required=True)


@desk.on("whoami")
async def whoami(ws: LiveSocket[User]) -> str:
    return ws.user.email
