"""Members that get broadcasts as events, beside those that get them as they are; and kicks of both."""

import json
import math

import pytest

from django_fastws import FastWS, Room
from django_fastws._core.envelope import Envelope
from django_fastws._core.exclusions import exclusion
from django_fastws._core.groups import group_name
from django_fastws._core.messages import Payload
from django_fastws.rooms import current_hub, local_room
from django_fastws.testing import connect
from django_fastws.user_keys import user_key
from tests.rooms.members import Member, settle, until


class EventMember(Member):
    """A member as a live socket is one."""

    takes_events = True

    def __init__(self, name, client_id=""):
        super().__init__(name)
        self.client_id = client_id
        self.kicked = []

    def matches(self, user, client):
        return client == self.client_id

    def kick(self, code, reason):
        self.kicked.append((code, reason))

    @property
    def events(self):
        return [json.loads(text) for text in self.got]


async def joined(*members, room="tickets/5"):
    for member in members:
        await current_hub().join(member, room)


CASES = [
    ({"text": "hi"}, None, {"event": "message", "data": {"text": "hi"}}, '{"text":"hi"}'),
    ({"text": "hi"}, "said", {"event": "said", "data": {"text": "hi"}}, '{"text":"hi"}'),
    ("größe", None, {"event": "message", "data": "größe"}, "größe"),
    ("[1]", "said", {"event": "said", "data": "[1]"}, "[1]"),
    ([1, 2], None, {"event": "message", "data": [1, 2]}, "[1,2]"),
    (None, "gone", {"event": "gone", "data": None}, "null"),
]


@pytest.mark.parametrize(("data", "event", "live", "raw"), CASES)
async def test_one_broadcast_reaches_both_kinds_of_members(data, event, live, raw):
    one, other = EventMember("one"), Member("other")
    await joined(one, other)
    await Room("tickets/5").abroadcast(data, event)
    await settle()
    assert one.events == [{"room": "tickets/5", **live}]
    assert other.got == [raw]


async def test_all_that_take_events_get_one_frame_and_none_is_made_without_them():
    members = [EventMember(str(number)) for number in range(3)]
    await joined(*members)
    frames = []
    for member in members:
        member.post = lambda batch: frames.append(batch)
        current_hub().repost(member, "tickets/5")
    await Room("tickets/5").abroadcast({"a": 1})
    await settle()
    assert len(frames) == 3
    assert len({id(batch) for batch in frames}) == 1


@pytest.mark.parametrize(
    ("event", "error"), [(5, TypeError), (b"said", TypeError), ("", ValueError), ("\ud800", ValueError)]
)
async def test_what_is_no_name_of_an_event_is_an_error_of_the_broadcast(event, error):
    with pytest.raises(error, match="event"):
        await Room("tickets/5").abroadcast(1, event)


@pytest.mark.parametrize("is_volatile", [False, True])
async def test_a_volatile_broadcast_is_volatile_for_members_of_both_kinds(is_volatile):
    members, payloads = [EventMember("one"), Member("other")], []
    for member in members:
        member.post = lambda batch: payloads.extend(batch.payloads)
    await joined(*members)
    await Room("tickets/5").abroadcast({"a": 1}, volatile=is_volatile)
    await settle()
    assert [payload.is_volatile for payload in payloads] == [is_volatile] * 2


@pytest.mark.parametrize("excluded", ["id", "c-1"])
async def test_a_member_is_excluded_by_its_id_or_that_of_its_client(excluded):
    one, other, raw = EventMember("id", "c-1"), EventMember("id 2", "c-2"), Member("raw")
    await joined(one, other, raw)
    await Room("tickets/5").abroadcast("x", exclude=excluded)
    await settle()
    assert (len(one.got), len(other.got), len(raw.got)) == (0, 1, 1)


async def test_the_client_id_of_a_socket_counts_with_its_owner():
    """Elsewhere, another one may have said it."""
    ada, bob = EventMember("id", "c-1"), EventMember("id 2", "c-1")
    ada.owner, bob.owner = "auth.user:5", "auth.user:6"
    await joined(ada, bob)
    await Room("tickets/5").abroadcast("x", exclude=exclusion("c-1", "auth.user:5"))
    await settle()
    assert (len(ada.got), len(bob.got)) == (0, 1)


async def test_all_sockets_of_a_client_are_excluded_by_its_id_and_each_by_its_own():
    former, one, other = EventMember("id", "c-1"), EventMember("id 2", "c-1"), EventMember("id 3", "c-2")
    await joined(former, one, other)
    room = Room("tickets/5")
    for data, exclude in (("a", "c-1"), ("b", "id"), ("c", "c-1"), ("d", "c-2")):
        await room.abroadcast(data, exclude=exclude)
    await until(lambda: (len(one.got), len(other.got)) == (2, 3))  # fan-outs are paced
    assert [[event["data"] for event in one.events] for one in (former, one, other)] == [
        ["d"],
        ["b", "d"],
        ["a", "b", "c"],
    ]
    await current_hub().leave(one, "tickets/5")
    await room.abroadcast("e", exclude="c-1")
    await until(lambda: len(other.got) == 4)
    assert (len(former.got), len(other.got)) == (1, 4)


