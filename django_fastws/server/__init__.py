"""Hardened daphne: its server and protocol, subclassed where they fall short of production.

Importing this installs Twisted's asyncio reactor, as importing daphne does.
"""

from __future__ import annotations

from .cli import CommandLineInterface, OptionError
from .development import DevelopmentServer
from .protocol import WebSocketProtocol
from .server import Server

__all__ = ["CommandLineInterface", "DevelopmentServer", "OptionError", "Server", "WebSocketProtocol"]
