"""A handler for the tests of routes."""


async def echo_room(ws, room):
    await ws.accept()
    await ws.send(repr(room))
