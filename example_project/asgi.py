"""The ASGI application of the example, for any server: ``daphne example_project.asgi:application``."""

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "example_project.settings")

from django.conf import settings
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler

from django_fastws.asgi import get_asgi_application

application: Any = get_asgi_application()  # Django's own class is what the one below is typed for

if settings.DEBUG:
    # runserver serves the static files by itself; with this, every other server does while developing.
    application = ASGIStaticFilesHandler(application)
