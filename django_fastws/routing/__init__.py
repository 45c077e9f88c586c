"""Routing from a URL to a handler: routes and their registry, the router, endpoints, signatures of handlers."""

from __future__ import annotations

from .activation import Activation
from .consumer import ConsumerEndpoint
from .declarations import check_name, checked_tags, checks_options, did_you_mean
from .endpoint import Endpoint
from .outbound_decorators import OutboundDecorators
from .router import WebSocketRouter, reverse_ws, websocket_urlpatterns
from .routes import OutboundRoute, Problem, Route, registry
from .signatures import Signature, label_of, place_of, read_signature

__all__ = [
    "Activation",
    "ConsumerEndpoint",
    "Endpoint",
    "OutboundDecorators",
    "OutboundRoute",
    "Problem",
    "Route",
    "Signature",
    "WebSocketRouter",
    "check_name",
    "checked_tags",
    "checks_options",
    "did_you_mean",
    "label_of",
    "place_of",
    "read_signature",
    "registry",
    "reverse_ws",
    "websocket_urlpatterns",
]
