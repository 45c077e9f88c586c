"""Commands that bring their script along, and what such a command has published."""

from __future__ import annotations

from django_fastws import History
from django_fastws._core.envelope import BROADCAST, Envelope
from django_fastws._core.latest import Keyed, Latest
from django_fastws._core.resp import ReplyReader, command, spublish_command
from django_fastws._core.sequences import Sender
from django_fastws.layer.redis.history_commands import store_command
from django_fastws.layer.redis.history_scripts import MARK, STORE
from django_fastws.layer.redis.latest_commands import keep_command
from django_fastws.layer.redis.script_loads import announcement, with_script

SHARDED, PLAIN = b"asgi__group__{room}", b"asgi__group__room"


def store(channel, **more):
    envelope = Envelope(BROADCAST, "room", "hi", history=History(messages=5), **more)
    return store_command("asgi", channel, envelope, envelope.encode(Sender()), b"data\r\n", b"")


def keep(channel):
    envelope = Envelope(BROADCAST, "room", "hi", keyed=Keyed("BTC", is_removed=False, latest=Latest()))
    return keep_command("asgi", channel, envelope, envelope.encode(Sender()), b"data\r\n")


def test_what_was_stored_elsewhere_is_published_once_more():
    for data in (store(SHARDED), store(SHARDED, idempotency_key="once"), keep(SHARDED)):
        assert announcement(data, b"epoch:7") == spublish_command(SHARDED, MARK + b"epoch:7\ndata\r\n")


def test_what_is_not_published_so_is_not_published_once_more():
    for data, reply in (
        (store(SHARDED), b""),  # it was stored before
        (store(SHARDED), 1),
        (store(PLAIN), b"epoch:7"),
        (keep(PLAIN), b"epoch:7"),
        (command(b"EVALSHA", b"another", b"1", b"key", SHARDED), b"epoch:7"),
        (command(b"SET", b"key", b"1"), b"OK"),
    ):
        assert announcement(data, reply) is None


def test_a_command_brings_its_script_along():
    (parts,) = ReplyReader().feed(with_script(store(SHARDED)))
    assert parts[:3] == [b"EVAL", STORE.text, b"2"]
