"""The sockets of ``bench.sites.consumers``, and two live rooms that differ in their history only."""

from bench.messages import PASSED, STORED, MostText
from django_fastws import History, Room

from .consumers import app


async def say(ws: object, room: Room, user: str, text: MostText) -> None:
    """All members get what one of them says."""
    await room.abroadcast({"user": user, "text": text}, "said")


app.room(STORED, history=History()).on("say")(say)
app.room(PASSED).on("say")(say)
