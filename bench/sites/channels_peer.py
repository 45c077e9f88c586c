"""The same in Channels, written and stacked as its documentation does."""

import json
from typing import Any
from urllib.parse import parse_qs

from channels.auth import AuthMiddlewareStack
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.core.asgi import get_asgi_application
from django.urls import path
from pydantic import BaseModel, ValidationError

from bench.messages import READY, MostText
from bench.sites.heartbeat import with_heartbeat

_encode = json.JSONEncoder(separators=(",", ":")).encode


class Consumer(AsyncJsonWebsocketConsumer):  # type: ignore[misc]
    """Sends JSON without spaces, so that everybody's messages have the same bytes; it takes no longer."""

    @classmethod
    async def encode_json(cls, content: Any) -> str:
        return _encode(content)


class Room(Consumer):
    """What a member says, all members get."""

    async def connect(self) -> None:
        self.room = self.scope["url_route"]["kwargs"]["room"]
        await self.channel_layer.group_add(self.room, self.channel_name)
        await self.accept()
        await self.send(text_data=READY)

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(self.room, self.channel_name)

    async def receive_json(self, content: Any) -> None:
        await self.channel_layer.group_send(self.room, {"type": "room.message", "content": content})

    async def room_message(self, event: dict[str, Any]) -> None:
        await self.send_json(event["content"])


class Hello(Consumer):
    """A first message, and then nothing."""

    async def connect(self) -> None:
        await self.accept()
        await self.send(text_data=READY)


class Rooms(Consumer):
    """A member of several rooms, who says in which one it speaks."""

    async def connect(self) -> None:
        self.rooms = parse_qs(self.scope["query_string"].decode())["room"]
        for room in self.rooms:
            await self.channel_layer.group_add(room, self.channel_name)
        await self.accept()
        await self.send(text_data=READY)

    async def disconnect(self, code: int) -> None:
        for room in self.rooms:
            await self.channel_layer.group_discard(room, self.channel_name)

    async def receive_json(self, content: Any) -> None:
        await self.channel_layer.group_send(content["room"], {"type": "room.message", "content": content})

    async def room_message(self, event: dict[str, Any]) -> None:
        await self.send_json(event["content"])


class Echo(Consumer):
    """JSON in, JSON out."""

    async def receive_json(self, content: Any) -> None:
        await self.send_json(content)


class Said(BaseModel):
    """What is said in a call."""

    user: str
    text: MostText


class Calls(Consumer):
    """Answers each call with the length of its text, or with what is wrong."""

    async def receive_json(self, content: Any) -> None:
        if content.get("event") != "say":
            await self.send_json({"id": content.get("id"), "error": "unknown event"})
            return
        try:
            said = Said.model_validate(content.get("data"))
        except ValidationError as error:
            await self.send_json({"id": content.get("id"), "error": error.errors(include_url=False)})
            return
        await self.send_json({"id": content["id"], "ok": len(said.text)})


_http = get_asgi_application()
_routes = [
    path("room/<str:room>", Room.as_asgi()),
    path("hello", Hello.as_asgi()),
    path("rooms", Rooms.as_asgi()),
    path("echo", Echo.as_asgi()),
    path("call", Calls.as_asgi()),
]
application = ProtocolTypeRouter(
    {"http": _http, "websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(_routes)))}
)
with_pauses = with_heartbeat(application)
