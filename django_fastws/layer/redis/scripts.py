"""Scripts of Redis, which are loaded once and called by the name that their text gives them."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

__all__ = ["PUBLISH", "SHARDED_END", "Script"]

#: How the name of a channel ends that is published with SPUBLISH, in a cluster; no name of a group ends so.
SHARDED_END = "}"

#: Lua that publishes on the channel of a group: ``publish(channel, data)`` is Redis' reply, or its error as a table.
PUBLISH = f"""
local function publish(channel, data)
    return redis.pcall(string.sub(channel, -1) == '{SHARDED_END}' and 'SPUBLISH' or 'PUBLISH', channel, data)
end
"""


class Script(NamedTuple):
    """Script of Redis, and the name by which it is called once it is loaded."""

    text: bytes
    sha1: bytes

    @classmethod
    def of(cls, text: str) -> Script:
        encoded = text.encode()
        return cls(encoded, hashlib.sha1(encoded, usedforsecurity=False).hexdigest().encode())
