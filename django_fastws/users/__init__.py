"""Users of connections: who is connected, and how their sockets are closed from anywhere."""

from __future__ import annotations

from .authentication import is_loaded, load_session, load_user, names_a_user, unload
from .identity import Identity
from .registry import adisconnect, count_users, current_users, disconnect
from .sessions import watched

__all__ = [
    "Identity",
    "adisconnect",
    "count_users",
    "current_users",
    "disconnect",
    "is_loaded",
    "load_session",
    "load_user",
    "names_a_user",
    "unload",
    "watched",
]
