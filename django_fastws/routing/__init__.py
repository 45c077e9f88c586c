"""From a URL to a handler: routes, the router, and what a handler takes."""

from __future__ import annotations

from .activation import Activation
from .client_options import RequestOptions, check_request, check_socket, kept, request_options, statuses
from .consumer import ConsumerEndpoint
from .endpoint import Endpoint
from .router import WebSocketRouter, reverse_ws, websocket_urlpatterns
from .routes import OutboundRoute, Problem, Route, registry
from .signatures import Signature, check_handler, label_of, place_of, read_signature
from .spelling import checks_options, did_you_mean, unknown_option

__all__ = [
    "Activation",
    "ConsumerEndpoint",
    "Endpoint",
    "OutboundRoute",
    "Problem",
    "RequestOptions",
    "Route",
    "Signature",
    "WebSocketRouter",
    "check_handler",
    "check_request",
    "check_socket",
    "checks_options",
    "did_you_mean",
    "kept",
    "label_of",
    "place_of",
    "read_signature",
    "registry",
    "request_options",
    "reverse_ws",
    "statuses",
    "unknown_option",
    "websocket_urlpatterns",
]
