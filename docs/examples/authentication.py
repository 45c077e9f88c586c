"""Who is connected."""

import functools

from django.contrib.auth.models import AnonymousUser, User
from django.core import signing
from django_fastws import FastWS, WebSocket, WebSocketException

app = FastWS(prefix="/ws")


@app.websocket("/whoami")
async def whoami(ws: WebSocket):
    await ws.accept()
    await ws.send({"username": ws.user.get_username(), "is_authenticated": ws.user.is_authenticated})


@app.websocket("/inbox")
async def inbox(ws: WebSocket):
    if not ws.user.is_authenticated:
        raise WebSocketException(4401, "log in first")
    await ws.accept()
    await ws.join(f"user-{ws.user.pk}")
    async for _ in ws:
        pass


@app.websocket("/drafts")
async def drafts(ws: WebSocket):
    await ws.accept()
    if not ws.user.is_authenticated:
        raise WebSocketException(4401, "log in first")
    await ws.send({"type": "welcome"})


def staff_only(handler):
    @functools.wraps(handler)
    async def wrapper(ws, *args, **kwargs):
        if not ws.user.is_staff:
            raise WebSocketException(4403, "staff only")
        await handler(ws, *args, **kwargs)

    return wrapper


@app.websocket("/orders/{shop}")
@staff_only
async def orders(ws: WebSocket, shop: str, only_open: bool = True):
    await ws.accept()
    await ws.send({"shop": shop, "only_open": only_open})


@app.websocket("/basket")
async def basket(ws: WebSocket):
    await ws.accept()
    await ws.send({"items": ws.session.get("basket", [])})
    async for message in ws:
        ws.session["basket"] = [*ws.session.get("basket", []), message.text]
        await ws.session.asave()
        await ws.send({"items": ws.session["basket"]})


class TokenMiddleware:
    """Authorization: Bearer <token>, for clients that have no session."""

    def __init__(self, inner):
        self.inner = inner

    async def __call__(self, scope, receive, send):
        header = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
        if header.startswith("Bearer "):
            scope = {**scope, "user": await self.user_of(header.removeprefix("Bearer "))}
        await self.inner(scope, receive, send)

    async def user_of(self, token):
        try:
            pk = signing.loads(token, salt="ws", max_age=3600)
            return await User.objects.aget(pk=pk, is_active=True)
        except (signing.BadSignature, User.DoesNotExist):
            return AnonymousUser()


def make_token(user):
    return signing.dumps(user.pk, salt="ws")
