"""The calls of FastHTTP's document on WebSockets, section by section, with this package's import line."""

from __future__ import annotations

import asyncio
import logging

from django_fastws import Response, WebSocket, WebSocketMessage
from django_fastws.websocket import WebSocketConnectionError, WebSocketError

from .conftest import run, running
from .peers import closing, listen, shake_hands, soon
from .web import Answer, Web


async def test_quick_start(project, peer):
    """The module as it would be written there, run by the command: what it prints, and the log around it."""
    server = await peer()
    project.write(
        "feeds/consumers.py",
        f"""
        from django_fastws import FastWS, WebSocket

        app = FastWS()


        @app.ws(url="{server.url}")
        async def greet(ws: WebSocket) -> None:
            await ws.send("Good morning")
            answer = await ws.recv()
            print(f"They said: {{answer}}")


        if __name__ == "__main__":
            app.run()
        """,
    )
    status, output = await project.run()
    lines = output.splitlines()
    assert status == 0
    assert [line.partition("|")[2].replace(" ", "") for line in lines if "They" not in line][:-1] == [
        "INFO|django_fastws.clients|FastWSstarted",
        "INFO|django_fastws.clients|Running1routes",
        "INFO|django_fastws.clients|WebSocketconnections:1",
        f"INFO|django_fastws.clients|WebSocketconnecting:{server.url}",
        f"INFO|django_fastws.clients|✔WebSocketconnected:{server.url}",
        f"INFO|django_fastws.clients|WebSocketclosed:{server.url}(1000)",
    ]
    assert "They said: Good morning" in lines
    assert " | INFO    | django_fastws.clients | Done in " in lines[-1]


async def test_signature(app, peer):
    server = await peer()

    @app.ws(
        url=server.url,
        reconnect=False,
        max_retries=0,
        tags=["greetings"],
    )
    async def greet(ws: WebSocket) -> None:
        assert ws.tags == ("greetings",)
        await ws.send("hello")
        await ws.recv()

    assert await run(app)


async def test_sending_messages(app, peer):
    server = await peer(listen)

    @app.ws(url=server.url)
    async def speak(ws: WebSocket) -> None:
        await ws.send("text")
        await ws.send(b"\x01\xfe")
        await ws.send({"name": "value"})
        await ws.send_str("as str")
        await ws.send_bytes(b"\x02")

    assert await run(app)
    assert server.visits[0].received == ["text", b"\x01\xfe", '{"name":"value"}', "as str", b"\x02"]


async def test_receiving_messages(app, peer):
    async def speak(ws, visit):
        for message in ("one", "two", b"three", b"four", "five", '{"six":6}', b"seven"):
            await ws.send(message)
        await listen(ws, visit)

    server = await peer(speak)
    done = []

    @app.ws(url=server.url)
    async def hear(ws: WebSocket) -> None:
        assert isinstance(await ws.recv(), WebSocketMessage)
        assert await ws.recv_str() == "two"
        assert await ws.recv_bytes() == b"three"
        for receive in (ws.recv_str, ws.recv_bytes):
            try:
                await receive()
            except TypeError:
                done.append("refused")
        message = await ws.recv()
        assert (message.text, message.data, message.json(), str(message)) == (
            '{"six":6}',
            '{"six":6}',
            {"six": 6},
            '{"six":6}',
        )
        message = await ws.recv()
        assert (message.text, message.data) == (None, b"seven")
        done.append("all")

    assert await run(app)
    assert done == ["refused", "refused", "all"]


async def test_streaming(app, peer):
    async def prices(ws, visit):
        for price in (1, 2, 3):
            await ws.send(f'{{"price": {price}}}')

    server = await peer(prices)
    seen = []

    @app.ws(url=server.url)
    async def watch(ws: WebSocket) -> None:
        async for message in ws:
            quote = message.json()
            seen.append(quote["price"])
        seen.append("clean end")

    assert await run(app)
    assert seen == [1, 2, 3, "clean end"]


async def test_properties_and_lifecycle(app, peer):
    server = await peer()
    seen = []

    @app.ws(url=server.url)
    async def look(ws: WebSocket) -> None:
        seen.append(ws.closed)
        host, port = ws.local_address
        seen.append((host, isinstance(port, int)))
        seen.append(ws.remote_address)
        await ws.ping()
        await ws.pong()
        await ws.close(code=1000, reason="finished")
        seen.append(ws.closed)

    assert await run(app)
    assert seen == [False, ("127.0.0.1", True), ("127.0.0.1", server.port), True]
    assert server.visits[0].close_reason == "finished"


async def test_auto_reconnect(app, peer):
    server = await peer(closing(1001, 1001, 1001, 1001, 1001, 1001))
    got = []

    @app.ws(url=server.url, reconnect=True, max_retries=5)
    async def quotes(ws: WebSocket) -> None:
        """Connects again up to five times."""
        async for message in ws:
            got.append(message.text)

    assert not await run(app)
    assert got == [f"hello {number}" for number in range(6)]


async def test_running_with_http_routes(app, peer, log):
    server = await peer(closing(None))
    got = []

    async def behave(request):
        return Answer(200, b'{"up": true}')

    async with Web(behave) as web:

        @app.get(url=f"{web.url}/up")
        async def up(resp: Response) -> dict:
            return resp.json()

        @app.ws(url=server.url)
        async def feed(ws: WebSocket) -> None:
            async for message in ws:
                got.append(message.text)

        async with running(app) as it:
            await soon(lambda: got)
            assert not it.task.done()  # it stays until it is interrupted
    assert f'✔ GET {web.url}/up 200: {{"up":true}}' in log.lines
    assert got == ["hello 0"]


async def test_error_handling(app, peer, raw_peer):
    async def hang_up(reader, writer, number):
        await shake_hands(reader, writer)

    lost, talks = await raw_peer(hang_up), await peer()
    seen = []

    async def careful(ws: WebSocket) -> None:
        try:
            await ws.send("anybody?")
            await ws.recv()
            await ws.send("x" * 2_000_000)
        except WebSocketConnectionError:
            seen.append("connection lost")
        except WebSocketError as error:
            seen.append(str(error))

    app.ws(url=lost.url, name="lost")(careful)
    app.ws(url=talks.url, name="talks")(careful)
    await run(app)
    seen.sort()
    assert seen[0] == "connection lost"
    assert "limit" in seen[1]


async def test_the_log_needs_no_particular_handler(app, peer, caplog):
    """Ordinary Python logging, by its names, without colours."""
    caplog.set_level(logging.INFO)
    server = await peer()

    @app.ws(url=server.url)
    async def nothing(ws: WebSocket) -> None:
        await asyncio.sleep(0)

    assert await run(app)
    assert "\x1b" not in caplog.text
    names = {name for name, _, _ in caplog.record_tuples if name.startswith("django_fastws")}
    assert {name for name in names if not name.startswith("django_fastws.clients.library")} == {
        "django_fastws.clients"
    }
