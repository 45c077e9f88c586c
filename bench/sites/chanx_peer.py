"""Calls with answers in chanx, written as its documentation does and stacked as Channels' does."""

import json
from typing import Any, Literal

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from chanx.channels.websocket import AsyncJsonWebsocketConsumer
from chanx.core.decorators import channel, ws_handler
from chanx.messages.base import BaseMessage
from django.core.asgi import get_asgi_application
from django.urls import path
from pydantic import BaseModel

from bench.messages import MostText

_encode = json.JSONEncoder(separators=(",", ":")).encode


class Said(BaseModel):
    """What is said."""

    user: str
    text: MostText


class Say(BaseMessage):
    """A call."""

    action: Literal["say"] = "say"
    payload: Said
    id: int


class Length(BaseMessage):
    """Its answer."""

    action: Literal["ok"] = "ok"
    payload: int
    id: int


@channel(name="calls")
class Calls(AsyncJsonWebsocketConsumer):  # type: ignore[misc]
    """Answers each call with the length of its text."""

    @ws_handler(output_type=Length)
    async def say(self, message: Say) -> Length:
        return Length(payload=len(message.payload.text), id=message.id)

    @classmethod
    async def encode_json(cls, content: Any) -> str:
        return _encode(content)  # the same bytes, without spaces


_http = get_asgi_application()
_routes = [path("call", Calls.as_asgi())]
application = ProtocolTypeRouter(
    {"http": _http, "websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(_routes)))}
)
