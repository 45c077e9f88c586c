"""URLs and a handler for the tests of outbound routes."""

from __future__ import annotations

URL, HTTP_URL = "ws://127.0.0.1/feed", "http://127.0.0.1/status"


METHODS = ("get", "post", "put", "patch", "delete", "head", "options")


async def handler(ws):
    """A handler."""
