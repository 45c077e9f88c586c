"""Members of rooms, on a hub whose broker is not there."""

import asyncio

import pytest

from django_fastws._core.envelope import Envelope
from django_fastws._core.groups import group_name
from django_fastws._core.messages import Payload


class Member:
    takes_events = False

    def __init__(self, name="member", fails_with=None):
        self.id = name
        self.got = []
        self.posts = 0
        self.fails_with = fails_with

    def post(self, batch):
        if self.fails_with is not None:
            raise self.fails_with
        self.posts += 1
        self.got += [payload.raw if payload.binary else payload.text for payload in batch.payloads]

    def __repr__(self):
        return f"<{self.id}>"


async def settle():
    """Let whatever can run, run."""
    for _ in range(20):
        await asyncio.sleep(0)


async def broadcast(hub, room, data, exclude=None):
    """Deliver a broadcast, and let the loop have the turn in which it is sent."""
    deliver(hub, room, data, exclude=exclude)
    await asyncio.sleep(0)


async def turns(is_over):
    """The turns of the loop until something has come about."""
    for _ in range(100_000):
        if is_over():
            return
        await asyncio.sleep(0)
        yield
    pytest.fail("it has not come about")


async def until(is_over):
    """Let the loop turn until something has come about."""
    async for _ in turns(is_over):
        pass


async def crowd(hub, room, count):
    members = [Member(f"{room} {number}") for number in range(count)]
    for member in members:
        await hub.join(member, room)
    return members


def deliver(hub, room, *data, exclude=None):
    for each in data:
        hub.deliver(Envelope.broadcast(group_name(room), Payload(each), exclude))
