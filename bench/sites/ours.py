"""This package, on any ASGI server."""

from bench.sites.heartbeat import with_heartbeat
from django_fastws.asgi import get_asgi_application

application = get_asgi_application()
with_pauses = with_heartbeat(application)
