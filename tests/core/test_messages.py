"""What came in, and what goes out."""

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_fastws._core.messages import Batch, Payload, WebSocketMessage


@pytest.mark.parametrize(
    ("data", "text", "string", "shown"),
    [
        ("hello", "hello", "hello", "WebSocketMessage('hello')"),
        ("", "", "", "WebSocketMessage('')"),
        ("größe", "größe", "größe", "WebSocketMessage('größe')"),
        (b"hello", None, "b'hello'", "WebSocketMessage(b'hello')"),
        (b"", None, "b''", "WebSocketMessage(b'')"),
        (b"\xff", None, "b'\\xff'", "WebSocketMessage(b'\\xff')"),
    ],
)
def test_a_message(data, text, string, shown):
    message = WebSocketMessage(data)
    assert message.data == data
    assert type(message.data) is type(data)
    assert message.text == text
    assert str(message) == string
    assert repr(message) == shown


@pytest.mark.parametrize("data", ['{"a": [1, null]}', b'{"a": [1, null]}'])
def test_json_of_text_and_of_binary(data):
    assert WebSocketMessage(data).json() == {"a": [1, None]}


@pytest.mark.parametrize("data", ["", "{", "nope", b"", b"\xff", b"\x00\x01", "NaN", "'a'"])
def test_bad_json_raises_value_error(data):
    with pytest.raises(ValueError, match="the message is not JSON"):
        WebSocketMessage(data).json()


def test_equality_is_that_of_kind_and_data():
    assert WebSocketMessage("a") == WebSocketMessage("a")
    assert WebSocketMessage(b"a") == WebSocketMessage(b"a")
    assert WebSocketMessage("a") != WebSocketMessage("b")
    assert WebSocketMessage("a") != WebSocketMessage(b"a")
    assert WebSocketMessage("") != WebSocketMessage(b"")
    assert WebSocketMessage("a") != "a"
    assert WebSocketMessage("a") is not None


def test_equal_messages_have_equal_hashes():
    assert len({WebSocketMessage("a"), WebSocketMessage("a"), WebSocketMessage(b"a")}) == 2


@pytest.mark.parametrize("data", ["größe", b"\xff"])
def test_a_message_survives_copying_and_pickling(data):
    message = WebSocketMessage(data)
    assert copy.copy(message) == message
    assert pickle.loads(pickle.dumps(message)) == message


@given(st.one_of(st.text(), st.binary()))
def test_a_repr_is_an_expression_that_makes_the_same_message(data):
    message = WebSocketMessage(data)
    assert eval(repr(message), {"WebSocketMessage": WebSocketMessage}) == message


@pytest.mark.parametrize(
    ("payload", "binary", "raw"),
    [
        (Payload("größe"), False, "größe".encode()),
        (Payload(""), False, b""),
        (Payload(b"\xff"), True, b"\xff"),
        (Payload(b""), True, b""),
        (Payload("größe".encode(), is_text=True), False, "größe".encode()),
        (Payload(b"", is_text=True), False, b""),
    ],
)
def test_a_payload(payload, binary, raw):
    assert (payload.binary, payload.raw, len(payload)) == (binary, raw, len(raw))
    if not binary:
        assert payload.text == raw.decode()


def test_a_payload_is_encoded_once():
    payload = Payload("größe")
    assert payload.raw is payload.raw
    payload = Payload("größe".encode(), is_text=True)
    assert payload.text is payload.text


def test_a_payload_shows_what_it_is():
    assert repr(Payload("a")) == "Payload(b'a', is_text=True)"
    assert repr(Payload(b"a")) == "Payload(b'a', is_text=False)"


def test_a_payload_stands_where_a_batch_may():
    payload = Payload("a")
    assert payload.payloads == (payload,)


def test_a_batch_is_its_messages_and_their_frames_one_after_the_other():
    payloads = [Payload("größe"), Payload(b""), Payload(b"x" * 70_000), Payload("x" * 126)]
    batch = Batch(payloads)
    assert batch.payloads == tuple(payloads)
    assert batch.frame == b"".join(payload.frame for payload in payloads)
    assert batch.frame is batch.frame


def test_an_empty_batch_is_no_bytes():
    assert (Batch([]).frame, Batch([]).payloads) == (b"", ())


def test_a_batch_shows_what_it_is():
    assert repr(Batch([Payload("a")])) == "Batch([Payload(b'a', is_text=True)])"


@given(st.lists(st.tuples(st.binary(max_size=300), st.booleans()), max_size=12))
def test_a_batch_without_some_of_its_messages(messages):
    payloads = [Payload(data) for data, _ in messages]
    missed = [place for place, (_, misses) in enumerate(messages) if misses]
    left = [payload for payload, (_, misses) in zip(payloads, messages, strict=True) if not misses]
    batch = Batch(payloads).without(missed)
    if not left:
        assert batch is None
    else:
        assert batch.payloads == tuple(left)
        assert batch.frame == Batch(left).frame


def test_one_message_without_itself_is_nothing():
    assert Payload("a").without([0]) is None
