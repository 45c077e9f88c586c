"""The application that the servers of the tests serve."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

from django_fastws.asgi import get_asgi_application

application = get_asgi_application()
