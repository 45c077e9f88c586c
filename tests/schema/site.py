"""The application of the console's tests: the rooms of ``desk.py``, the docs page at /live/, and a strict policy."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

import django
from django.conf import settings

settings.MIDDLEWARE += ["tests.schema.site.with_policy"]
settings.ROOT_URLCONF = "tests.schema.site"
django.setup()

from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler  # noqa: E402
from django.urls import include, path  # noqa: E402

from django_fastws.asgi import get_asgi_application  # noqa: E402
from django_fastws.routing.routes import registry  # noqa: E402
from tests.site.urls import urlpatterns as site_urlpatterns  # noqa: E402

registry.apps.clear()
from tests.schema import desk  # noqa: E402

if another := os.environ.get("DESK_ROOM"):
    desk.app.room(another)

urlpatterns = [path("live/", include("django_fastws.urls")), *site_urlpatterns]


def with_policy(get_response):
    """Middleware: nothing but what the page's own server has."""

    def respond(request):
        response = get_response(request)
        response.headers["Content-Security-Policy"] = "default-src 'self'"
        return response

    return respond


class Application:
    """HTTP with static files, as ``runserver`` has them; WebSockets past them."""

    def __init__(self):
        self._application = get_asgi_application()
        self._static = ASGIStaticFilesHandler(self._application)

    async def __call__(self, scope, receive, send):
        application = self._static if scope["type"] == "http" else self._application
        await application(scope, receive, send)


application = Application()
