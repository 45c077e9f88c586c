"""WebSocket middleware."""

import time

from django_fastws import FastWS, WebSocket
from django_fastws.asgi import get_asgi_application

app = FastWS(prefix="/ws")


@app.websocket("/tenant")
async def tenant(ws: WebSocket):
    await ws.accept()
    await ws.send({"tenant": ws.scope["tenant"]})


class TenantMiddleware:
    """Finds the tenant by the host."""

    def __init__(self, inner):
        self.inner = inner

    async def __call__(self, scope, receive, send):
        host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
        await self.inner({**scope, "tenant": host.split(".")[0]}, receive, send)


class CountingMiddleware:
    """Counts what is sent, and for how long."""

    def __init__(self, inner, report=print):
        self.inner = inner
        self.report = report

    async def __call__(self, scope, receive, send):
        sent, started = 0, time.monotonic()

        async def counting_send(event):
            nonlocal sent
            sent += event["type"] == "websocket.send"
            await send(event)

        try:
            await self.inner(scope, receive, counting_send)
        finally:
            self.report(f"{scope['path']}: {sent} messages in {time.monotonic() - started:.0f} s")


def make_application():
    return get_asgi_application(websocket_middleware=[TenantMiddleware, CountingMiddleware])
