"""A layer that knows only channels and groups, and what comes from it that is no message."""

import asyncio

from django_fastws._core.envelope import BROADCAST, Envelope
from django_fastws.layer.channels import ChannelsBroker, ChannelsBrokerClient

HELLO = Envelope(BROADCAST, "group", "hi")


class Layer:
    """A layer whose one channel gives what the test says, or raises it."""

    def __init__(self):
        self.waiting = asyncio.Queue()

    async def new_channel(self):
        return "channel"

    async def group_add(self, group, channel):
        pass

    async def receive(self, channel):
        what = await self.waiting.get()
        if isinstance(what, Exception):
            raise what
        return what


async def test_what_is_no_message_is_said_once_and_ends_nothing(caplog, monkeypatch):
    monkeypatch.setattr(ChannelsBrokerClient, "_SHORTEST_PAUSE", 0)
    layer, got = Layer(), []
    client = ChannelsBroker(layer).client(got.append)
    await client.subscribe("group")
    for what in (
        ValueError("cannot decode"),
        ["a"],
        None,
        5,
        {"type": "fastws.probe", "probe": ["x"]},
        {"type": "chat.message"},
        HELLO.encode(),
    ):
        layer.waiting.put_nowait(what)
    async with asyncio.timeout(5):
        while not got:  # noqa: ASYNC110
            await asyncio.sleep(0)
    assert got == [HELLO]
    (record,) = caplog.records
    assert record.getMessage().startswith("Ignoring what is no message of a channel layer: ValueError: cannot decode")
    assert client.is_subscribed("group")
    await client.close()


async def test_what_comes_behind_much_that_cannot_be_decoded_does_not_wait_for_each_of_it(monkeypatch):
    pauses, sleep = [], asyncio.sleep

    async def noted(seconds):
        pauses.append(seconds)
        await sleep(0)

    got, layer = [], Layer()
    client = ChannelsBroker(layer).client(got.append)
    await client.subscribe("group")
    monkeypatch.setattr(asyncio, "sleep", noted)
    for _ in range(1000):
        layer.waiting.put_nowait(ValueError("cannot decode"))
    layer.waiting.put_nowait(HELLO.encode())
    async with asyncio.timeout(5):
        while not got:
            await sleep(0)
    assert len(pauses) == 1000
    assert sum(pauses) < 1
    await client.close()
