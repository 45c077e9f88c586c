"""The feed's server: it tells what was missed, and then what comes."""

from django_fastws import FastWS, WebSocket

from .models import Announcement

LATEST = 20

app = FastWS(prefix="/ws", tags=["news"])


@app.websocket("/news")
async def news(ws: WebSocket, since: int = 0) -> None:
    """Push announcements.

    Args:
        since: the newest one that the page has; those after it are sent first.
    """
    await ws.accept()
    await ws.join("news")  # before the look into the database, so that nothing falls between the two
    missed = [announcement async for announcement in Announcement.objects.filter(pk__gt=since)[:LATEST]]
    for announcement in reversed(missed):
        await ws.send(announcement.as_message())
    async for _ in ws:
        pass  # nobody is asked anything here
