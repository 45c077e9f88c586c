"""A layer that knows only channels and groups, and what comes from it that is no message."""

import asyncio
import os
import signal
from types import SimpleNamespace

import pytest

from django_fastws._core.envelope import BROADCAST, Envelope
from django_fastws.layer import channels
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
    async with asyncio.timeout(30):
        while not got:  # noqa: ASYNC110
            await asyncio.sleep(0)
    assert got == [HELLO]
    (record,) = caplog.records
    assert record.getMessage().startswith("Ignoring what is no message of a channel layer: ValueError: cannot decode")
    assert client.is_subscribed("group")
    await client.close()


async def test_what_comes_behind_much_that_cannot_be_decoded_does_not_wait_for_each_of_it(monkeypatch):
    pauses = []

    async def noted(seconds):
        pauses.append(seconds)
        await asyncio.sleep(0)

    got, layer = [], Layer()
    client = ChannelsBroker(layer).client(got.append)
    await client.subscribe("group")
    monkeypatch.setattr(channels, "asyncio", SimpleNamespace(**{**vars(asyncio), "sleep": noted}))
    for _ in range(1000):
        layer.waiting.put_nowait(ValueError("cannot decode"))
    layer.waiting.put_nowait(HELLO.encode())
    async with asyncio.timeout(30):
        while not got:  # noqa: ASYNC110
            await asyncio.sleep(0)
    assert len(pauses) == 1000
    assert sum(pauses) < 1
    await client.close()


async def test_after_an_outage_it_is_said_that_something_may_have_been_missed(monkeypatch):
    got, restored, layer = [], [], Layer()
    client = ChannelsBroker(layer).client(got.append)
    client.restored = lambda: restored.append(client.is_subscribed("group"))
    await client.subscribe("group")
    layer.waiting.put_nowait(ConnectionError("away"))
    layer.waiting.put_nowait(HELLO.encode())
    async with asyncio.timeout(30):
        while not got:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    assert restored == [True]
    await client.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # that it has threads
def test_a_forked_child_publishes_through_a_loop_of_its_own_and_its_parent_goes_on(monkeypatch):
    published, publisher = [], channels._PublisherLoop()
    monkeypatch.setattr(channels, "_publisher_loop", publisher)

    class Sent(Layer):
        async def group_send(self, group, message):
            published.append((message["text"], asyncio.get_running_loop()))

    broker = ChannelsBroker(Sent())
    try:
        broker.publish(Envelope(BROADCAST, "group", "parent"))
        pid = os.fork()
        if not pid:
            signal.alarm(10)  # instead of waiting for a thread that it does not have
            try:
                broker.publish(Envelope(BROADCAST, "group", "child"))
            finally:
                os._exit(len({loop for _, loop in published}))
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 2
        broker.publish(Envelope(BROADCAST, "group", "parent again"))
        assert [text for text, _ in published] == ["parent", "parent again"]
        assert len({loop for _, loop in published}) == 1
    finally:
        publisher.stop()
