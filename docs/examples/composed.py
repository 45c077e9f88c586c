"""asgi.py, composed by hand."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
django_application = get_asgi_application()  # first: it sets Django up

from channels.routing import ProtocolTypeRouter
from django_fastws.asgi import AuthMiddleware, Handshake, OriginCheck, SessionMiddleware
from django_fastws.routing import WebSocketRouter

application = ProtocolTypeRouter(
    {
        "http": django_application,
        "websocket": Handshake(OriginCheck(SessionMiddleware(AuthMiddleware(WebSocketRouter())))),
    }
)
