"""Compressed messages of a WebSocket connection: whole ones are read, and all are written, past autobahn."""

from __future__ import annotations

import zlib
from typing import Any

from autobahn import exception
from autobahn.exception import PayloadExceededError

from .._core.deflate import Inflater, MessageInflatesTooFar, compressed_message
from .._core.frames import BINARY, TEXT, frame
from ..transports import apply_mask, shared_deflater
from .opening_handshake import HandshakeProtocol

__all__ = ["CompressingProtocol", "MessageCompression"]

#: What autobahn takes for malformed; its older releases have no word for it.
PayloadCorruptError: type[Exception] = getattr(exception, "PayloadCorruptError", zlib.error)


class MessageCompression:
    """Compression of one connection; with what autobahn asks for, of messages in fragments.

    Args:
        agreed: autobahn's object with what was agreed on.

    Attributes:
        deflater: for what is sent.
        inflater: for what comes in.
    """

    EXTENSION_NAME = "permessage-deflate"

    __slots__ = ("deflater", "inflater")

    def __init__(self, agreed: Any) -> None:
        self.deflater = shared_deflater(agreed.server_max_window_bits)
        self.inflater = Inflater(agreed.client_max_window_bits, takes_over=not agreed.client_no_context_takeover)

    def start_decompress_message(self) -> None:
        """A message begins."""
        self.inflater.begin()

    def decompress_message_data(self, data: bytes, max_output_len: int | None = None) -> bytes:
        """Decompress a fragment, or a part of one, to at most so many bytes."""
        try:
            return self.inflater.feed(data, max_output_len)
        except MessageInflatesTooFar:
            raise PayloadExceededError(f"over {max_output_len} bytes") from None
        except zlib.error as error:
            raise PayloadCorruptError(str(error)) from error

    def end_decompress_message(self) -> None:
        """The message is over."""
        try:
            self.inflater.end()
        except zlib.error as error:
            raise PayloadCorruptError(str(error)) from error


class CompressingProtocol(HandshakeProtocol):
    """Protocol that may have agreed on compression."""

    # Of autobahn's.
    _perMessageCompress: Any

    def succeedHandshake(self, res: Any) -> None:
        early, self.data = self.data, b""  # or autobahn would decompress what came with the handshake
        super().succeedHandshake(res)
        if self._perMessageCompress is not None:
            self._perMessageCompress = MessageCompression(self._perMessageCompress)
        if early:
            self.data = early
            if not self._pauses:
                self.consumeData()

    def write_message(self, payload: bytes, *, is_binary: bool) -> None:
        """Send a message, compressed where that was agreed on and is worth while."""
        opcode, made = BINARY if is_binary else TEXT, None
        if self._perMessageCompress is not None:
            made = self._perMessageCompress.deflater.frame(opcode, payload)
        self.sendData(made or frame(opcode, payload))

    def processData(self) -> bool:
        """One step through what was read: a compressed message, or autobahn's."""
        return bool(self.data) if self._read_compressed() else bool(super().processData())

    def _read_compressed(self) -> bool:
        """Read the compressed message with which the data begins, past autobahn; whether there is one."""
        compression = self._perMessageCompress
        if compression is None or self.state != self.STATE_OPEN or self.current_frame is not None:
            return False
        if self.inside_message or not apply_mask:
            return False
        limit = self.maxMessagePayloadSize or None
        found = compressed_message(self.data, apply_mask, self.maxFramePayloadSize or limit or float("inf"))
        if found is None:
            return False
        opcode, payload, end = found
        self.data = self.data[end:]
        try:
            message = compression.inflater.inflate(payload, limit)
            received = message.decode() if opcode == TEXT else message
        except MessageInflatesTooFar:
            self._max_message_size_exceeded(limit or 0, limit or 0, "")
        except UnicodeDecodeError as error:
            self._invalid_payload(f"the text is not UTF-8: {error}")
        except zlib.error as error:
            self._invalid_payload(f"the message cannot be decompressed: {error}")
        else:
            inbox = self.application_queue
            inbox.add(received, len(message))
            if inbox.is_full:
                self._pause(self._INBOX)
        return True
