"""Frames of fastws.v1: what a client may say, what is wrong with the rest, and what is answered."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_fastws._core import live_frames
from django_fastws._core.live_frames import (
    AnswerFrame,
    BadFrame,
    CallFrame,
    CancelFrame,
    HelloFrame,
    JoinFrame,
    LeaveFrame,
    parse,
)

LIMIT = 2000
LONG = "x" * 513

# (what the client says, the frame)
READ = [
    ('{"room":"t/5","event":"say","data":{"a":1},"id":4}', CallFrame(4, "t/5", "say", {"a": 1}, False)),
    ('{"room":"t/5","event":"say","data":null,"id":"4"}', CallFrame("4", "t/5", "say", None, False)),
    ('{"room":"t/5","event":"say"}', CallFrame(None, "t/5", "say", {}, False)),
    ('{"room":"t/5","event":"say","data":[],"id":null}', CallFrame(None, "t/5", "say", [], False)),
    ('{"room":"t","event":"say","id":"u1","once":true}', CallFrame("u1", "t", "say", {}, True)),
    ('{"room":"t","event":"say","id":1,"once":1}', CallFrame(1, "t", "say", {}, False)),
    ('{"room":"t","event":"say","id":1,"later":[]}', CallFrame(1, "t", "say", {}, False)),
    ('{"room":"","event":"","id":-1}', CallFrame(-1, "", "", {}, False)),
    ('{"join":"t/5","id":2}', JoinFrame(2, "t/5", None, None)),
    ('{"join":"t/5","id":2,"since":"e:171","v":17}', JoinFrame(2, "t/5", "e:171", 17)),
    ('{"join":"t/5","id":2,"since":171,"v":"x"}', JoinFrame(2, "t/5", None, None)),
    ('{"leave":"t/5","id":3}', LeaveFrame(3, "t/5")),
    ('{"hello":{},"id":1}', HelloFrame(1, None, None)),
    ('{"hello":{"client":"c-1","token":"t"},"id":1}', HelloFrame(1, "c-1", "t")),
    ('{"cancel":4}', CancelFrame(4)),
    ('{"cancel":"u1"}', CancelFrame("u1")),
    ('{"answer":9,"ok":[1]}', AnswerFrame(9, [1], None)),
    ('{"answer":9}', AnswerFrame(9, None, None)),
    ('{"answer":9,"error":{"code":"no"}}', AnswerFrame(9, None, {"code": "no"})),
    ('{"answer":9,"ok":1,"error":null}', AnswerFrame(9, 1, None)),
    ('{"join":"a","leave":"b","id":1}', JoinFrame(1, "a", None, None)),
    ('{"event":"say","room":"a","join":"b","id":1}', CallFrame(1, "a", "say", {}, False)),
    (f'{{"leave":"t","id":"{"i" * 64}"}}', LeaveFrame("i" * 64, "t")),
    ('{"leave":"t","id":9007199254740993}', LeaveFrame(2**53 + 1, "t")),
    (' \n{"leave":"größe","id":1} ', LeaveFrame(1, "größe")),
]

# (what the client says, the id that the error carries, its code, a word of its message)
WRONG = [
    # no frame at all: nobody knows an id
    ("", None, "bad_request", "JSON object"),
    ("hello", None, "bad_request", "JSON object"),
    ("[1]", None, "bad_request", "JSON object"),
    ("null", None, "bad_request", "JSON object"),
    ('"join"', None, "bad_request", "JSON object"),
    ('{"id":1', None, "bad_request", "JSON object"),
    ('{"id":NaN}', None, "bad_request", "JSON object"),
    ("[" * 1500, None, "bad_request", "JSON object"),
    ('{"join":"t","id":7,"x":-Infinity}', None, "bad_request", "JSON object"),
    # JSON by its grammar, which cannot be read all the same: it is answered by its id
    ('{"join":"\\ud800","id":7}', 7, "bad_request", "Unicode"),
    ('{"join":"\ud800","id":7}', 7, "bad_request", "Unicode"),
    ('{"event":"say","room":"t","data":{"text":"cut \\ud83d"},"id":"c-1"}', "c-1", "bad_request", "Unicode"),
    ('{"join":"t","id":"\\n","x":"\\ud800"}', "\n", "bad_request", "Unicode"),
    ('{"join":"t","id":7,"x":1e999}', 7, "bad_request", "finite"),
    ('{"join":"t","id":-9223372036854775808,"x":"\\udfff"}', -(2**63), "bad_request", "Unicode"),
    ('{"join":"t","id":18446744073709551616,"x":"\\udfff"}', None, "bad_request", "Unicode"),
    ('{"join":"t","id":"\\ud800"}', None, "bad_request", "Unicode"),
    ('{"join":"t","id":true,"x":"\\ud800"}', None, "bad_request", "Unicode"),
    (f'{{"join":"t","id":"{"i" * 65}","x":"\\ud800"}}', None, "bad_request", "Unicode"),
    ('["\\ud800"]', None, "bad_request", "JSON object"),
    (f'{{"join":"t","id":7,"x":"\\ud800{"x" * LIMIT}"}}', None, "too_big", "2000 bytes"),
    (b'{"join":"t","id":1}', None, "bad_request", "binary"),
    (b"\xff", None, "bad_request", "binary"),
    # ids that are none
    ('{"join":"t","id":1.0}', None, "bad_request", "an id is"),
    ('{"join":"t","id":true}', None, "bad_request", "an id is"),
    ('{"join":"t","id":[1]}', None, "bad_request", "an id is"),
    ('{"join":"t","id":{}}', None, "bad_request", "an id is"),
    (f'{{"join":"t","id":"{"i" * 65}"}}', None, "bad_request", "an id is"),
    ('{"join":"t","id":18446744073709551616}', None, "bad_request", "an id is"),
    # frames that lack something
    ("{}", None, "bad_request", "one of"),
    ('{"id":7}', 7, "bad_request", "one of"),
    ('{"id":7,"ask":1}', 7, "bad_request", "one of"),
    ('{"id":7,"event":null}', 7, "bad_request", "one of"),
    ('{"event":"say","id":7}', 7, "bad_request", '"room"'),
    ('{"event":1,"room":"t","id":7}', 7, "bad_request", '"event"'),
    ('{"event":"say","room":1,"id":7}', 7, "bad_request", '"room"'),
    (f'{{"event":"say","room":"{LONG}","id":7}}', 7, "bad_request", "512"),
    ('{"join":1,"id":7}', 7, "bad_request", "join"),
    ('{"join":null,"id":"x"}', "x", "bad_request", "join"),
    (f'{{"join":"{LONG}","id":7}}', 7, "bad_request", "512"),
    ('{"join":"t"}', None, "bad_request", '"id"'),
    ('{"leave":"t"}', None, "bad_request", '"id"'),
    ('{"leave":{},"id":7}', 7, "bad_request", "leave"),
    ('{"hello":1,"id":7}', 7, "bad_request", "hello"),
    ('{"hello":{}}', None, "bad_request", '"id"'),
    ('{"hello":{"client":""},"id":7}', 7, "bad_request", "client"),
    ('{"hello":{"client":1},"id":7}', 7, "bad_request", "client"),
    (f'{{"hello":{{"client":"{"c" * 65}"}},"id":7}}', 7, "bad_request", "client"),
    ('{"hello":{"token":1},"id":7}', 7, "bad_request", "token"),
    ('{"cancel":1.5}', None, "bad_request", "cancel"),
    ('{"cancel":null,"id":7}', 7, "bad_request", "cancel"),
    ('{"answer":"9","ok":1}', None, "bad_request", "answer"),
    ('{"answer":9,"error":"no","id":7}', 7, "bad_request", "error"),
    (f'{{"event":"say","room":"t","id":7,"data":{"[" * 200}{"]" * 200}}}', 7, "bad_request", "200 levels"),
    (f'{{"answer":1,"ok":{"[" * 900}{"]" * 900}}}', None, "bad_request", "200 levels"),
    # too big, with the id, which the client waits for
    (f'{{"join":"t","id":7,"x":"{"x" * LIMIT}"}}', 7, "too_big", "2000 bytes"),
    (f'{{"join":"t","id":7,"x":"{"ö" * (LIMIT // 2)}"}}', 7, "too_big", "2000 bytes"),
    ("x" * (LIMIT + 1), None, "too_big", "2000 bytes"),
]


@pytest.mark.parametrize(("said", "frame"), READ, ids=[said[:60] for said, _ in READ])
def test_a_frame_is_read(said, frame):
    read = parse(said, LIMIT)
    assert read == frame
    assert type(read) is type(frame)


@pytest.mark.parametrize(("said", "id_", "code", "word"), WRONG, ids=[repr(row[0])[:60] for row in WRONG])
def test_what_is_no_frame_is_answered_with_its_id_where_it_has_one(said, id_, code, word):
    frame = parse(said, LIMIT)
    assert isinstance(frame, BadFrame)
    assert (frame.id, frame.code) == (id_, code)
    assert word in frame.message
    told = json.loads(live_frames.error(*frame))
    assert told == {"id": id_, "error": {"code": code, "message": frame.message, "retry": False}}


def test_what_is_read_of_a_frame_can_be_written_again_in_an_answer():
    frame = parse(f'{{"event":"say","room":"t","id":7,"data":{"[" * 199}{"]" * 199}}}', LIMIT)
    assert isinstance(frame, CallFrame)
    assert orjson.dumps({"a": [{"b": frame.data}]}).count(b"[") == 200
    flat = [[1], {"a": 2}] * 200
    assert parse(json.dumps({"answer": 1, "ok": flat}), LIMIT * 10) == AnswerFrame(1, flat, None)


@pytest.mark.parametrize(
    ("text", "is_too_big"),
    [("x" * 1987, False), ("x" * 1988, True), ("ö" * 993, False), ("ö" * 994, True), ("€" * 663, True)],
)
def test_the_size_of_a_frame_is_that_of_its_bytes(text, is_too_big):
    frame = parse(f'{{"cancel":"{text}"}}', LIMIT)
    assert (frame.code == "too_big") is is_too_big


def test_a_limit_of_the_bytes_exactly():
    said = '{"cancel":1}'
    assert parse(said, len(said)) == CancelFrame(1)
    assert parse(said, len(said) - 1).code == "too_big"


def test_in_a_long_frame_keys_are_short():
    for key, pad, is_bad in (("k" * 1024, 16_384, False), ("k" * 1025, 16_384, True), ("k" * 1025, 100, False)):
        said = json.dumps({"id": 7, "cancel": 1, "x": [{"a": {key: 1}}], "pad": "x" * pad})
        frame = parse(said, 65_536)
        assert isinstance(frame, BadFrame) is is_bad
        assert not is_bad or (frame.id, frame.code) == (7, "bad_request")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
keys = st.sampled_from(["id", "room", "event", "data", "join", "leave", "hello", "cancel", "answer", "ok", "error"])


@given(st.dictionaries(keys, json_values))
def test_whatever_is_said_is_a_frame_or_is_answered(said):
    frame = parse(json.dumps(said), 100_000)
    assert isinstance(frame, live_frames.Frame)
    if isinstance(frame, BadFrame) and isinstance(said.get("id"), (str, int)) and said["id"] is not True:
        assert frame.id in (said["id"], None)


@given(st.text() | st.binary())
def test_no_message_fails(data):
    assert isinstance(parse(data, 100), live_frames.Frame)


# What the server says

BUILT = [
    (live_frames.answer(4, b"17"), {"id": 4, "ok": 17}),
    (live_frames.answer("ü\n", b"null"), {"id": "ü\n", "ok": None}),
    (live_frames.item(4, b'{"a":1}'), {"id": 4, "item": {"a": 1}}),
    (live_frames.joined("t/ü", None), {"room": "t/ü", "recovered": False}),
    (live_frames.joined("t/5", b"[1]"), {"room": "t/5", "recovered": False, "state": [1]}),
    (live_frames.emitted("news", b"1"), {"event": "news", "data": 1}),
    (live_frames.ask(9, "where", b"{}"), {"ask": 9, "event": "where", "data": {}}),
    (live_frames.left("t/5", 4403, "bye"), {"room": "t/5", "left": {"code": 4403, "reason": "bye"}}),
    (live_frames.PING, {"ping": 1}),
    (
        live_frames.error(4, "invalid", "text: too long", {"text": ["too long"]}),
        {
            "id": 4,
            "error": {
                "code": "invalid",
                "message": "text: too long",
                "fields": {"text": ["too long"]},
                "retry": False,
            },
        },
    ),
    (
        live_frames.error(None, "rate_limited", "too many", retry_after=0.5),
        {"id": None, "error": {"code": "rate_limited", "message": "too many", "retry": True, "retry_after": 0.5}},
    ),
    (
        live_frames.error("x", "unavailable", ""),
        {"id": "x", "error": {"code": "unavailable", "message": "", "retry": True}},
    ),
    (
        live_frames.error(1, "busy", "", retry_after=3),
        {"id": 1, "error": {"code": "busy", "message": "", "retry": True, "retry_after": 3}},
    ),
]


@pytest.mark.parametrize(("frame", "value"), BUILT, ids=[frame.decode()[:60] for frame, _ in BUILT])
def test_a_frame_is_built_as_compact_json(frame, value):
    assert json.loads(frame) == value
    assert frame == json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
