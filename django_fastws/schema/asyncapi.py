"""AsyncAPI 3.0 document of live rooms and of the routes of raw sockets.

The application that it describes is the server: what it receives, clients send.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ..routing import Route
from .asyncapi_channels import Document, Keys, message_of, write_connection, write_room
from .definitions import DEFINITIONS
from .description import Description
from .frame_schemas import COMMON, HISTORY, error_frame

__all__ = ["Info", "asyncapi"]


class Info(NamedTuple):
    """Head of the document: title, version and server.

    Attributes:
        version: of the project's interface.
        host: of the server, with its port.
        is_secure: wss, not ws.
        live_path: of live sockets; None where they are not served.
    """

    title: str
    version: str = "0.0.0"
    host: str = "localhost:8000"
    is_secure: bool = False
    live_path: str | None = "/ws/live"


def asyncapi(description: Description, routes: Iterable[Route], info: Info) -> Document:
    """The document.

    Args:
        routes: of raw sockets, which get a channel each; what goes through them is not known.
    """
    document: Document = {
        "asyncapi": "3.0.0",
        "info": {"title": info.title, "version": info.version},
        "defaultContentType": "application/json",
        "servers": {},
        "channels": {},
        "operations": {},
        "components": {"messages": {}, "schemas": {}},
    }
    server = {"host": info.host, "protocol": "wss" if info.is_secure else "ws"}
    if description.rooms and info.live_path is not None:
        about = "Live rooms, all over one socket, in the protocol fastws.v1. A channel's address is a room's name."
        document["servers"]["live"] = {**server, "pathname": info.live_path, "description": about}
        document["components"]["messages"]["error"] = message_of("error", error_frame(), title="Error")
        has_history = any(room.history is not None for room in description.rooms)
        document["components"]["schemas"] = COMMON | (HISTORY if has_history else {}) | description.definitions
        keys = Keys()
        write_connection(document, keys)
        for room in description.rooms:
            write_room(document, keys, room)
    _write_routes(document, list(routes), server)
    converted: Document = _converted(document)
    return converted


def _write_routes(document: Document, routes: list[Route], server: Document) -> None:
    """A channel for each route of raw sockets."""
    if not routes:
        return
    document["servers"]["sockets"] = {**server, "description": "Sockets of other protocols."}
    keys = Keys()
    for route in routes:
        channel: Document = {
            "address": "/" + route.pattern.fill({param.name: f"{{{param.name}}}" for param in route.pattern.params}),
            "title": route.name,
            "servers": [{"$ref": "#/servers/sockets"}],
        }
        if route.pattern.params:
            channel["parameters"] = {param.name: {} for param in route.pattern.params}
        if route.tags:
            channel["tags"] = [{"name": tag} for tag in dict.fromkeys(route.tags)]
        document["channels"][keys.make("socket", route.name)] = channel


def _converted(value: Any) -> Any:
    """JSON Schemas of 2020-12 as AsyncAPI has them, which are of draft 7, and their references as within it."""
    if isinstance(value, list):
        return [_converted(one) for one in value]
    if not isinstance(value, Mapping):
        return value
    found = {key: _converted(one) for key, one in value.items()}
    if isinstance(reference := found.get("$ref"), str) and reference.startswith(DEFINITIONS):
        found["$ref"] = "#/components/schemas/" + reference.removeprefix(DEFINITIONS)
    if "prefixItems" in found:
        rest = found.pop("items", None)
        found["items"] = found.pop("prefixItems")
        if rest is not None:
            found["additionalItems"] = rest
    if isinstance(found.get("discriminator"), dict) and "propertyName" in found["discriminator"]:
        found["discriminator"] = found["discriminator"]["propertyName"]
    return found
