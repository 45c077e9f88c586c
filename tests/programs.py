"""One-file programs as a reader of some other library's pages writes them, with the package's names."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.support.processes import HOST, ROOT, Process

ECHO = """
from django_fastws import FastWS

app = FastWS()

@app.websocket("/echo")
async def endpoint(ws):
    await ws.accept()
    try:
        while True:
            text = await ws.receive_text()
            await ws.send_json({"said": text, "user": str(ws.user), "is_authenticated": ws.user.is_authenticated})
    except Exception as error:
        print(f"over: {error}")

if __name__ == "__main__":
    app.serve(host="{host}", port={port})
    print("behind it")
"""

EVERYBODY = """
from typing import Set
from django_fastws import FastWS

app = FastWS()
members: Set = set()

@app.websocket("/all")
async def everybody(ws):
    await ws.accept()
    members.add(ws)
    try:
        while True:
            text = await ws.receive_text()
            for member in list(members):
                try:
                    await member.send_json({"text": text, "members": len(members)})
                except:
                    members.discard(member)
    except Exception:
        pass
    finally:
        members.discard(ws)

if __name__ == "__main__":
    app.serve("{host}", {port})
"""

ROOMS = """
from typing import Dict
from django_fastws import FastWS

app = FastWS()
rooms: Dict[str, set] = {}

@app.websocket("/rooms/{name}")
async def talk(ws, name: str):
    await ws.accept()
    rooms.setdefault(name, set()).add(ws)
    for other in rooms[name]:
        if other != ws:
            await other.send_json({"kind": "came", "room": name})
    try:
        while True:
            text = await ws.receive_text()
            for member in rooms[name]:
                await member.send_json({"kind": "text", "text": text})
    except Exception:
        pass
    finally:
        rooms[name].discard(ws)
        for other in rooms[name]:
            await other.send_json({"kind": "left"})

if __name__ == "__main__":
    app.serve("{host}", {port})
"""

STATES = """
import asyncio
from django_fastws import FastWS, WebSocketException

app = FastWS()

@app.websocket("/while")
async def connected(ws):
    await ws.accept()
    while ws.client_state == 1:
        await ws.send_text(f"Again: {await ws.receive_text()}")

@app.websocket("/errors")
async def errors(ws):
    try:
        await ws.accept()
        while True:
            try:
                if await ws.receive_text() == "refuse":
                    raise WebSocketException(code=4000, reason="refused")
                int("x")
            except ConnectionError:
                print("disconnected")
                break
            except ValueError as error:
                await ws.send_json({"error": str(error)})
    except WebSocketException as error:
        print(f"refused: {error.code} - {error.reason}")
    finally:
        print("cleaned up")

async def heartbeat(ws):
    while True:
        await asyncio.sleep(0.05)
        await ws.send_json({"type": "ping"})

@app.websocket("/bounded")
async def bounded(ws):
    await ws.accept()
    beating = asyncio.create_task(heartbeat(ws))
    try:
        await asyncio.wait_for(ws.receive_text(), timeout=0.3)
    except asyncio.TimeoutError:
        await ws.close()
    finally:
        beating.cancel()

if __name__ == "__main__":
    app.serve("{host}", {port})
"""

ASK = """
from django_fastws import FastWS, WebSocket

app = FastWS()

@app.ws(url="ws://{host}:{port}/echo")
async def ask(ws: WebSocket) -> None:
    await ws.send("hello")
    message = await ws.recv()
    print(f"Heard: {message}")

if __name__ == "__main__":
    app.run()
    print("behind it")
"""

FEED = """
from django_fastws import FastWS, Response, WebSocket
from django_fastws.websocket import WebSocketConnectionError, WebSocketError

app = FastWS()

@app.get(url="http://{host}:{port}/status")
async def status(response: Response) -> dict:
    return response.json()

@app.ws(url="ws://{host}:{port}/feed", reconnect=True, max_retries=5, tags=["feed"])
async def feed(ws: WebSocket) -> None:
    async for message in ws:
        print("got", message.json()["price"])

async def careful(ws: WebSocket) -> None:
    try:
        await ws.send("ping")
        await ws.recv()
    except WebSocketConnectionError:
        print("lost")
    except WebSocketError as error:
        print(f"error: {error}")

app.ws(url="ws://{host}:{port}/silent")(careful)

if __name__ == "__main__":
    app.run()  # the requests first; then the sockets, until Ctrl+C
"""


def filled(program: str, host: str, port: int) -> str:
    """The text of a program for an address."""
    return program.replace("{host}", host).replace("{port}", str(port))


class Program(Process):
    """A file in an empty directory, run by Python; ``is_forked``, unless it is to be run as users run it."""

    def __init__(
        self, directory: Path, text: str, host: str = HOST, *, port: int, module: str = "", is_forked: bool = True
    ) -> None:
        name = f"{module.replace('.', '/')}.py" if module else "main.py"
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(filled(text, host, port))
        super().__init__([sys.executable, *(["-m", module] if module else [name])], port)
        self.cwd = directory
        self.is_forked = is_forked
        self.environment["PYTHONPATH"] = str(ROOT)
        self.environment.pop("DJANGO_SETTINGS_MODULE", None)

    def url(self, path: str) -> str:
        return f"ws://{HOST}:{self.port}{path}"

    async def ended(self) -> int:
        """Wait until it has ended by itself, or by a signal; returns its exit status."""
        assert self.process is not None
        return await asyncio.to_thread(self.process.wait, 90)

    async def run(self) -> int:
        """Run it to its end."""
        with self.log_path.open("ab") as log:
            self.process = self._start(log)
        return await self.ended()
