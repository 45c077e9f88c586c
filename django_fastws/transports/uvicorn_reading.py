"""Reading on uvicorn: whole messages are taken past the server's parser, and its pause after each of them.

Uvicorn's ``websockets-sansio`` and ``wsproto`` take every frame apart step by step, hand it on in objects, and stop
and start the reading for every message. Here the whole messages of a read go into the inbox at once; every other
frame goes to the server's parser, byte for byte, so that what it knows of the connection is as ever.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from .._core.attributes import has_all
from .._core.whole_messages import ENDLESS, frame_size, is_plain, read_messages
from ..conf import conf
from .daphne_reading import apply_mask
from .inbox import Inbox

__all__ = ["UvicornReader"]

_MOST_HELD = 16 * 1024  # bytes of a message that is not all there; the server's parser waits for larger ones

#: What is read or called on the protocol object, besides what the transport needs.
NEEDED = ("close_sent", "config", "conn", "connection_lost", "data_received", "handle_events", "queue", "read_paused")


class UvicornReader:
    """Reader of one connection of uvicorn's, in front of the server's parser.

    It puts an inbox in the place of the server's queue of events, before the handshake is answered, and reads from
    ``start()`` to ``stop()``. Reading is paused while the inbox is full.

    Args:
        protocol: uvicorn's, of whose queue nobody has begun to receive.

    Attributes:
        inbox: in which the messages wait.
        is_held: whether something else has paused the reading, and will resume it when the inbox has room.
    """

    __slots__ = (
        "_is_started",
        "_limit",
        "_owed",
        "_parser",
        "_pass_on",
        "_protocol",
        "_rest",
        "_tcp",
        "inbox",
        "is_held",
    )

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol
        self._tcp = protocol.transport  # which is watched, at times, for what the server does with it
        self._limit = protocol.config.ws_max_size
        self._parser: Any = None
        self._pass_on: Any = None
        self._is_started = self.is_held = False
        #: The beginning of a frame, and how many bytes of one the server's parser still gets.
        self._rest = b""
        self._owed = 0
        self.inbox = Inbox(conf.receive_buffer_messages, conf.receive_buffer_bytes, self._has_room)
        queue = protocol.queue
        while not queue.empty():
            self.inbox.put_nowait(queue.get_nowait())
        protocol.queue = self.inbox

    @classmethod
    def find(cls, protocol: Any) -> UvicornReader | None:
        """The reader for a protocol; None if there is something about it that it does not know."""
        if apply_mask is None or not has_all(protocol, NEEDED):
            return None
        known = type(protocol.queue) is asyncio.Queue and isinstance(protocol.config.ws_max_size, int)
        return cls(protocol) if known and type(protocol).__name__ in _PARSERS else None

    def start(self) -> None:
        """Read from now on: the connection is open. Nothing happens if the server's parser is within a frame."""
        protocol = self._protocol
        parser = _PARSERS[type(protocol).__name__](protocol)
        if self._is_started or not parser.is_at_boundary():
            return
        self._is_started, self._parser, self._pass_on = True, parser, protocol.data_received
        protocol.data_received = self._data_received
        self._tcp.set_protocol(protocol)  # there are loops that look up its methods only then

    def stop(self) -> None:
        """Leave everything to the server again: the handler has ended."""
        if self._is_started:
            self._is_started = False
            vars(self._protocol).pop("data_received", None)
            if not self._tcp.is_closing():  # or it has let go of its protocol, and would hold it again
                self._tcp.set_protocol(self._protocol)
            if self._rest:
                self._pass_on(self._rest)
                self._rest = b""
            self._pass_on = None
        self.inbox.detach()  # nobody receives any more, and these are cycles

    def _data_received(self, data: bytes) -> None:
        if self._rest:
            data, self._rest = self._rest + data, b""
        start, end = 0, len(data)
        if self._owed:
            start = min(self._owed, end)
            self._give(data[:start])
        while start < end and not self._tcp.is_closing():
            if not self._parser.is_open():
                self._give(data[start:])
                return
            if self._parser.is_between_messages():
                start = self._read(data, start)
                if start == end:
                    return
            size = frame_size(data, start)
            whole = start + size
            if not size or (whole > end and size <= _MOST_HELD and is_plain(data[start]) and size <= self._limit):
                self._rest = data[start:]
                return
            self._owed = size
            self._give(data[start:whole])
            start = whole

    def _read(self, data: bytes, start: int) -> int:
        """Read whole messages from a place on; returns where they end."""
        inbox = self.inbox
        end, taken = read_messages(data, start, inbox.append, apply_mask, self._limit, sys.maxsize, sys.maxsize)
        if end != start:
            inbox.added(taken)
            if inbox.is_full:
                self._pause()
        return end

    def _give(self, data: bytes) -> None:
        """Give a part of a frame, or all of it, to the server's parser."""
        if self._owed != ENDLESS:
            self._owed -= min(self._owed, len(data))
        self._pass_on(data)
        # The server has paused for each message, and waits until all were received.
        if self._protocol.read_paused and not self.inbox.is_full:
            self._has_room()

    def _pause(self) -> None:
        protocol = self._protocol
        if not protocol.read_paused:
            protocol.read_paused = True
            self._tcp.pause_reading()

    def _has_room(self) -> None:
        protocol = self._protocol
        if protocol.read_paused:
            protocol.read_paused = False
            if not self.is_held and not self._tcp.is_closing():
                self._tcp.resume_reading()


class _SansIOParser:
    """What the parser of ``websockets`` tells of where it stands."""

    __slots__ = ("_conn", "_protocol")

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol
        self._conn = protocol.conn

    def is_at_boundary(self) -> bool:
        conn = self._conn
        waits_in: Any = getattr(conn, "parser", None)
        while (below := getattr(waits_in, "gi_yieldfrom", None)) is not None:
            waits_in = below
        return getattr(waits_in, "__name__", "") == "at_eof" and hasattr(conn, "current_size") and not conn.debug

    def is_open(self) -> bool:
        return self._conn.state == 1 and not self._protocol.close_sent  # State.OPEN

    def is_between_messages(self) -> bool:
        return self._conn.current_size is None


class _WSProtoParser:
    """What the parser of ``wsproto`` tells of where it stands."""

    __slots__ = ("_connection", "_decoder", "_open", "_protocol")

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol
        self._connection: Any = getattr(protocol.conn, "connection", None)
        self._open: Any = getattr(self._connection, "state", None)
        self._decoder: Any = getattr(getattr(self._connection, "_proto", None), "_message_decoder", None)

    def is_at_boundary(self) -> bool:
        frames: Any = getattr(getattr(self._connection, "_proto", None), "_frame_decoder", None)
        is_between = getattr(frames, "header", self) is None and hasattr(frames, "buffer") and not len(frames.buffer)
        return is_between and hasattr(self._decoder, "opcode") and getattr(self._open, "name", "") == "OPEN"

    def is_open(self) -> bool:
        return self._connection.state is self._open and not self._protocol.close_sent

    def is_between_messages(self) -> bool:
        return self._decoder.opcode is None


_PARSERS: dict[str, Any] = {"WebSocketsSansIOProtocol": _SansIOParser, "WSProtocol": _WSProtoParser}
