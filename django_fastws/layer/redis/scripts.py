"""Scripts of Redis, which are loaded once and called by the name that their text gives them."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

__all__ = ["Script"]


class Script(NamedTuple):
    """Script of Redis, and the name by which it is called once it is loaded."""

    text: bytes
    sha1: bytes

    @classmethod
    def of(cls, text: str) -> Script:
        encoded = text.encode()
        return cls(encoded, hashlib.sha1(encoded, usedforsecurity=False).hexdigest().encode())
