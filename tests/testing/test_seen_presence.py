"""Who is present, as a client of a test is told: snapshots, changes, counts, and waiting for them."""

from __future__ import annotations

import json

import pytest
from django.contrib.auth.models import User

from django_fastws import LiveError
from django_fastws.testing import PresentOne, ReceivedPresence, live
from django_fastws.testing.seen_presence import SeenPresence

ADA, BOB = {"meta": {"name": "ada"}, "connections": 1}, {"meta": None, "connections": 2}
HERE_ADA, HERE_BOB = PresentOne({"name": "ada"}, 1), PresentOne(None, 2)


def diff(v, *, joined=None, left=(), changed=None):
    return {"presence": {"joined": joined or {}, "left": list(left), "changed": changed or {}}, "v": v}


@pytest.fixture
def seen():
    seen = SeenPresence()
    seen.joined({"present": {"5": ADA}, "v": 7})
    return seen


def test_the_answer_to_a_join_is_no_change(seen):
    assert (seen.people, seen.count, seen.version) == ({"5": HERE_ADA}, 1, 7)
    assert list(seen.changes) == []


def test_changes_are_what_a_client_has_not_known(seen):
    assert seen.receive(diff(8, joined={"5": ADA, "6": BOB}))
    assert seen.receive(diff(9, left=["5", "7"], changed={"6": BOB}))
    assert [repr(change) for change in seen.changes] == [
        f"presence joined {{'6': {HERE_BOB!r}}} of 2",
        f"presence left {{'5': {HERE_ADA!r}}} of 1",
    ]
    assert (seen.people, seen.count, seen.version) == ({"6": HERE_BOB}, 1, 9)


def test_what_is_known_already_is_passed_over(seen):
    for v in (6, 7):
        assert seen.receive(diff(v, left=["5"]))
    assert seen.receive(diff(8, joined={"5": ADA}))
    assert (list(seen.changes), seen.people, seen.version) == ([], {"5": HERE_ADA}, 8)


def test_a_card_or_a_number_that_is_another_is_a_change(seen):
    seen.receive(diff(8, changed={"5": {**ADA, "connections": 2}}))
    (change,) = seen.changes
    assert change == ReceivedPresence(changed={"5": PresentOne({"name": "ada"}, 2)}, count=1)


def test_one_who_leaves_and_comes_at_once_is_there(seen):
    seen.receive(diff(8, left=["5"], joined={"5": BOB}))
    assert seen.people == {"5": HERE_BOB}


def test_a_new_snapshot_tells_what_has_changed(seen):
    assert seen.receive({"present": {"6": BOB}, "v": 3})
    (change,) = seen.changes
    assert (change.joined, change.left, change.count) == ({"6": HERE_BOB}, {"5": HERE_ADA}, 1)
    assert seen.version == 3


def test_a_return_goes_on_with_what_has_changed(seen):
    seen.joined(diff(9, joined={"6": BOB}))
    assert (seen.people, seen.version, list(seen.changes)) == ({"5": HERE_ADA, "6": HERE_BOB}, 9, [])


def test_a_room_may_only_count():
    seen = SeenPresence()
    seen.joined({"count": 3})
    assert (seen.people, seen.count) == ({}, 3)
    assert seen.receive({"count": 0})
    assert list(seen.changes) == [ReceivedPresence(count=0)]
    assert repr(next(iter(seen.changes))) == "presence of 0"


def test_other_frames_are_not_its_own(seen):
    assert not seen.receive({"event": "said"})
    assert not seen.receive({"at": "e:1"})


# With a client


class Server:
    """Application that answers joins as it is told, and says what it is told."""

    def __init__(self, *joined):
        self.answers = list(joined)
        self.heard = []

    async def __call__(self, scope, receive, send):
        await send({"type": "websocket.accept", "subprotocol": "fastws.v1.json"})
        self.send = send
        while (event := await receive())["type"] != "websocket.disconnect":
            if event["type"] != "websocket.receive":
                continue
            frame = json.loads(event["text"])
            self.heard.append(frame)
            ok = {"ping": 25}
            if "join" in frame:
                ok = {"room": frame["join"], "recovered": False, **self.answers.pop(0)}
            await self.say({"id": frame["id"], "ok": None if "leave" in frame else ok})

    async def say(self, frame):
        await self.send({"type": "websocket.send", "text": json.dumps(frame)})


async def test_a_client_waits_for_changes_and_others_stay():
    server = Server({"present": {"5": ADA}, "v": 1})
    async with live(application=server) as client:
        room = await client.join("tickets/5")
        assert (room.present, room.count) == ({"5": HERE_ADA}, 1)
        await server.say({"room": "tickets/5", **diff(2, joined={"6": BOB})})
        await server.say({"room": "tickets/5", **diff(3, left=["6"])})
        await server.say({"room": "tickets/5", **diff(4, joined={"7": BOB})})
        assert (await room.next_presence(left=User(pk=6))).left == {"6": HERE_BOB}
        assert (await room.next_presence(count=2)).joined == {"6": HERE_BOB}
        assert (await room.next_presence()).joined == {"7": HERE_BOB}
        assert room.present == {"5": HERE_ADA, "7": HERE_BOB}


async def test_changes_are_no_events():
    server = Server({"present": {"5": ADA}, "v": 1})
    async with live(application=server) as client:
        room = await client.join("tickets/5")
        await server.say({"room": "tickets/5", **diff(2, joined={"6": BOB})})
        await server.say({"room": "tickets/5", "event": "said", "data": 1})
        assert (await room.next()).event == "said"
        assert await room.receive_nothing(0.01)
        assert "6" in room.present


async def test_a_wait_in_vain_says_what_came_instead():
    server = Server({"present": {"5": ADA}, "v": 1})
    async with live(application=server, timeout=2) as client:
        room = await client.join("tickets/5")
        await server.say({"room": "tickets/5", **diff(2, joined={"6": BOB})})
        with pytest.raises(TimeoutError) as caught:
            await room.next_presence(joined="7", count=3)
    assert "tickets/5: no change of presence joined='7' count=3 in 2 seconds" in str(caught.value)
    assert "tickets/5: presence joined {'6': " in str(caught.value)


async def test_a_return_says_the_version_and_a_new_join_does_not():
    server = Server(
        {"present": {"5": ADA}, "v": 1}, diff(4, joined={"6": BOB}), {"present": {"6": BOB}, "v": 4}, {"count": 1}
    )
    async with live(application=server) as client:
        room = await client.join("tickets/5")
        await client.reconnect()
        assert server.heard[-1]["v"] == 1
        assert room.present == {"5": HERE_ADA, "6": HERE_BOB}
        await client.join("tickets/5")
        assert "v" not in server.heard[-1]
        assert room.present == {"6": HERE_BOB}
        other = await client.join("hall")
        assert (other.present, other.count) == ({}, 1)


async def test_a_wait_ends_with_the_membership():
    server = Server({"present": {}, "v": 1}, {})
    async with live(application=server) as client:
        room = await client.join("tickets/5")
        await room.leave()
        with pytest.raises(LiveError, match="not_joined"):
            await room.next_presence()
        without = await client.join("tickets/6")
        assert (without.present, without.count) == ({}, None)
