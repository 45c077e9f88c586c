"""Routing from a URL to a handler: routes and their registry, the router, endpoints, signatures of handlers."""

from __future__ import annotations

from .activation import Activation
from .annotations import signature_of
from .consumer import ConsumerEndpoint
from .declarations import check_name, checked_tags, checks_options, converter_of, did_you_mean
from .endpoint import Endpoint
from .outbound_decorators import OutboundDecorators
from .router import WebSocketRouter, reverse_ws, websocket_urlpatterns
from .routes import OutboundRoute, Problem, Registry, Route, registry
from .signatures import Signature, check_async, label_of, place_of, read_signature, resolved_annotation

__all__ = [
    "Activation",
    "ConsumerEndpoint",
    "Endpoint",
    "OutboundDecorators",
    "OutboundRoute",
    "Problem",
    "Registry",
    "Route",
    "Signature",
    "WebSocketRouter",
    "check_async",
    "check_name",
    "checked_tags",
    "checks_options",
    "converter_of",
    "did_you_mean",
    "label_of",
    "place_of",
    "read_signature",
    "registry",
    "resolved_annotation",
    "reverse_ws",
    "signature_of",
    "websocket_urlpatterns",
]
