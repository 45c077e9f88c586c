"""Limits and rules, beside the route that they are for."""

from django.contrib.auth.models import User
from django.http import JsonResponse
from django_fastws import FastWS, Room, WebSocket, adisconnect, disconnect
from django_fastws.limits import statistics

app = FastWS(prefix="/ws")


@app.websocket(
    "/chat/{room}",
    login_required=True,
    max_connections_per_user=5,
    rate="20/s burst 40",
    max_message_bytes=4096,
    idle_timeout=300,
    max_lifetime=3600,
)
async def chat(ws: WebSocket, room: str):
    await ws.accept()
    await ws.join(room)
    async for message in ws:
        await ws.broadcast(room, {"username": ws.user.get_username(), "message": message.text})


@app.websocket("/export", max_connections=2, handshake_rate="1/s")
async def export(ws: WebSocket):
    await ws.accept()
    await ws.send({"done": 100})


@app.websocket("/moderation", permission="auth.change_user")
async def moderation(ws: WebSocket):
    await ws.accept()
    await ws.join("reports")
    async for message in ws:
        await Room("reports").abroadcast(message.json())


def is_in_group(ws):
    return ws.user.groups.filter(name=ws.path_params["group"]).exists()


@app.websocket("/groups/{group}", login_required=True, permission=is_in_group)
async def group(ws: WebSocket, group: str):
    await ws.accept()
    await ws.send({"group": group})


def health(request):
    now = statistics()
    return JsonResponse({"connections": now.connections, "denied": dict(now.denied), "closed": dict(now.closed)})


def ban(request, pk):
    User.objects.filter(pk=pk).update(is_active=False)
    disconnect(user=pk, code=4403, reason="banned")
    return JsonResponse({"banned": pk})


async def leave_everywhere(request):
    await adisconnect(user=await request.auser(), code=4401, reason="signed out everywhere")
    return JsonResponse({})
