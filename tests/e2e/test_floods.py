"""Floods of pings on servers as they ship: the package's transport holds back who does not take the answers."""

from __future__ import annotations

import pytest

from tests.server.client import MEGABYTE, RawClient, grows_little, make_frame
from tests.site.client import connect

pytestmark = [pytest.mark.server, pytest.mark.faults]


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        *(
            (kind, "/ws/echo")
            for kind in ("runws_server", "daphne", "uvicorn", "uvicorn-wsproto", "uvicorn-websockets")
        ),
        # How much is read does not hang on what the handler is, but on the server; of each kind of these, one.
        *((kind, "/ws/limited/consumer/rate/flood") for kind in ("runws_server", "uvicorn")),
    ],
)
async def test_pings_whose_pongs_are_not_read_are_held_back_on_every_server(site, kind, path):
    server = site(kind)
    async with RawClient(server, path, receive_buffer=4096) as client:
        with grows_little(server):
            assert await client.flood(make_frame(9, b"p" * 125) * 500, 100 * MEGABYTE) < 25 * MEGABYTE
        async with connect(server, "/ws/echo") as other:  # it stops nobody else
            await other.send("x")
            assert await other.recv() == "x"
        client.send(9, b"last")  # whoever reads again is answered again
        while (frame := await client.receive()) is not None and frame.payload != b"last":
            pass
        assert frame is not None
        assert frame.opcode == 10


@pytest.mark.parametrize("kind", ["runws_server", "daphne"])  # uvicorn loses them before the package is asked
@pytest.mark.parametrize("size", [10, 1000], ids=["little", "much"])
async def test_frames_right_behind_the_handshake_are_heard(site, kind, size):
    frames = [make_frame(1, b"%d " % number + b"x" * size) for number in range(70)]
    async with RawClient(site(kind), "/ws/echo", early=b"".join(frames)) as client:
        assert client.status == 101
        client.send(1, b"last")
        heard = [(await client.receive()).payload.split()[0] for _ in range(71)]
    assert heard == [*(b"%d" % number for number in range(70)), b"last"]
