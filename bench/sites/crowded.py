"""This package, with the users of the crowd."""

from django_fastws.asgi import get_asgi_application

application = get_asgi_application(websocket_middleware=["bench.sites.crowd.CrowdUsers"])
