"""A small HTTP server for the requests of outbound routes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from .peers import RawPeer

#: Headers that must not get to another origin, and such as may.
SECRETS = {
    "Authorization": "Bearer opensesame",
    "Cookie": "sessionid=opensesame",
    "Proxy-Authorization": "Basic opensesame",
    "X-Api-Key": "opensesame",
    "x-amz-security-token": "opensesame",
    "Private-Token": "opensesame",
}
HARMLESS = {"User-Agent": "feed/1", "Accept-Language": "eo"}


class Request(NamedTuple):
    """What came."""

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Answer(NamedTuple):
    """What is sent back."""

    status: int = 200
    body: bytes = b"{}"
    headers: tuple[str, ...] = ("Content-Type: application/json",)

    def encode(self, method: str) -> bytes:
        lines = [f"HTTP/1.1 {self.status} Whatever", *self.headers, f"Content-Length: {len(self.body)}"]
        head = "\r\n".join([*lines, "Connection: close", "", ""]).encode()
        return head if method == "HEAD" else head + self.body


class Web(RawPeer):
    """Answers one request for each connection.

    Args:
        behave: makes the answer; None cuts the connection instead.

    Attributes:
        requests: those that came.
    """

    def __init__(self, behave: Callable[[Request], Awaitable[Answer | None]] | None = None) -> None:
        super().__init__(self._answer)
        self.requests: list[Request] = []
        self._make_answer = behave

    @property
    def url(self) -> str:
        return super().url.replace("ws:", "http:")

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.rstrip().split("\r\n")
        method, target, _ = first.split(" ")
        headers = dict(line.lower().split(": ", 1)[:1] + line.split(": ", 1)[1:] for line in lines)
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        parts = urlsplit(target)
        request = Request(method, parts.path, parse_qsl(parts.query), headers, body)
        self.requests.append(request)
        answer = Answer() if self._make_answer is None else await self._make_answer(request)
        if answer is not None:
            writer.write(answer.encode(method))
            await writer.drain()
            writer.write_eof()
            await reader.read()  # until the client has gone
