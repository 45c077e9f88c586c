"""Authority of a URL: user, host and port (RFC 3986 section 3.2)."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

__all__ = ["split_url"]

# Older Pythons (3.11.7 is one) overlook what stands beside the brackets of an IPv6 address.
_SHAPE = re.compile(r"(?:[^\[\]]*@)?(?:\[[^\[\]]+\]|[^\[\]:]*)(?::[0-9]*)?")


def split_url(url: str) -> SplitResult:
    """Split a URL as ``urlsplit()`` does, and check its host and port at once.

    Raises:
        ValueError: brackets that do not match or stand beside the host, or a port that is none.
    """
    parts = urlsplit(url)
    if not _SHAPE.fullmatch(parts.netloc):
        raise ValueError("the host or the port is malformed")
    _ = parts.port  # raises where it is out of range
    return parts
