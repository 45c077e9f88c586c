"""Requests of HTTP publish, signed as the documentation says, without the code of the package."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from typing import Any

__all__ = ["KEYS", "SECRET", "encoded", "signed"]

SECRET = "for tests only, and long enough for that"
#: FASTWS_PUBLISH_KEYS, which servers get as JSON.
KEYS = {
    "shop": {"secret": SECRET, "rooms": ["orders/*", "kept/*", "log/*", "board/*", "raw"]},
    "all": {
        "secret": ["the new secret of this key, still longer", "the old one, which is used until it is gone"],
        "rooms": ["*"],
    },
    "none": {"secret": SECRET},
}


def encoded(*items: Any) -> bytes:
    """The body for these items."""
    return json.dumps({"publish": items}).encode()


def signed(
    body: bytes, key: str = "shop", secret: str = SECRET, *, timestamp: str | None = None, off: int = 0
) -> dict[str, str]:
    """The headers of a body.

    Args:
        timestamp: None is now.
        off: seconds that the clock is ahead.
    """
    timestamp = str(int(time.time()) + off) if timestamp is None else timestamp
    made = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {"X-Fastws-Key": key, "X-Fastws-Timestamp": timestamp, "X-Fastws-Signature": made}
