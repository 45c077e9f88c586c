"""The sockets of ``bench.sites.consumers``, two live rooms that differ in their history only, and one that counts."""

from bench.messages import COUNTS, PASSED, STORED, MostText
from django_fastws import History, Room, metrics

from .consumers import app


async def say(ws: object, room: Room, user: str, text: MostText) -> None:
    """All members get what one of them says."""
    await room.abroadcast({"user": user, "text": text}, "said")


app.room(STORED, history=History()).on("say")(say)
app.room(PASSED).on("say")(say)


async def reads(ws: object) -> int:
    """Answer with how often this process has read a history for members that came back."""
    return int(metrics.history_reads.total)


app.room(COUNTS).on("reads")(reads)
