"""A server that is not there, and what tests of transports do with it."""

import asyncio

from django.test import override_settings

from django_fastws._core.fanout import FanOut
from django_fastws._core.messages import Payload

_started = set()


def start(coroutine):
    """A task that does not outlive the test, and whose error is not left behind."""
    task = asyncio.get_running_loop().create_task(coroutine)
    _started.add(task)
    return task


async def end_tasks():
    """Cancel what was started."""
    tasks = list(_started)
    _started.clear()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def turns(count=10):
    """Let whatever can run, run."""
    for _ in range(count):
        await asyncio.sleep(0)


def broadcast(transport, *payloads):
    """Send messages as a room does that has one member."""
    FanOut([(payload, None) for payload in payloads], {transport: transport.post}).run((), lambda: False)


async def blocked(server, transport):
    """Begin to send "first", which the server does not take yet."""
    server.gate.clear()
    task = start(transport.send_payload(Payload("first")))
    await server.sending.wait()
    return task


def limits(policy, size=10):
    """Settings for slow clients."""
    return override_settings(FASTWS_SEND_BUFFER_BYTES=size, FASTWS_SLOW_CONSUMER=policy)


def wrapping(function, log):
    """What middleware does."""

    async def wrapper(*args):
        log.append(args)
        return await function(*args)

    return wrapper


class Server:
    """The application's side of an ASGI server: what was sent, and a gate that holds back what is being sent."""

    def __init__(self, extensions=("websocket.http.response",)):
        self.scope = {
            "type": "websocket",
            "path": "/x",
            "headers": [],
            "query_string": b"",
            "subprotocols": [],
            "extensions": {name: {} for name in extensions},
        }
        self.events = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.sending = asyncio.Event()
        self.fails_with = None
        self.inbox = asyncio.Queue()

    async def send(self, event):
        self.sending.set()
        await self.gate.wait()
        if self.fails_with is not None:
            raise self.fails_with
        self.events.append(event)

    async def receive(self):
        return await self.inbox.get()

    @property
    def sent(self):
        """The events in short: data of messages, codes of closes, else the type."""
        return [
            event.get("text", event.get("bytes")) if event["type"] == "websocket.send"
            else event.get("code", "deny") if event["type"] == "websocket.close"
            else event["type"].removeprefix("websocket.")
            for event in self.events
        ]  # fmt: skip


def waiting(transport):
    """How many messages wait in the outbox of a transport, and how many bytes those are."""
    outbox = transport._outbox
    return (0, 0) if outbox is None else (len(outbox), outbox.size)
