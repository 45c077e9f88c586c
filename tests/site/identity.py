"""A handler for those who are logged in, and a view that changes who they are."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model, login, update_session_auth_hash
from django.contrib.sessions.models import Session
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from django_fastws import FastWS, WebSocket

app = FastWS(prefix="/ws", tags=["site"])
BACKEND = "django.contrib.auth.backends.ModelBackend"


@app.websocket("/who", login_required=True)
async def who(ws: WebSocket) -> None:
    """Says who is there, and stays."""
    await ws.accept()
    await ws.send(ws.user.username)
    async for message in ws:
        await ws.send(message.data)


def change(request: HttpRequest) -> HttpResponse:
    """Change the user or the session of the request; says who that was."""
    user: Any = request.user
    name = user.username
    rows = get_user_model()._default_manager.filter(pk=user.pk)
    do = request.GET["do"]
    if do == "password":
        user.set_password("another")
        user.save()
    elif do == "own password":
        user.set_password("another")
        user.save()
        update_session_auth_hash(request, user)
    elif do == "another":
        other, _ = get_user_model()._default_manager.get_or_create(username=f"not {name}")
        login(request, other, BACKEND)
    elif do == "flush":
        request.session.flush()
    elif do == "new key":
        request.session.cycle_key()
    elif do == "deactivate":
        rows.update(is_active=False)
    elif do == "password by a query":
        rows.update(password="x")
    elif do == "expire":
        Session.objects.filter(pk=request.session.session_key).update(expire_date=timezone.now())
    return HttpResponse(name)
