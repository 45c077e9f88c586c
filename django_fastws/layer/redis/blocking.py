"""Blocking publisher: to Redis, from threads that have no event loop."""

from __future__ import annotations

import codecs
import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..._core.envelope import EncodedEnvelope, Envelope
from ..._core.forks import reset_in_child
from ..._core.history import History
from ..._core.history_page import HistoryPage, PageQuery
from ..._core.positions import Position
from ..._core.resp import ErrorReply, command, publish_command
from ...conf import conf
from ...exceptions import WebSocketConnectionError
from ..broker import Published, publishing_seconds
from ..decoding_errors import DecodingErrors
from ..errors import is_timeout, timed_out, unreachable
from ..outages import Outage
from .blocking_connection import BlockingConnection
from .compatibility import shard_index
from .history_commands import (
    ASK_DURABILITY,
    clear_command,
    decode_page,
    decode_position,
    durable_server,
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
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 0.5  # seconds between attempts
_LATE_SECONDS = 1.0  # an answer that took longer, with an outage in between, is not relied upon


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
        self._idle: list[list[BlockingConnection]] = [[] for _ in self._hosts]
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
            data = self._command(envelope, channel, connection, serialize)
            return _position(envelope, self._execute(connection, data))

    def publish_all(
        self, envelopes: Sequence[Envelope], serialize: Callable[[EncodedEnvelope], bytes]
    ) -> list[Published] | None:
        """Publish several, those for one Redis at once; see ``Broker.publish_all``.

        Returns:
            None where they must be published one by one.
        """
        ends = time.monotonic() + publishing_seconds()
        by_shard: dict[int, list[int]] = {}
        for index, envelope in enumerate(envelopes):
            by_shard.setdefault(shard_index(self.channel_of(envelope.room), len(self._hosts)), []).append(index)
        found: list[Published] = [None] * len(envelopes)
        # The time is for those that may have to be waited for, after all that need not.
        for shard in sorted(by_shard, key=lambda shard: self._servers[shard].error is not None):
            error = self._servers[shard].error
            indexes = by_shard[shard]
            if error is not None and time.monotonic() >= ends:
                published: list[Any] = [unreachable(_DOING, error)] * len(indexes)
            else:
                published = self._publish_to_one([envelopes[index] for index in indexes], serialize)
            for index, one in zip(indexes, published, strict=True):
                found[index] = one
        return found

    def _publish_to_one(
        self, envelopes: list[Envelope], serialize: Callable[[EncodedEnvelope], bytes]
    ) -> list[Published]:
        channels = [self.channel_of(envelope.room) for envelope in envelopes]
        with self._connection_of(channels[0]) as connection:
            commands = [
                self._command(envelope, channel.encode(), connection, serialize)
                for envelope, channel in zip(envelopes, channels, strict=True)
            ]
            if len(commands) > 1:
                _bring_scripts(envelopes, commands)
            replies = self._execute_in_order(connection, commands)
        return [
            reply if isinstance(reply, WebSocketConnectionError) else _position(envelope, reply)
            for envelope, reply in zip(envelopes, replies, strict=True)
        ]

    def _command(
        self, envelope: Envelope, channel: bytes, connection: Any, serialize: Callable[[EncodedEnvelope], bytes]
    ) -> bytes:
        """The command that publishes an envelope, as the next of a connection, and stores what is to be stored."""
        encoded = envelope.encode(connection.sender)
        data = serialize(encoded)
        if envelope.keyed is not None and envelope.keyed.latest is not None:
            return keep_command(self._prefix, channel, envelope, encoded, data)
        if envelope.history is None:
            return self._publish_command(channel, data)
        return store_command(self._prefix, channel, envelope, encoded, data, self._durable(connection))

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
        with self._connection(group, ends) as (_, connection):
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

    def exchange(self, commands: Sequence[tuple[str, bytes]]) -> list[Any]:
        """Send encoded commands, those for one Redis at once; as ``LoopLayer.exchange``."""
        replies: list[Any] = [None] * len(commands)
        by_shard: dict[int, list[int]] = {}
        for index, (name, _) in enumerate(commands):
            by_shard.setdefault(shard_index(name, len(self._hosts)), []).append(index)
        for indexes in by_shard.values():
            with self._connection_of(commands[indexes[0]][0]) as connection:
                found = self._execute_all(connection, [commands[index][1] for index in indexes])
            for index, reply in zip(indexes, found, strict=True):
                replies[index] = reply
        return replies

    def channel_of(self, group: str) -> str:
        """The channel on which a room's broadcasts are published; its Redis is found by the same name."""
        return f"{self._prefix}__group__{group}"

    def ready(self, ends: float | None = None) -> None:
        """Find out what ``channel_of`` has to know.

        Args:
            ends: when it must be over, by the clock of this module; None waits while Redis is away.
        Raises:
            WebSocketConnectionError: Redis cannot be reached in time.
        """

    def _publish_command(self, channel: bytes, data: bytes) -> bytes:
        return publish_command(channel, data)

    @contextlib.contextmanager
    def _connection(self, group: str, ends: float | None = None) -> Iterator[tuple[bytes, Any]]:
        """The channel of a group, and a connection to its Redis, which is this thread's alone meanwhile."""
        self.ready(ends)
        channel = self.channel_of(group)
        with self._connection_of(channel) as connection:
            yield channel.encode(), connection

    @contextlib.contextmanager
    def _connection_of(self, name: str) -> Iterator[Any]:
        """A connection to the Redis of a name, which is this thread's alone meanwhile."""
        shard = shard_index(name, len(self._hosts))
        idle = self._idle[shard]
        try:
            connection = idle.pop()
        except IndexError:
            connection = BlockingConnection(self._pool(shard), self._servers[shard])
        try:
            yield connection
        finally:
            if connection.is_open and len(idle) < self._MOST_IDLE:
                idle.append(connection)
            else:
                connection.close()

    def _execute(self, connection: BlockingConnection, data: bytes, ends: float | None = None) -> Any:
        """Send a command, and wait for the reply.

        Args:
            ends: when it must be over, by the clock of this module; None waits while Redis is away.
        Raises:
            WebSocketConnectionError: Redis cannot be reached in time, or refuses.
        """
        reply = self._send(connection, data, ends)
        if is_unknown_script(reply):
            reply = self._send(connection, with_script(data), ends)
        return _accepted(reply)

    def _execute_in_order(self, connection: BlockingConnection, commands: list[bytes]) -> list[Any]:
        """Send several commands at once, none of which may come before another; replies as of ``_execute_all``."""
        replies: list[Any] = []
        while len(replies) < len(commands):
            waiting = commands[len(replies) :]
            try:
                found = self._send(connection, b"".join(waiting), count=len(waiting))
            except WebSocketConnectionError as error:
                return replies + [error] * len(waiting)
            unknown = next((at for at, reply in enumerate(found) if is_unknown_script(reply)), None)
            replies += map(_accepted_or_error, found[:unknown])
            if unknown is not None:
                # What was sent behind it, in whose place it must not come, is sent again behind it, as by a
                # ``RedisPublisher``: who has it already knows that.
                commands[len(replies)] = with_script(commands[len(replies)])
        return replies

    def _execute_all(self, connection: BlockingConnection, commands: list[bytes]) -> list[Any]:
        """Send several commands at once, and wait for the replies, or the errors instead of them."""
        try:
            replies = self._send(connection, b"".join(commands), count=len(commands))
        except WebSocketConnectionError as error:
            return [error] * len(commands)
        for index, reply in enumerate(replies):
            try:
                if is_unknown_script(reply):
                    reply = self._send(connection, with_script(commands[index]))
                replies[index] = _accepted(reply)
            except WebSocketConnectionError as error:
                replies[index] = error
        return list(replies)

    def _durable(self, connection: BlockingConnection, ends: float | None = None) -> bytes:
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

    def _send(self, connection: BlockingConnection, data: bytes, ends: float | None = None, count: int = 0) -> Any:
        if ends is not None:
            return self._send_by(connection, data, ends)
        started, timeout = time.monotonic(), conf.publish_timeout_seconds
        error, outages = connection.server.error, connection.server.outages
        if error is None:
            reply, error = connection.try_exchange(data, timeout, count)
            if error is not None and connection.was_open and not is_timeout(error):
                # The connection was closed while it was idle, as by a restart.
                reply, error = connection.try_exchange(data, timeout, count)
            if error is None and connection.server.outages != outages and time.monotonic() - started > _LATE_SECONDS:
                # Who should have got it may have been cut off just when Redis took it.
                return self._hold(connection, data, started + conf.publish_retry_seconds, count)
        if error is not None:
            if is_timeout(error) and time.monotonic() >= started + timeout:
                raise timed_out(_DOING, timeout) from error
            connection.server.report_lost(None, error)
            reply = self._hold(connection, data, started + conf.publish_retry_seconds, count)
        connection.server.report_restored(None)
        return reply

    def _send_by(self, connection: BlockingConnection, data: bytes, ends: float) -> Any:
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

    def _hold(self, connection: BlockingConnection, data: bytes, ends: float, count: int) -> Any:
        """Hold a command while Redis is away, within ``FASTWS_PUBLISH_RETRY_BYTES``, and retry it."""
        with self._lock:
            held = self._held_bytes
            if held and held + len(data) > conf.publish_retry_bytes:
                waiting = f"{held} bytes of broadcasts wait (FASTWS_PUBLISH_RETRY_BYTES)"
                raise unreachable(_DOING, f"{connection.server.error}; {waiting}")
            self._held_bytes += len(data)
        try:
            reply, error = self._keep_trying(connection, data, ends, count)
        finally:
            with self._lock:
                self._held_bytes -= len(data)
        if error is not None:
            raise unreachable(_DOING, error) from error
        return reply

    def _keep_trying(
        self, connection: BlockingConnection, data: bytes, ends: float, count: int
    ) -> tuple[Any, Exception | None]:
        pause = _FIRST_PAUSE

        def remaining() -> float:
            return max(0.0, ends - time.monotonic())

        while True:
            reply, error = connection.try_exchange(command(b"PING"), remaining())
            if error is None:
                # Redis is back. Other processes that were cut off must have subscribed again first.
                time.sleep(min(SETTLING_SECONDS, remaining()))
                reply, error = connection.try_exchange(data, remaining(), count)
            if error is None or not remaining():
                return reply, error
            time.sleep(min(pause, remaining()))
            pause = min(_LONGEST_PAUSE, pause * 2)

    def close(self) -> None:
        """Close the connections that are idle."""
        for connections in self._idle:
            while connections:
                connections.pop().close()


def _accepted(reply: Any) -> Any:
    """A reply, unless it is an error."""
    if isinstance(reply, ErrorReply):
        raise WebSocketConnectionError(f"cannot {_DOING}: Redis refuses: {refusal(reply.text)}")
    return reply


def _accepted_or_error(reply: Any) -> Any:
    try:
        return _accepted(reply)
    except WebSocketConnectionError as error:
        return error


def _is_keyed(envelope: Envelope) -> bool:
    return envelope.keyed is not None and envelope.keyed.latest is not None


def _position(envelope: Envelope, reply: Any) -> Position | None:
    """The position in the reply to the command of an envelope; None where it is not stored."""
    return decode_position(reply) if _is_keyed(envelope) or envelope.history is not None else None


def _bring_scripts(envelopes: Sequence[Envelope], commands: list[bytes]) -> None:
    """Let the first that calls a script bring it along.

    Were the script loaded by somebody else between two that call it, the second would be stored before the first.
    """
    brought = set()
    for place, envelope in enumerate(envelopes):
        is_keyed = _is_keyed(envelope)
        if (is_keyed or envelope.history is not None) and is_keyed not in brought:
            brought.add(is_keyed)
            commands[place] = with_script(commands[place])
