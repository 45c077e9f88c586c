"""Blocking publisher: to Redis, from threads that have no event loop."""

from __future__ import annotations

import codecs
import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import redis

from ..._core.envelope import EncodedEnvelope, Envelope
from ..._core.forks import reset_in_child
from ..._core.history import History
from ..._core.history_page import HistoryPage, PageQuery
from ..._core.positions import Position
from ..._core.resp import ErrorReply, ReplyReader, command, publish_command
from ..._core.sequences import Sender
from ...conf import conf
from ...exceptions import WebSocketConnectionError
from ..decoding_errors import DecodingErrors
from ..errors import connection_closed, is_timeout, loading, not_answering, not_redis, timed_out, unreachable
from ..outages import LayerServer, Outage
from .compatibility import IncompatibleVersionError, new_connection, shard_index, socket_of
from .history_commands import (
    ASK_DURABILITY,
    clear_command,
    decode_page,
    decode_position,
    durable_server,
    is_loading,
    is_unknown_script,
    read_command,
    refusal,
    store_command,
)
from .hosts import create_blocking_pool, describe
from .latest_commands import keep_command
from .script_loads import with_script
from .shard import DURABILITY_SECONDS, SETTLING_SECONDS

__all__ = ["BlockingPublisher"]

# The first name that a process resolves imports this codec. A child that is forked meanwhile by another thread would
# wait for ever for the lock of that import.
codecs.lookup("idna")

_DOING, _READING = "broadcast", "read the history"
_ATTEMPT_SECONDS = 3.0  # that connecting may take, with everything that comes before the first command
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 0.5  # seconds between attempts
_REPLY_TIMEOUT_SECONDS = 2.0  # more for what is large
_LATE_SECONDS = 1.0  # an answer that took longer, with an outage in between, is not relied upon
_LEAST_BYTES_PER_SECOND = 64 * 1024


