"""Users of connections: who is connected, and how their sockets are closed from anywhere."""

from __future__ import annotations

from .authentication import is_loaded, load_session
from .disconnect import adisconnect, disconnect
from .identity import Identity, session_hash
from .middleware import AuthMiddleware, SessionLoadingMiddleware, SessionMiddleware
from .registry import count_users, current_users

__all__ = [
    "AuthMiddleware",
    "Identity",
    "SessionLoadingMiddleware",
    "SessionMiddleware",
    "adisconnect",
    "count_users",
    "current_users",
    "disconnect",
    "is_loaded",
    "load_session",
    "session_hash",
]
