"""Handlers that use the database."""

import asyncio
import hashlib

from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.shortcuts import aget_object_or_404
from django_fastws import FastWS, WebSocket

app = FastWS(prefix="/ws")


@app.websocket("/groups/{pk}")
async def members(ws: WebSocket, pk: int):
    group = await aget_object_or_404(Group, pk=pk)  # denied with 404
    await ws.accept()
    await ws.send_json([user.username async for user in User.objects.filter(groups=group).order_by("username")])
    while True:  # until the client has gone
        await rename(pk, await ws.receive_text())
        await ws.send("renamed")


@sync_to_async
def rename(pk: int, name: str):
    with transaction.atomic():
        group = Group.objects.select_for_update().get(pk=pk)
        group.name = name
        group.save()


@app.websocket("/export")
async def export(ws: WebSocket):
    await ws.accept()
    async for name in Group.objects.order_by("pk").values_list("name", flat=True).aiterator(chunk_size=500):
        await ws.send(name)


@app.websocket("/digest")
async def digest(ws: WebSocket):
    await ws.accept()
    while True:
        text = await ws.receive_text()
        key = await asyncio.to_thread(hashlib.scrypt, text.encode(), salt=b"salt", n=1024, r=8, p=1)
        await ws.send(key)
