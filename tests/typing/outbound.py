"""Handlers of sockets and requests that go out, and one-file programs."""

from __future__ import annotations

from typing import assert_type

from django.conf import settings

from django_fastws import FastWS, Reconnect, Response, WebSocket

app = FastWS()


@app.ws("wss://feed.example/v1", reconnect=True, max_retries=-1, headers={"Authorization": "Bearer 1"})
async def feed(ws: WebSocket) -> None:
    assert_type(ws.attempt, int)
    assert_type(ws.latency, float)
    assert_type(ws.fencing_token, int | None)
    async for message in ws:
        if message.text == "again":
            raise Reconnect


async def url() -> str:
    return "wss://feed.example/v2"


@app.ws(url, lease=True, headers=lambda: [("Authorization", "Bearer 2")])
async def other_feed(ws: WebSocket, /) -> int:
    return 5


@app.ws(lambda: settings.SECRET_KEY)
async def third_feed(ws: WebSocket) -> None: ...


@app.post("https://api.example/notes", json={"text": "hello"}, timeout=5)
async def answered(resp: Response) -> str:
    assert_type(resp.status_code, int)
    return resp.text


async def called(ws: WebSocket, resp: Response) -> None:
    assert_type(await feed(ws), None)
    assert_type(await other_feed(ws), int)
    assert_type(await answered(resp), str)


@app.ws("wss://feed.example/sync")  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
def sync_feed(ws: WebSocket) -> None: ...


@app.get("https://api.example/", time_out=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
async def misspelt(resp: Response) -> None: ...


if __name__ == "__main__":
    assert_type(app.run(), None)
    app.run(settings={"FASTWS_DRAIN_SECONDS": 5})
    assert_type(app.serve(), None)
    app.serve("0.0.0.0", 8001, settings={"FASTWS_DRAIN_SECONDS": 5})
    app.serve(port="8001")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
