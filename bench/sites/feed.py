"""An outbound route that is flooded: see ``bench.sites.flooded``."""

import os

from django_fastws import FastWS, WebSocket

app = FastWS()


@app.ws(os.environ["BENCH_URL"], ping_interval=None)
async def feed(ws: WebSocket) -> None:
    """Take what comes."""
    missing = 0
    async for message in ws:
        text = message.text
        if missing:
            missing -= 1
            if not missing:
                await ws.send("done")
        else:
            missing = int(text or "")
