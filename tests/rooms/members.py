"""Members of rooms, on a hub whose broker is not there."""

import asyncio

from django_fastws._core.envelope import Envelope
from django_fastws._core.groups import group_name
from django_fastws._core.messages import Payload


class Member:
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


def broadcast(hub, room, data, exclude=None):
    payload = Payload(data)
    hub.deliver(Envelope.broadcast(group_name(room), payload, exclude))
    hub._scheduler._send()  # what the loop does in its next turn


async def crowd(hub, room, count):
    members = [Member(f"{room} {number}") for number in range(count)]
    for member in members:
        await hub.join(member, room)
    return members


def deliver(hub, room, *texts, exclude=None):
    for text in texts:
        hub.deliver(Envelope.broadcast(group_name(room), Payload(text), exclude))
