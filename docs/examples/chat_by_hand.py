import hashlib
import json
from urllib.parse import parse_qs

from channels.generic.websocket import AsyncWebsocketConsumer


class ChatConsumer(AsyncWebsocketConsumer):
    async def connect(self):
        room = self.scope["url_route"]["kwargs"]["room"]
        query = parse_qs(self.scope["query_string"].decode())
        self.username = query.get("username", ["Anonymous"])[-1]
        # A group's name takes ASCII letters, digits, hyphens, underscores and dots.
        self.group = "chat." + hashlib.sha256(room.encode()).hexdigest()
        await self.channel_layer.group_add(self.group, self.channel_name)
        await self.accept()

    async def disconnect(self, code):
        await self.channel_layer.group_discard(self.group, self.channel_name)

    async def receive(self, text_data=None, bytes_data=None):
        event = {"type": "chat.message", "username": self.username, "message": text_data}
        await self.channel_layer.group_send(self.group, event)

    async def chat_message(self, event):
        await self.send(text_data=json.dumps({"username": event["username"], "message": event["message"]}))
