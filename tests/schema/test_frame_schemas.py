"""Schemas of frames: what the protocol really says fits."""

import asyncio
import json
import re
from dataclasses import replace

import pytest

from django_fastws import Event, FastWS, History, Latest, Position, Presence
from django_fastws._core import live_frames
from django_fastws._core.latest import Keyed
from django_fastws._core.presence_payloads import PresencePayload, count_part, diff_part, present_part
from django_fastws._core.presence_reports import PresentKey
from django_fastws._core.room_events import EventPayload, KeyedPayload, PositionPayload
from django_fastws.live import live_rooms
from django_fastws.schema import describe, frame_schemas
from tests.support import node
from tests.support.processes import ROOT

AT = Position("4f1c", 171)
NAMES = {"tickets/{pk:int}": ("tickets/5", "tickets/x"), "a.b": ("a.b", "axb"), "{x}+{y:slug}": ("a+b", "a/b+c")}


class Said(Event):
    text: str


ADA = {"7": PresentKey(b'{"name":"ada"}', 2, 0.0)}
PRESENT, DIFF, COUNT = present_part(ADA, 17), diff_part(ADA, ["8"], {}, 18), count_part(3)


def presence(part):
    return PresencePayload(b'"tickets/5"', part, 18).text


@pytest.fixture
def room(routes):
    room = FastWS().room("tickets/{pk:int}", sends=[Said])

    @room.state
    async def state(ws) -> list[int]:
        return []

    return describe(live_rooms()).rooms[0]


def with_history(room):
    return replace(room, history=History())


def bare(room):
    return replace(room, history=History(), state=None)


def keyed(room):
    return replace(room, latest=Latest(), state={"type": "object", "additionalProperties": {"type": "integer"}})


def with_presence(room):
    return replace(room, presence=Presence(), meta={"type": "object", "required": ["name"]})


def counting(room):
    return replace(room, presence=Presence(counts_only=True))


def with_ok(more, *, is_resumed=False):
    """An answer to a join with more in it."""
    ok = live_frames.resumed("tickets/5", AT, AT) if is_resumed else live_frames.joined("tickets/5", b"[1]")
    return live_frames.answer(1, ok[:-1] + b"," + more + b"}")


def change(key, data, *, removed=False):
    return KeyedPayload(b'"tickets/5"', Keyed(key, removed, None), data, AT).text


@pytest.mark.parametrize("pattern", NAMES)
def test_the_names_of_a_room_are_those_that_its_pattern_matches(routes, pattern):
    FastWS().room(pattern)
    schema = frame_schemas.room_name(describe(live_rooms()).rooms[0])
    right, wrong = NAMES[pattern]
    regex = schema.get("pattern") or f"^{re.escape(schema['const'])}$"
    assert re.search(regex, right)
    assert not re.search(regex, wrong)


