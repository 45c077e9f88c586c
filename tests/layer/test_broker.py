"""Which broker is chosen; what each of them owes to its users is tested in tests/contract/."""

from __future__ import annotations

import threading
from typing import Any

from channels.layers import InMemoryChannelLayer

from django_fastws._core.envelope import BROADCAST, Envelope
from django_fastws.layer import Broker, get_broker
from django_fastws.layer.local import LocalBroker
from tests.site.client import token

IN_MEMORY = {"BACKEND": "channels.layers.InMemoryChannelLayer"}
SUBCLASS = {"BACKEND": "tests.layer.test_broker.Watched"}


class Watched(InMemoryChannelLayer):
    """A layer that sees what passes."""


def test_it_is_chosen_once_for_each_layer(settings):
    settings.CHANNEL_LAYERS = {"default": SUBCLASS}
    first = get_broker()
    assert get_broker() is first
    settings.CHANNEL_LAYERS = {"default": {**SUBCLASS, "CONFIG": {"capacity": 5}}}
    assert get_broker() is not first
    settings.CHANNEL_LAYERS = {}
    assert type(get_broker()) is LocalBroker


def test_all_threads_have_the_same_one(settings):
    settings.CHANNEL_LAYERS = {"default": SUBCLASS}
    found: list[Broker] = [get_broker()]
    threads = [threading.Thread(target=lambda: found.append(get_broker())) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert len(set(found)) == 1


async def test_who_has_joined_without_a_layer_is_heard_with_the_one_in_memory(settings):
    settings.CHANNEL_LAYERS = {}
    got: list[Any] = []
    client, group = get_broker().client(got.append), token()
    await client.subscribe(group)
    settings.CHANNEL_LAYERS = {"default": IN_MEMORY}
    sent = Envelope(BROADCAST, group, "hi")
    await get_broker().apublish(sent)
    assert got == [sent]
    await client.unsubscribe(group)