class BlockingPublisher:
    """Blocking publisher of a process, and its pool of connections; it needs no event loop and no thread of its own.

    A thread takes a connection that is idle, or makes one, and gives it back. A child that was forked makes its own.

    Args:
        hosts, prefix: as of the layer.
        outage: is told when Redis is lost and when it is back.
    """

    _MOST_IDLE = 16  # connections to one Redis that are kept

    def __init__(self, hosts: list[dict[str, Any]], prefix: str, outage: Outage) -> None:
        self._hosts = hosts
        self._prefix = prefix
        self._servers = [outage.server(describe(host)) for host in hosts]
        self._errors = DecodingErrors()
        self.reset()
        reset_in_child(self)

    def reset(self) -> None:
        """Begin anew in a forked child: the connections are its parent's, and are closed without a word to Redis."""
        self._lock = threading.Lock()
        self._pools: dict[int, Any] = {}
        self._idle: list[list[_BlockingConnection]] = [[] for _ in self._hosts]
        self._held_bytes = 0

    def publish(self, envelope: Envelope, serialize: Callable[[EncodedEnvelope], bytes]) -> Position | None:
        """Publish, and wait until Redis has it; an envelope with a history is stored in the same step.

        Args:
            serialize: the layer's, which turns an encoded envelope into bytes.
        Returns:
            The position of what was stored.
        Raises:
            WebSocketConnectionError: Redis cannot be reached in time, or refuses.
        """
        with self._connection(envelope.room) as (channel, connection):
            encoded = envelope.encode(connection.sender)
            data = serialize(encoded)
            if envelope.keyed is not None and envelope.keyed.latest is not None:
                data = keep_command(self._prefix, channel, envelope, encoded, data)
                return decode_position(self._execute(connection, data))
            if envelope.history is None:
                self._execute(connection, publish_command(channel, data))
                return None
            durable = self._durable(connection)
            data = store_command(self._prefix, channel, envelope, encoded, data, durable)
            return decode_position(self._execute(connection, data))

    def read_history(
        self,
        group: str,
        history: History,
        query: PageQuery,
        deserialize: Callable[[bytes], Any],
        seconds: float | None = None,
    ) -> HistoryPage:
        """Read a part of a room's history; see ``Broker.read_history``."""
        ends = None if seconds is None else time.monotonic() + seconds
        with self._connection(group) as (_, connection):
            durable = self._durable(connection, ends)
            reply = self._execute(connection, read_command(self._prefix, group, history, query, durable), ends)
        return decode_page(reply, query, deserialize, self._errors.log)

    def clear_history(
        self, envelope: Envelope, history: History, serialize: Callable[[EncodedEnvelope], bytes]
    ) -> None:
        """Forget a room's events, begin another epoch, and publish an envelope that says so."""
        with self._connection(envelope.room) as (channel, connection):
            data, durable = serialize(envelope.encode()), self._durable(connection)
            self._execute(connection, clear_command(self._prefix, channel, envelope.room, history, data, durable))

    @contextlib.contextmanager
    def _connection(self, group: str) -> Iterator[tuple[bytes, _BlockingConnection]]:
        """The channel of a group, and a connection to its Redis, which is this thread's alone meanwhile."""
        channel = f"{self._prefix}__group__{group}"
        shard = shard_index(channel, len(self._hosts))
        idle = self._idle[shard]
        try:
            connection = idle.pop()
        except IndexError:
            connection = _BlockingConnection(self._pool(shard), self._servers[shard])
        try:
            yield channel.encode(), connection
        finally:
            if connection.is_open and len(idle) < self._MOST_IDLE:
                idle.append(connection)
            else:
                connection.close()

    def _execute(self, connection: _BlockingConnection, data: bytes, ends: float | None = None) -> Any:
        """Send a command, and wait for the reply.

        Args:
            ends: when it must be over, by the clock of this module; None waits while Redis is away.
        Raises:
            WebSocketConnectionError: Redis cannot be reached in time, or refuses.
        """
        reply = self._send(connection, data, ends)
        if is_unknown_script(reply):
            reply = self._send(connection, with_script(data), ends)
        if isinstance(reply, ErrorReply):
            raise WebSocketConnectionError(f"cannot {_DOING}: Redis refuses: {refusal(reply.text)}")
        return reply

    def _durable(self, connection: _BlockingConnection, ends: float | None = None) -> bytes:
        """The id of the server, if that is known, as ``durable_server`` says it; else empty."""
        now = time.monotonic()
        if connection.server.error is None and now - connection.asked_at >= DURABILITY_SECONDS:
            seconds = conf.publish_timeout_seconds if ends is None else ends - now
            asked = b"".join(ASK_DURABILITY)
            replies, error = connection.try_exchange(asked, seconds, len(ASK_DURABILITY))
            connection.asked_at = now
            # Whatever is wrong, what is sent next finds it out as well.
            connection.durable = durable_server(replies) if error is None else b""
        return connection.durable

    def _pool(self, shard: int) -> Any:
        with self._lock:
            if shard not in self._pools:
                self._pools[shard] = create_blocking_pool(self._hosts[shard])
            return self._pools[shard]

    def _send(self, connection: _BlockingConnection, data: bytes, ends: float | None = None) -> Any:
        if ends is not None:
            return self._send_by(connection, data, ends)
        started, timeout = time.monotonic(), conf.publish_timeout_seconds
        error, outages = connection.server.error, connection.server.outages
        if error is None:
            reply, error = connection.try_exchange(data, timeout)
            if error is not None and connection.was_open and not is_timeout(error):
                # The connection was closed while it was idle, as by a restart.
                reply, error = connection.try_exchange(data, timeout)
            if error is None and connection.server.outages != outages and time.monotonic() - started > _LATE_SECONDS:
                # Who should have got it may have been cut off just when Redis took it.
                return self._hold(connection, data, started + conf.publish_retry_seconds)
        if error is not None:
            if is_timeout(error) and time.monotonic() >= started + timeout:
                raise timed_out(_DOING, timeout) from error
            connection.server.report_lost(None, error)
            reply = self._hold(connection, data, started + conf.publish_retry_seconds)
        connection.server.report_restored(None)
        return reply

    def _send_by(self, connection: _BlockingConnection, data: bytes, ends: float) -> Any:
        """Send a command that changes nothing; whoever asks does not wait until Redis is back."""
        seconds = ends - time.monotonic()
        reply, error = connection.try_exchange(data, seconds)
        if error is not None and connection.was_open and not is_timeout(error):
            reply, error = connection.try_exchange(data, ends - time.monotonic())
        if error is not None and is_timeout(error):  # of whoever had so little time
            raise timed_out(_READING, seconds) from error
        if error is not None:
            connection.server.report_lost(None, error)
            raise unreachable(_READING, error) from error
        connection.server.report_restored(None)
        return reply

    def _hold(self, connection: _BlockingConnection, data: bytes, ends: float) -> Any:
        """Hold a command while Redis is away, within ``FASTWS_PUBLISH_RETRY_BYTES``, and retry it."""
        with self._lock:
            held = self._held_bytes
            if held and held + len(data) > conf.publish_retry_bytes:
                waiting = f"{held} bytes of broadcasts wait (FASTWS_PUBLISH_RETRY_BYTES)"
                raise unreachable(_DOING, f"{connection.server.error}; {waiting}")
            self._held_bytes += len(data)
        try:
            reply, error = self._keep_trying(connection, data, ends)
        finally:
            with self._lock:
                self._held_bytes -= len(data)
        if error is not None:
            raise unreachable(_DOING, error) from error
        return reply

    def _keep_trying(self, connection: _BlockingConnection, data: bytes, ends: float) -> tuple[Any, Exception | None]:
        pause = _FIRST_PAUSE

        def remaining() -> float:
            return max(0.0, ends - time.monotonic())

        while True:
            reply, error = connection.try_exchange(command(b"PING"), remaining())
            if error is None:
                # Redis is back. Other processes that were cut off must have subscribed again first.
                time.sleep(min(SETTLING_SECONDS, remaining()))
                reply, error = connection.try_exchange(data, remaining())
            if error is None or not remaining():
                return reply, error
            time.sleep(min(pause, remaining()))
            pause = min(_LONGEST_PAUSE, pause * 2)

    def close(self) -> None:
        """Close the connections that are idle."""
        for connections in self._idle:
            while connections:
                connections.pop().close()


class _BlockingConnection:
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
        if is_loading(replies[0]):
            self.close()
            return None, loading(self.server.name)
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
