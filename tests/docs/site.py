"""The application with the routes of one example, for a real server: DOCS_EXAMPLE names it."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

import django

django.setup()

from django.contrib.auth.models import User  # noqa: E402

from django_fastws.asgi import get_asgi_application  # noqa: E402
from django_fastws.routing.routes import registry  # noqa: E402
from tests.docs.examples import load  # noqa: E402


async def user_named(token, scope):
    """The user of a token, for FASTWS_LIVE_AUTHENTICATE: whoever it names."""
    return User(pk=5, username=token) if token else None


registry.apps.clear()
load(os.environ["DOCS_EXAMPLE"])

application = get_asgi_application()
