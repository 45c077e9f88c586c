"""Bodies of HTTP publish: what is read, and the place of what cannot be."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_fastws._core.publish_request import MOST_ITEMS, BadPublish, PublishItem, parse_publish


def body(*items):
    return json.dumps({"publish": items}).encode()


READ = [
    (b'{"publish":[]}', []),
    (b' \n{"publish" :\t[ ] }\r\n', []),
    (body({"room": "a", "data": None}), [PublishItem("a", None)]),
    (body({"room": "", "data": ""}), [PublishItem("", "")]),
    (body({"data": [1.5, {"x": True}], "room": "größe ✓"}), [PublishItem("größe ✓", [1.5, {"x": True}])]),
    (
        body({"room": "a", "data": 1, "event": "e", "key": "k", "idempotency_key": "i"}),
        [PublishItem("a", 1, "e", "k", "i")],
    ),
    (body({"room": "a", "data": 1, "event": None, "key": None, "idempotency_key": None}), [PublishItem("a", 1)]),
    (
        body({"room": "a", "data": 1, "event": "", "key": "", "idempotency_key": ""}),
        [PublishItem("a", 1, "", "", "")],
    ),
    (b'{"publish":[{"room":"a","room":"b","data":1,"data":2}]}', [PublishItem("b", 2)]),
    (b'{"publish":5,"publish":[]}', []),
    (b'{"publish":[{"room":"a","data":18446744073709551615}]}', [PublishItem("a", 2**64 - 1)]),
    (b'{"publish":[{"room":"a","data":18446744073709551616}]}', [PublishItem("a", 2.0**64)]),
    (b'{"publish":[{"room":"\\ud83d\\ude00","data":"\\u0000"}]}', [PublishItem("😀", "\0")]),
]


@pytest.mark.parametrize(("raw", "expected"), READ, ids=[str(place) for place in range(len(READ))])
def test_a_body_is_read(raw, expected):
    assert parse_publish(raw) == expected


def test_there_are_as_many_items_as_there_may_be():
    item = {"room": "a", "data": 1}
    assert len(parse_publish(body(*[item] * MOST_ITEMS))) == MOST_ITEMS == 1000
    assert refused(body(*[item] * (MOST_ITEMS + 1))) == ("publish", "publish: it has 1001 items, and may have 1000")


def refused(raw):
    with pytest.raises(BadPublish) as raised:
        parse_publish(raw)
    return raised.value.place, str(raised.value)


OK = '{"room":"a","data":1}'
# (body, place, words)
WRONG = [
    (b"", "line 1 column 1", "empty"),
    (b"{", "line 1 column 2", "not JSON"),
    (b'{"publish":[\n  {"room":"a","data":NaN}]}', "line 2 column 22", "not JSON"),
    (b'{"publish":[{"room":"a","data":Infinity}]}', "line 1 column 32", "not JSON"),
    (b'{"publish":[{"room":"a","data":1e999}]}', "line 1 column 32", "not JSON"),
    (b'{"publish":[{"room":"a","data":"\\ud800"}]}', "line 1 column 3", "not JSON"),
    (b'{"publish":[]} x', "line 1 column 16", "not JSON"),
    (b"\xef\xbb\xbf{}", "line 1 column 1", "not JSON"),
    (b"{'publish':[]}", "line 1 column 2", "not JSON"),
    (b'{"publish":["\xff"]}', "byte 13", "not UTF-8"),
    ("{}".encode("utf-16"), "byte 0", "not UTF-8"),
    (b"[" * 100_000, "line 1 column", "not JSON"),
    (b'{"a":' * 100_000, "line 1 column", "not JSON"),
    (b"null", "body", "it is null, and should be an object"),
    (b"[]", "body", "it is a list"),
    (b"5", "body", "it is a number"),
    (b"true", "body", "it is a boolean"),
    (b'"x"', "body", "it is a string"),
    (b"{}", "publish", "missing"),
    (b'{"publish":null}', "publish", "it is null, and should be a list"),
    (b'{"publish":{}}', "publish", "it is an object, and should be a list"),
    (b'{"publish":[],"more":1}', "more", "no such field"),
    (b'{"publish":[],"":1}', '""', "no such field"),
    (b'{"Publish":[]}', "Publish", "no such field"),
    (f'{{"publish":[{OK},5]}}'.encode(), "publish[1]", "it is a number, and should be an object"),
    (f'{{"publish":[{OK},{OK},[]]}}'.encode(), "publish[2]", "it is a list, and should be an object"),
    (body({"data": 1}), "publish[0].room", "missing"),
    (body({"room": "a"}), "publish[0].data", "missing"),
    (body({"room": None, "data": 1}), "publish[0].room", "it is null, and should be a string"),
    (body({"room": 5, "data": 1}), "publish[0].room", "it is a number"),
    (body({"room": ["a"], "data": 1}), "publish[0].room", "it is a list"),
    (body({"room": "a", "data": 1, "event": 5}), "publish[0].event", "it is a number"),
    (body({"room": "a", "data": 1, "event": False}), "publish[0].event", "it is a boolean"),
    (body({"room": "a", "data": 1, "key": {}}), "publish[0].key", "it is an object"),
    (body({"room": "a", "data": 1, "idempotency_key": 1.5}), "publish[0].idempotency_key", "it is a number"),
    (body({"room": "a", "data": 1, "volatile": True}), "publish[0].volatile", "an item has room, data, event, key"),
    (body({"room": "a", "data": 1, "x\ny": 1}), "publish[0].x\\ny", "no such field"),
    (body({"room": "a", "data": 1, "x" * 1000: 1}), f"publish[0].{'x' * 64}", "no such field"),
]


@pytest.mark.parametrize(("raw", "place", "words"), WRONG, ids=[str(place) for place in range(len(WRONG))])
def test_what_is_none_is_told_with_its_place(raw, place, words):
    where, said = refused(raw)
    assert where.startswith(place)
    assert said.startswith(f"{where}: ")
    assert words in said
    assert len(said) < 250


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
).filter(lambda value: "inf" not in repr(value))
_OPTIONAL = st.none() | st.text(max_size=5)


@given(st.lists(st.builds(PublishItem, st.text(max_size=5), _JSON, _OPTIONAL, _OPTIONAL, _OPTIONAL), max_size=4))
def test_what_is_written_is_read(items):
    written = [{field: value for field, value in item._asdict().items() if value is not None} for item in items]
    for item, made in zip(written, items, strict=True):
        item.setdefault("data", made.data)
    assert parse_publish(json.dumps({"publish": written}, ensure_ascii=False).encode()) == items
    assert parse_publish(json.dumps({"publish": written}).encode()) == items


def tried(raw):
    """The items, or the error."""
    try:
        return parse_publish(raw)
    except BadPublish as error:
        return error


@given(_JSON | st.lists(_JSON).map(lambda items: {"publish": items}))
def test_any_json_is_read_or_refused(value):
    found = tried(json.dumps(value).encode())
    if isinstance(found, BadPublish):
        assert found.place
        assert str(found).isprintable()
    else:
        assert [item.room for item in found] == [item["room"] for item in value["publish"]]


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(raw):
    found = tried(raw)
    assert found == [] or found.place


def test_a_float_stays_what_it_was():
    (item,) = parse_publish(b'{"publish":[{"room":"a","data":0.1}]}')
    assert math.isclose(item.data, 0.1, rel_tol=0)
