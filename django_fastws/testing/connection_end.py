"""ConnectionEnd: one end of a connection as a test holds it, the client's or the server's."""

from __future__ import annotations

import asyncio
from typing import Any, Self

from .._core.headers import HeaderMap
from .._core.json import loads
from .._core.messages import WebSocketMessage
from ..encoding import encode_json
from ..exceptions import WebSocketDisconnect
from .matching import Where, listed, matches, phrase

__all__ = ["ConnectionEnd"]


class ConnectionEnd:
    """One end of a connection: sends and receives messages, each wait with a time limit.

    Attributes:
        subprotocol: what was agreed on, or None.
        headers: those that the other end sent with the handshake.
        close_code, close_reason: how the connection was closed; None and "" while it is open.
        timeout: seconds that waiting may take.
    """

    def __init__(self, timeout: float) -> None:
        self.subprotocol: str | None = None
        self.headers = HeaderMap()
        self.close_code: int | None = None
        self.close_reason = ""
        self.timeout = timeout

    @property
    def closed(self) -> bool:
        """Whether either end has closed, as far as this one has seen."""
        return self.close_code is not None

    # Send

    async def send(self, data: str | bytes | dict[Any, Any] | list[Any]) -> None:
        """Send a message: str as text, bytes as binary, a dict or list as JSON."""
        await self._put(data if isinstance(data, (str, bytes)) else encode_json(data).text)

    async def send_text(self, data: str) -> None:
        """Send a text message."""
        await self._put(data)

    async def send_bytes(self, data: bytes) -> None:
        """Send a binary message."""
        await self._put(data)

    async def send_json(self, data: Any) -> None:
        """Send a value as JSON in a text message, as a browser does."""
        await self._put(encode_json(data).text)

    send_str = send_text

    async def _put(self, data: str | bytes) -> None:
        raise NotImplementedError

    # Receive

    async def receive(self, timeout: float | None = None) -> WebSocketMessage:
        """Wait for the next message.

        Args:
            timeout: seconds; None is the connection's, ``math.inf`` has no limit.
        Raises:
            WebSocketDisconnect: the other end closed the connection.
            TimeoutError: nothing came in time. The other end goes on.
        """
        return WebSocketMessage(await self._take(self.timeout if timeout is None else timeout))

    async def _take(self, seconds: float) -> str | bytes:
        raise NotImplementedError

    async def receive_text(self, timeout: float | None = None) -> str:
        """Wait for the next message, which must be text."""
        data = (await self.receive(timeout)).data
        if not isinstance(data, str):
            raise TypeError(f"the message is binary: {data!r}")
        return data

    async def receive_bytes(self, timeout: float | None = None) -> bytes:
        """Wait for the next message, which must be binary."""
        data = (await self.receive(timeout)).data
        if isinstance(data, str):
            raise TypeError(f"the message is text: {data!r}")
        return data

    async def receive_json(self, timeout: float | None = None, *, where: Where | None = None) -> Any:
        """Wait for the next message and decode it as JSON.

        Args:
            timeout: seconds, for all that is passed over together.
            where: pass over messages until one is like this: a dict that it has in it, nested ones in part as well;
                or a function that returns whether it is the one. What is no JSON is passed over, too.
        Raises:
            WebSocketDisconnect: the other end closed the connection.
            TimeoutError: it did not come in time; the text has what was passed over, which is gone.
        """
        if where is None:
            return loads((await self.receive(timeout)).data, "receive_json")
        passed: list[Any] = []
        seconds = self.timeout if timeout is None else timeout
        deadline = asyncio.get_running_loop().time() + seconds
        while True:
            try:
                message = await self.receive(max(0.0, deadline - asyncio.get_running_loop().time()))
            except WebSocketDisconnect as end:
                end.add_note(f"waited for a message{phrase(where)}; {_passed(passed)}")
                raise
            except TimeoutError:
                text = f"receive_json(): no message{phrase(where)} in {seconds:g} seconds; {_passed(passed)}"
                raise TimeoutError(text) from None
            try:
                value = message.json()
            except ValueError:
                passed.append(message.data)
                continue
            if matches(where, value):
                return value
            passed.append(value)

    recv = receive
    recv_str = receive_text
    recv_bytes = receive_bytes
    recv_json = receive_json

    def __aiter__(self) -> Self:
        """Yield messages until the other end closes the connection."""
        return self

    async def __anext__(self) -> WebSocketMessage:
        try:
            return await self.receive()
        except WebSocketDisconnect:
            raise StopAsyncIteration from None

    async def wait_closed(self, timeout: float | None = None) -> int:
        """Wait until the other end closes, passing over messages; returns the close code."""
        while not self.closed:
            try:
                await self.receive(timeout)
            except WebSocketDisconnect:
                break
        return self.close_code or 1000


def _passed(messages: list[Any]) -> str:
    return listed("passed over:", messages, "nothing else came")
