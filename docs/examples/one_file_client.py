"""A client in one file: ``python client.py``."""

from django_fastws import FastWS, Response, WebSocket

app = FastWS()


@app.get(url="http://127.0.0.1:8000/readyz")
async def ready(response: Response):
    return response.json()


@app.ws(url="ws://127.0.0.1:8000/rooms/lobby?name=robot")
async def talk(ws: WebSocket):
    await ws.send("hello")
    print(await ws.receive_json())


if __name__ == "__main__":
    app.run()
