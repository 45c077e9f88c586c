"""Blocking connection to Redis, of a thread without an event loop: opened by redis-py, then written and read here."""

from __future__ import annotations

import math
import time
from typing import Any

import redis

from ..._core.resp import ReplyReader
from ..._core.sequences import Sender
from ..errors import connection_closed, is_replica, is_timeout, loading, not_answering, not_redis
from ..outages import LayerServer
from .compatibility import IncompatibleVersionError, new_connection, socket_of
from .history_commands import is_loading, is_of_replica

__all__ = ["BlockingConnection"]

_ATTEMPT_SECONDS = 3.0  # that connecting may take, with everything that comes before the first command
_REPLY_TIMEOUT_SECONDS = 2.0  # more for what is large
_LEAST_BYTES_PER_SECOND = 64 * 1024


class BlockingConnection:
    """Blocking connection, and the numbers of what is sent over it; used by one thread at a time.

    redis-py opens the connection: addresses, TLS, passwords, Sentinel. What follows is a write and a read.
    """

    def __init__(self, pool: Any, server: LayerServer) -> None:
        self._pool = pool
        self.server = server
        self.sender = Sender()
        #: As of a ``RedisShard``.
        self.durable, self.asked_at = b"", -math.inf
        #: Whether it was open before the last exchange.
        self.was_open = False
        self._connection: Any = None
        self._socket: Any = None
        self._reader = ReplyReader()
        #: Seconds that connecting took: as slow may an answer be.
        self._connect_seconds = 0.0

    @property
    def is_open(self) -> bool:
        return self._socket is not None

    def open(self, seconds: float) -> None:
        """Connect, unless it is connected.

        Raises:
            OSError, redis.RedisError, IncompatibleVersionError: it cannot, or not in time.
        """
        if self._socket is not None:
            return
        connection = new_connection(self._pool)
        connection.socket_timeout = seconds = min(seconds, _ATTEMPT_SECONDS)
        connection.socket_connect_timeout = min(seconds, connection.socket_connect_timeout or seconds)
        started = time.monotonic()
        connection.connect()
        self._connect_seconds = time.monotonic() - started
        self._connection, self.asked_at = connection, -math.inf
        self._socket, self._reader = socket_of(connection), ReplyReader()

    def try_exchange(self, data: bytes, seconds: float, count: int = 0) -> tuple[Any, Exception | None]:
        """Send a command: its reply, or the error. After an error, the connection is closed.

        Args:
            count: of the commands, if there are several: then their replies are a list.
        """
        self.was_open = self.is_open
        try:
            replies = self._exchange(data, max(0.01, seconds), count or 1)
        except (OSError, redis.RedisError, IncompatibleVersionError) as error:
            self.close()
            return None, not_answering(self.server.name) if is_timeout(error) else error
        except BaseException:  # the reply to what was sent may still come
            self.close()
            raise
        if any(map(is_loading, replies)):
            self.close()
            return None, loading(self.server.name)
        if any(map(is_of_replica, replies)):
            self.close()
            return None, is_replica(self.server.name)
        return replies if count else replies[0], None

    def _exchange(self, data: bytes, seconds: float, count: int) -> list[Any]:
        self.open(seconds)
        self._socket.settimeout(
            min(seconds, _REPLY_TIMEOUT_SECONDS + 2 * self._connect_seconds + len(data) / _LEAST_BYTES_PER_SECOND)
        )
        self._socket.sendall(data)
        found: list[Any] = []
        while len(found) < count:
            received = self._socket.recv(65536)
            if not received:
                raise connection_closed(self.server.name)
            try:
                replies = self._reader.feed(received)
            except ValueError as error:
                raise not_redis(self.server.name, error) from error
            found += (reply for reply in replies if type(reply) is not tuple)  # that is a notice nobody asked for
        return found

    def close(self) -> None:
        """Close the connection. It may be opened again."""
        connection, self._connection, self._socket = self._connection, None, None
        if connection is not None:
            connection.disconnect()