def cases(room):
    """Schemas, with frames that fit and frames that do not."""
    text = {"type": "string"}
    said = [b'{"room":"tickets/5","event":"said","data":"x"}']
    return {
        "join": (frame_schemas.join_frame(room), [b'{"join":"tickets/5","id":1}'], [b'{"join":"tickets/x","id":1}']),
        "leave": (frame_schemas.leave_frame(room), [b'{"leave":"tickets/5","id":"a"}'], [b'{"leave":"tickets/5"}']),
        "joined": (
            frame_schemas.joined_frame(room),
            [live_frames.answer(1, live_frames.joined("tickets/5", b"[1]"))],
            [
                live_frames.answer(1, live_frames.joined("tickets/5", b'"x"')),
                live_frames.answer(1, live_frames.resumed("tickets/5", AT, AT)),
            ],
        ),
        "join since": (
            frame_schemas.join_frame(with_history(room)),
            [b'{"join":"tickets/5","id":1}', b'{"join":"tickets/5","id":1,"since":"e:1"}'],
            [b'{"join":"tickets/5","id":1,"since":1}'],
        ),
        "joined with history": (
            frame_schemas.joined_frame(with_history(room)),
            [
                live_frames.answer(1, live_frames.joined("tickets/5", b"[1]", AT)),
                live_frames.answer(1, live_frames.resumed("tickets/5", AT, AT)),
            ],
            [
                live_frames.answer(1, live_frames.joined("tickets/5", b'"x"', AT)),
                live_frames.answer(1, live_frames.joined("tickets/5", b"[1]")),
                b'{"id":1,"ok":{"room":"tickets/5","at":"e","recovered":true,"to":"e:1"}}',
                b'{"id":1,"ok":{"room":"tickets/5","at":"e:1","recovered":true}}',
            ],
        ),
        "lost": (
            frame_schemas.lost_frame(with_history(room)),
            [live_frames.lost("tickets/5", b"[1]", AT)],
            [live_frames.lost("tickets/5", b'"x"', AT), live_frames.lost("tickets/5", None, AT)],
        ),
        "lost without state": (
            frame_schemas.lost_frame(bare(room)),
            [live_frames.lost("tickets/5", None, AT)],
            [b'{"room":"tickets/5","at":"e:1"}'],
        ),
        "position": (
            frame_schemas.position_frame(with_history(room)),
            [PositionPayload(b'"tickets/5"', AT).text],
            [*said, live_frames.lost("tickets/5", None, AT)],
        ),
        "event with history": (
            frame_schemas.event_frame(with_history(room), "said", text),
            [*said, EventPayload(b'"tickets/5"', "said", b'"x"', None, AT).text],
            [b'{"room":"tickets/5","event":"said","data":"x","at":1}'],
        ),
        "value of a key": (
            frame_schemas.keyed_frame(room, text),
            [change("a", b'"x"')],
            [change("a", b"1"), change("a", b'"x"', removed=True), *said],
        ),
        "removed key": (
            frame_schemas.removed_frame(room),
            [change("a", b"null", removed=True)],
            [change("a", b'"x"'), *said],
        ),
        "joined with keys": (
            frame_schemas.joined_frame(keyed(room)),
            [live_frames.answer(1, live_frames.joined("tickets/5", b'{"a":1}'))],
            [live_frames.answer(1, live_frames.joined("tickets/5", b'{"a":"x"}'))],
        ),
        "lost with keys": (
            frame_schemas.lost_frame(keyed(room)),
            [live_frames.lost("tickets/5", b'{"a":1}', None)],
            [live_frames.lost("tickets/5", b"[1]", None)],
        ),
        "join with a version": (
            frame_schemas.join_frame(with_presence(room)),
            [b'{"join":"tickets/5","id":1,"v":17}', b'{"join":"tickets/5","id":1}'],
            [b'{"join":"tickets/5","id":1,"v":"17"}'],
        ),
        "joined with presence": (
            frame_schemas.joined_frame(with_presence(room)),
            [with_ok(PRESENT), with_ok(DIFF)],
            [
                with_ok(PRESENT.partition(b',"v"')[0]),
                with_ok(PRESENT.replace(b"name", b"title")),
                with_ok(b'"v":17'),
                with_ok(b'"presence":{},"v":17'),
            ],
        ),
        "resumed with presence": (
            frame_schemas.joined_frame(with_presence(with_history(room))),
            [with_ok(DIFF, is_resumed=True), with_ok(present_part({}, 18), is_resumed=True)],
            [with_ok(b'"v":18', is_resumed=True)],
        ),
        "joined with a count": (
            frame_schemas.joined_frame(counting(room)),
            [with_ok(COUNT)],
            [with_ok(b'"v":3')],
        ),
        "presence": (
            frame_schemas.presence_frame(room, {}),
            [presence(DIFF)],
            [b'{"room":"tickets/5","presence":{"left":["7"]},"v":18}', presence(PRESENT), *said],
        ),
        "present": (
            frame_schemas.present_frame(room, {}),
            [presence(PRESENT), presence(present_part({}, 18))],
            [presence(PRESENT.replace(b":2", b":0")), presence(DIFF), *said],
        ),
        "count": (
            frame_schemas.count_frame(room),
            [presence(COUNT), presence(count_part(0))],
            [presence(count_part(-1)), *said],
        ),
        "answer": (
            frame_schemas.answer_frame(text),
            [live_frames.answer("a", b'"x"')],
            [live_frames.answer(1, b"1")],
        ),
        "item": (frame_schemas.item_frame(text), [live_frames.item(1, b'"x"')], [live_frames.answer(1, b'"x"')]),
        "error": (
            frame_schemas.error_frame(),
            [
                live_frames.error(None, "bad_request", "no"),
                live_frames.error(4, "invalid", "no", {"text": ["no"]}, 1.5),
            ],
            [live_frames.answer(1, b"1")],
        ),
        "call": (
            frame_schemas.call_frame(room, "say", text, needs_data=True),
            [
                b'{"room":"tickets/5","event":"say","data":"x"}',
                b'{"room":"tickets/5","event":"say","data":"x","id":1}',
            ],
            [b'{"room":"tickets/5","event":"say"}', b'{"room":"tickets/5","event":"cry","data":"x"}'],
        ),
        "event": (frame_schemas.event_frame(room, "said", text), said, [b'{"event":"said","data":"x"}']),
        "hello": (
            frame_schemas.CONNECTION["hello"],
            [b'{"hello":{"client":"c-1"},"id":1}'],
            [b'{"hello":"c-1","id":1}'],
        ),
        "hello.answer": (
            frame_schemas.CONNECTION["hello.answer"],
            [live_frames.answer(1, b'{"ping":25,"version":"0"}')],
            said,
        ),
        "cancel": (frame_schemas.CONNECTION["cancel"], [b'{"cancel":"a"}', b'{"cancel":4}'], [b'{"cancel":null}']),
        "ping": (frame_schemas.CONNECTION["ping"], [live_frames.PING], [b'{"ping":2}']),
        "emitted": (
            frame_schemas.CONNECTION["event"],
            [live_frames.emitted("news", b"[]")],
            [b'{"event":1,"data":1}'],
        ),
        "ask": (
            frame_schemas.CONNECTION["ask"],
            [live_frames.ask(9, "confirm", b"null")],
            [b'{"ask":"a","event":"x"}'],
        ),
        "ask.answer": (
            frame_schemas.CONNECTION["ask.answer"],
            [b'{"answer":9,"ok":true}', b'{"answer":9,"error":{"code":"failed"}}'],
            [b'{"answer":"9"}'],
        ),
        "left": (frame_schemas.left_frame(room), [live_frames.left("tickets/5", 4403, "no")], said),
    }


@pytest.mark.long
@pytest.mark.npm
@pytest.mark.slow
async def test_frames_of_the_protocol_fit_and_others_do_not(room):
    document = {"components": {"schemas": frame_schemas.COMMON | frame_schemas.HISTORY}}

    def validate(case):
        schema, right, wrong = case
        given = {"document": document, "schema": schema, "values": [*map(json.loads, [*right, *wrong])]}
        done = node.run("schemas.js", cwd=ROOT / "tests" / "js", text=json.dumps(given))
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) == [True] * len(right) + [False] * len(wrong)

    table = cases(room)
    found = await asyncio.gather(*(asyncio.to_thread(validate, case) for case in table.values()))
    assert dict(zip(table, found, strict=True)) == dict.fromkeys(table, True)
