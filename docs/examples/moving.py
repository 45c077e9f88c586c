"""A project on its way from Channels: one consumer, one handler, one room for both."""

import json

from channels.generic.websocket import AsyncWebsocketConsumer
from channels.layers import get_channel_layer
from django_fastws import FastWS, Room, WebSocket

app = FastWS(prefix="/ws")


@app.websocket("/old/{room:slug}")
class OldChat(AsyncWebsocketConsumer):
    async def connect(self):
        self.room = self.scope["url_route"]["kwargs"]["room"]
        await self.channel_layer.group_add(f"chat_{self.room}", self.channel_name)
        await self.accept()

    async def disconnect(self, code):
        await self.channel_layer.group_discard(f"chat_{self.room}", self.channel_name)

    async def receive(self, text_data=None, bytes_data=None):
        await say(self.room, text_data)

    async def chat_message(self, event):
        await self.send(text_data=json.dumps({"message": event["message"]}))


@app.websocket("/new/{room}")
async def new_chat(ws: WebSocket, room: str):
    await ws.accept()
    await ws.join(room)
    async for message in ws:
        await say(room, message.text)


async def say(room, text):
    """Until the last consumer of this group has moved, send to both."""
    await Room(room).abroadcast({"message": text})
    await get_channel_layer().group_send(f"chat_{room}", {"type": "chat.message", "message": text})
