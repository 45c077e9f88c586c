"""An echo and a room in Litestar, with its channels in memory, written as its documentation does."""

from litestar import Litestar, WebSocket, websocket
from litestar.channels import ChannelsPlugin
from litestar.channels.backends.memory import MemoryChannelsBackend
from litestar.exceptions import WebSocketDisconnect

from bench.messages import READY


@websocket("/room/{name:str}")
async def room(socket: WebSocket, name: str, channels: ChannelsPlugin) -> None:
    """What a member says, all members get."""
    await socket.accept()
    async with channels.start_subscription([name]) as subscriber, subscriber.run_in_background(socket.send_text):
        await socket.send_text(READY)
        try:
            while True:
                channels.publish(await socket.receive_json(), name)
        except WebSocketDisconnect:
            pass


@websocket("/echo")
async def echo(socket: WebSocket) -> None:
    """JSON in, JSON out."""
    await socket.accept()
    try:
        while True:
            await socket.send_json(await socket.receive_json())
    except WebSocketDisconnect:
        pass


application = Litestar(
    [room, echo], plugins=[ChannelsPlugin(MemoryChannelsBackend(), arbitrary_channels_allowed=True)]
)
