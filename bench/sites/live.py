"""The sockets of ``bench.sites.consumers``, and a live room beside them."""

from bench.messages import LOBBY, MostText

from .consumers import app

lobby = app.room(LOBBY)


@lobby.on("say")
async def say(ws: object, user: str, text: MostText) -> int:
    """Answer with the length of the text."""
    return len(text)
