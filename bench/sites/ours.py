"""This package, on any ASGI server."""

from django_fastws.asgi import get_asgi_application

application = get_asgi_application()
