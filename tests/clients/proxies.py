"""Proxies through which outbound routes connect."""

from __future__ import annotations

import asyncio

from .peers import (
    read_request,
    silence,
)


class Proxy:
    """An HTTP proxy that knows CONNECT.

    Args:
        status: of its answers; 200 makes the connection.
    """

    def __init__(self, status=200, headers="", cut=False):
        self.requests = []
        self.status, self.headers, self.cut = status, headers, cut

    async def __call__(self, reader, writer, number):
        request = await read_request(reader)
        self.requests.append(request)
        if self.cut:
            return
        writer.write(f"HTTP/1.1 {self.status} whatever\r\n{self.headers}Content-Length: 0\r\n\r\n".encode())
        if self.status != 200:
            await writer.drain()
            await silence(reader, writer)
            return
        host, _, port = request.split()[1].rpartition(":")
        there, back = await asyncio.open_connection(host, int(port))
        try:
            await asyncio.gather(_copy(reader, back), _copy(there, writer))
        finally:
            back.close()


async def _copy(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
    writer.write_eof()


class Socks:
    """A SOCKS5 proxy (RFC 1928) that asks for no password and knows IPv4."""

    def __init__(self):
        self.asked = []

    async def __call__(self, reader, writer, number):
        _, methods = await reader.readexactly(2)
        await reader.readexactly(methods)
        writer.write(b"\x05\x00")
        await reader.readexactly(4)
        host, port = await reader.readexactly(4), await reader.readexactly(2)
        self.asked.append((".".join(map(str, host)), int.from_bytes(port, "big")))
        writer.write(b"\x05\x00\x00\x01" + bytes(6))
        there, back = await asyncio.open_connection(*self.asked[-1])
        try:
            await asyncio.gather(_copy(reader, back), _copy(there, writer))
        finally:
            back.close()