# Who is excluded from broadcasts, one after the other; and which of them "one" has got last.
TOLD = [
    ([], None),
    ([None], 0),
    ([None, None], 1),
    (["one"], None),
    ([None, "one"], 0),
    (["other", "one"], 0),
    ([None, "one", "one"], 0),
    (["one", None], 1),
    (["one", "other"], 1),
    (["other", "one", "other"], 2),
    (["other", "one", "other", "one"], 2),
    (["one", "nobody"], 1),
]


@pytest.mark.parametrize(("excluded", "last"), TOLD)
async def test_a_room_knows_when_it_told_a_member_something(excluded, last, monkeypatch):
    now = 0.0
    monkeypatch.setattr(local_room.time, "perf_counter", lambda: now)
    one, other = EventMember("one"), EventMember("other")
    await joined(one, other)
    for number, name in enumerate(excluded):
        now = float(number)
        await Room("tickets/5").abroadcast(number, exclude=name)
        await settle()
    hub = current_hub()
    assert hub.told_at(one, "tickets/5") == (-math.inf if last is None else last)
    assert [json.loads(text)["data"] for text in one.got[-1:]] == ([] if last is None else [last])
    assert hub.told_at(one, "tickets/6") == hub.told_at(EventMember("stranger"), "tickets/5") == -math.inf


async def test_the_subscription_ends_with_the_last_member_of_both_kinds():
    one, raw = EventMember("one"), Member("raw")
    await joined(one, raw)
    hub = current_hub()
    await hub.leave(raw, "tickets/5")
    await Room("tickets/5").abroadcast("x")
    await settle()
    assert (len(one.got), raw.got) == (1, [])
    await joined(raw)
    await hub.leave(one, "tickets/5")
    await Room("tickets/5").abroadcast("y")
    await settle()
    assert (len(one.got), raw.got) == (1, ["y"])
    hub.drop(raw, {"tickets/5"})
    await hub.settled()
    assert not hub.has(raw, "tickets/5")
    assert not hub.has(one, "tickets/5")


async def test_bytes_are_not_for_those_that_take_events_and_that_is_said_once(caplog):
    one, raw = EventMember("one"), Member("raw")
    await joined(one, raw)
    for _ in range(2):
        current_hub().deliver(Envelope.broadcast(group_name("tickets/5"), Payload(b"\x00")))
    await settle()
    assert (one.got, raw.got) == ([], [b"\x00"] * 2)
    assert caplog.text.count("bytes") == 1


async def test_a_kick_reaches_the_members_that_match():
    one, other = EventMember("one", "c-1"), EventMember("other", "c-2")
    await joined(one, other)
    await Room("tickets/5").akick(client="c-1", code=4003, reason="bye")
    await settle()
    assert (one.kicked, other.kicked) == ([(4003, "bye")], [])


class Person:
    def __init__(self, pk):
        self.pk = pk
        self.is_authenticated = True


@pytest.fixture
def app(routes):
    app = FastWS()

    @app.websocket("/join")
    async def join(ws):
        await ws.accept()
        await ws.join("lobby")
        await ws.send(ws.id)
        async for _ in ws:
            pass

    return join.as_asgi()


@pytest.mark.parametrize("by", ["user", "client"])
async def test_a_socket_that_is_kicked_is_closed(app, by):
    ada, bob = Person(1), Person(2)
    async with (
        connect("/join", application=app, user=ada) as one,
        connect("/join", application=app, user=bob) as other,
        connect("/join", application=app) as anonymous,
    ):
        ids = [await ws.receive_text() for ws in (one, other, anonymous)]
        await Room("lobby").akick(**{"user": ada} if by == "user" else {"client": ids[0]})
        assert await one.wait_closed() == 4403
        assert await other.receive_nothing()
        assert await anonymous.receive_nothing()
        await Room("lobby").akick(client=ids[2], code=4001, reason="you, too")
        assert await anonymous.wait_closed() == 4001
        assert anonymous.close_reason == "you, too"
        assert user_key(bob)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({}, TypeError),
        ({"user": 1, "client": "c"}, TypeError),
        ({"client": ""}, TypeError),
        ({"client": 5}, TypeError),
        ({"client": "c", "code": 1005}, ValueError),
        ({"client": "c", "reason": "x" * 200}, ValueError),
    ],
)
def test_a_kick_that_cannot_be_is_an_error(arguments, error):
    with pytest.raises(error):
        Room("lobby").kick(**arguments)


async def test_a_kick_that_makes_no_sense_is_ignored_and_said_once(caplog):
    one = EventMember("one", "c-1")
    await joined(one)
    for _ in range(2):
        current_hub().deliver(Envelope.control(group_name("tickets/5"), {"do": "kick", "client": "c-1", "code": "x"}))
    assert one.kicked == []
    assert caplog.text.count("Ignoring") == 1
