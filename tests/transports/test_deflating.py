"""Compression in the place of uvicorn's libraries: on real protocol objects."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from django.test import override_settings

from django_fastws._core.messages import Payload
from django_fastws.transports import shared_deflater
from django_fastws.transports.deflating import take_over
from tests.transports.connections import UVICORN, connected, on

LONG = "größe ✓ " * 200


@on(*[kind for kind in UVICORN if kind.loop == "asyncio"])
async def test_a_broadcast_is_compressed_once_and_what_the_server_sends_besides_can_be_read(kind):
    async with connected(kind, compression=True) as connection:
        transport, client = connection.transport, connection.client
        assert client.extensions
        broadcast = Payload(LONG)
        for _ in range(3):
            transport.post(broadcast)
            await transport.send({"type": "websocket.send", "text": LONG + "by the server"})
            await transport.send_payload(Payload("short"))
            await transport.send_payload(Payload(b"\1" * 1000))
        got = await client.receive_many(12)
    assert got == [LONG, LONG + "by the server", "short", b"\1" * 1000] * 3
    (made,) = broadcast._compressed.values()
    assert client.raw.count(made) == 3
    assert len(made) < 100


def test_the_settings_bound_what_is_agreed_on():
    assert shared_deflater(15) is shared_deflater(12)
    assert shared_deflater(9) is not shared_deflater(12)
    with override_settings(FASTWS_DEFLATE_WINDOW_BITS=15, FASTWS_DEFLATE_LEAST_BYTES=1):
        assert shared_deflater(15) is not shared_deflater(12)
        assert shared_deflater(15).least_bytes == 1


@pytest.mark.parametrize("names", [(), ("local_no_context_takeover",), ("local_max_window_bits",)])
def test_a_library_of_another_inside_sends_uncompressed(names):
    assert take_over(SimpleNamespace(**dict.fromkeys(names, False))) is None
