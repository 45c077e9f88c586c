"""Reading side of a WebSocket connection: whole messages, flow control, and limits of fragments and pongs.

Nearly every frame is a whole message. Autobahn takes each through some twenty calls, so these are read past it, as
many as came at once; whatever else a client sends, and whatever is wrong in it, autobahn reads.
"""

from __future__ import annotations

import asyncio
import functools
from typing import Any

from daphne.ws_protocol import WebSocketProtocol as DaphneProtocol

from .._core.whole_messages import read_messages
from ..transports import Inbox, Pongs, apply_mask, largest_message, read_directly, tcp_below

__all__ = ["ReadingProtocol", "most_fragments"]

#: Steps in one turn of the loop: two of autobahn's for a frame, or one for a message that is read past it. A client
#: can have thousands of frames in what is read at once; the others have their turn between.
_STEPS_IN_A_TURN = 128
_PONG = 10  # opcode
_FEWEST_FRAGMENTS, _BYTES_FOR_A_FRAGMENT = 1024, 16


def most_fragments(max_message_bytes: int) -> int:
    """Limit on the fragments of a message (RFC 6455 section 5.4), by the limit of its bytes; 0 is no limit.

    A fragment costs time, however little is in it. No client needs more than one for 16 bytes of the limit.
    """
    return max(_FEWEST_FRAGMENTS, max_message_bytes // _BYTES_FOR_A_FRAGMENT) if max_message_bytes > 0 else 0


class ReadingProtocol(DaphneProtocol):  # type: ignore[misc]
    """Protocol with flow control: reading is paused while too much waits, and others have their turn.

    Reading goes on when none of the reasons is left for which it was paused.
    """

    # Reasons for a pause.
    _INBOX = 1  # the handler has enough to receive, or has not accepted yet
    _TURN = 2  # others have their turn
    _PONGS = 4  # the client does not take the answers to its pings

    # Of autobahn's.
    application_queue: Inbox
    control_frame_data: list[bytes] | None
    data: bytes
    frame_data: list[Any]
    message_data: list[Any]
    maxFramePayloadSize: int
    maxMessagePayloadSize: int

    _pauses: int = 0
    _fragments = 0
    _pongs: Pongs | None = None

    # Pauses

    @property
    def is_paused(self) -> bool:
        """Whether reading is paused, beyond this turn of the loop."""
        return bool(self._pauses & ~self._TURN)

    def _pause(self, reason: int) -> None:
        if not self._pauses:
            self.transport.pauseProducing()
        self._pauses |= reason

    def _go_on(self, reason: int) -> None:
        """Take back one reason for a pause, and read on if it was the last."""
        if not self._pauses & reason:
            return
        self._pauses &= ~reason
        if self._pauses or self.state == self.STATE_CLOSED:
            return
        if self.data and self.state != self.STATE_CONNECTING:
            self.consumeData()
        self._read_unless_paused()

    def _read_unless_paused(self) -> None:
        if not self._pauses and self.state != self.STATE_CLOSED:
            self.transport.resumeProducing()
            read_directly(self.transport)

    def onOpen(self) -> None:
        super().onOpen()
        if not self._pauses:
            read_directly(self.transport)

    # Turns

    def dataReceived(self, data: bytes) -> None:
        """Take what was read; as autobahn does, without its line for the log, which it makes for nobody, too."""
        if self.state != self.STATE_OPEN:
            self._dataReceived(data)
            return
        self.trafficStats.incomingOctetsWireLevel += len(data)
        self.data = self.data + data if self.data else data
        self.consumeData()

    def consumeData(self) -> None:
        """Process what was read: so many frames at once, and the rest in the next turn of the loop."""
        if self.state not in (self.STATE_OPEN, self.STATE_CLOSING):
            super().consumeData()
            return
        left = _STEPS_IN_A_TURN
        while left > 0 and not self._pauses:
            steps = self._read_messages(left)
            if steps and not self.data:
                return
            if not steps:
                if not self.processData() or self.state == self.STATE_CLOSED:
                    return
                steps = 1
            left -= steps
        if not self._pauses:
            self._pause(self._TURN)
            asyncio.get_running_loop().call_soon(self._go_on, self._TURN)

    def _read_messages(self, most: int) -> int:
        """Read the whole messages with which the data begins, past autobahn; returns how many."""
        if self.state != self.STATE_OPEN or self.current_frame is not None or self.inside_message or not apply_mask:
            return 0
        inbox, data = self.application_queue, self.data
        before = len(inbox.waiting)
        messages, size = inbox.room
        end, taken = read_messages(
            data, 0, inbox.append, apply_mask, self._largest_message, min(most, messages), size
        )
        if not end:
            return 0
        self.data = data[end:]
        count = len(inbox.waiting) - before
        inbox.added(taken)
        if inbox.is_full:
            self._pause(self._INBOX)
        return count

    @functools.cached_property
    def _largest_message(self) -> float:
        """Limit of a message's bytes, if it has one frame."""
        return largest_message(self)

    # Fragments

    def onMessageFrameBegin(self, length: int) -> None:
        super().onMessageFrameBegin(length)
        if self.current_frame.opcode:  # the first of a message, and nearly always the last
            self._fragments = 1
            return
        self._fragments += 1
        if self._fragments > _FEWEST_FRAGMENTS:
            self._check_fragments()

    def _check_fragments(self) -> None:
        limit = most_fragments(self.maxMessagePayloadSize)
        if limit and self._fragments > limit and not self.failedByMe:
            self._fail_message(f"the message is in over {limit} fragments")

    def onMessageFrameData(self, payload: bytes) -> None:
        # As autobahn does, but that pieces are joined as they come: a list of small ones takes many times their size.
        if self.failedByMe:
            return
        pieces = self.frame_data
        if not pieces:
            pieces.append(payload)
        else:
            _join(pieces, payload)

    def onMessageFrame(self, payload: Any) -> None:
        if self.failedByMe:
            return
        pieces = self.message_data
        if not pieces:
            pieces.extend(payload)
        elif payload:
            _join(pieces, payload[0])

    def _fail_message(self, reason: str) -> None:
        """Close with 1009, and keep nothing of the message."""
        self.message_data, self.frame_data = [], []  # which nobody will receive
        self._fail_connection(1009, reason)

    def _max_message_size_exceeded(self, msg_size: int, max_msg_size: int, reason: str) -> None:
        self._fail_message(f"the message is over {max_msg_size} bytes")

    # Control frames

    def onPing(self, payload: bytes) -> None:
        """Answer a ping, if the client takes the answers."""
        if self.state != self.STATE_OPEN:
            return
        if self._pongs is None:
            tcp = tcp_below(self.transport)
            if tcp is None:
                self.sendPong(payload)
                return
            self._pongs = Pongs(self, tcp, lambda: self._pause(self._PONGS), lambda: self._go_on(self._PONGS))
        self._pongs.answer(payload)

    def processControlFrame(self) -> bool:
        """Process a control frame; without autobahn's line in the log for each pong that nobody has asked for."""
        if self.current_frame.opcode == _PONG and self.autoPingPending:
            payload = b"".join(self.control_frame_data or ())
            if payload != self.autoPingPending:
                self.control_frame_data = None
                self._onPong(payload)
                return True
        return bool(super().processControlFrame())

    def connectionLost(self, reason: Any) -> None:
        if self._pongs is not None:
            self._pongs.close()
            self._pongs = None
        self._connectionLost(reason)  # without autobahn's lines for a log that nobody reads


def _join(pieces: list[Any], piece: bytes) -> None:
    """Add to the first of the pieces, of which there is one."""
    if not isinstance(pieces[0], bytearray):
        pieces[0] = bytearray(pieces[0])
    pieces[0] += piece
