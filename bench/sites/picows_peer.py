"""An echo and a room on picows alone, with uvloop where it is installed.

python -m bench.sites.picows_peer PORT
"""

import asyncio
import sys
from importlib import import_module
from importlib.util import find_spec

import orjson
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

from bench.messages import READY
from tests.support.processes import HOST

members: set[WSTransport] = set()


class Echo(WSListener):
    """JSON in, JSON out."""

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is WSMsgType.TEXT:
            transport.send(WSMsgType.TEXT, orjson.dumps(orjson.loads(frame.get_payload_as_memoryview())))


class Member(WSListener):
    """What a member says, all members get."""

    def on_ws_connected(self, transport: WSTransport) -> None:
        members.add(transport)
        transport.send(WSMsgType.TEXT, READY.encode())

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is WSMsgType.TEXT:
            message = orjson.dumps(orjson.loads(frame.get_payload_as_memoryview()))
            for member in members:
                member.send(WSMsgType.TEXT, message)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        members.discard(transport)


def listener(request: WSUpgradeRequest) -> WSListener:
    """Of a connection, by its path."""
    return Echo() if request.path == b"/echo" else Member()


async def main() -> None:
    """Serve until somebody ends it."""
    server = await ws_create_server(listener, HOST, int(sys.argv[1]))
    await server.serve_forever()


if __name__ == "__main__":
    if find_spec("uvloop"):
        import_module("uvloop").run(main())
    else:
        asyncio.run(main())
