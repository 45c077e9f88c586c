"""Close requests: what one process asks for is what the others do."""

from __future__ import annotations

import pytest

from django_fastws._core.control import GROUP, CloseRequest, decode, encode, is_close_request
from django_fastws._core.envelope import Envelope

REQUESTS = [
    CloseRequest("auth.user:1", 4403, ""),
    CloseRequest("auth.user:1", 1008, "größe", delay=2.5),
    CloseRequest("auth.user:2", 4401, "logged out", session="abc", others=False),
    CloseRequest("auth.user:2", 4401, "logged out", session="abc", others=True),
]


def received(requests):
    envelopes = [envelope for envelope, _ in encode(requests)]
    assert all(map(is_close_request, envelopes))
    return [request for envelope in envelopes for request in decode(envelope)]


@pytest.mark.parametrize("request_", REQUESTS, ids=range(len(REQUESTS)))
def test_a_request_arrives_as_it_was_sent(request_):
    assert received([request_]) == [request_]


def test_several_arrive_and_duplicates_once():
    assert sorted(received(REQUESTS * 2), key=REQUESTS.index) == REQUESTS


def test_users_of_one_code_are_a_batch_and_those_of_another_are_not():
    many = [CloseRequest(f"auth.user:{number}", 4403, "") for number in range(1200)]
    batches = encode([*many, CloseRequest("auth.user:1", 1008, "")])
    assert [len(requests) for _, requests in batches] == [500, 500, 200, 1]
    assert received(many) == many


def changed(**fields):
    ((envelope, _),) = encode(REQUESTS[:1])
    return Envelope.control(GROUP, {**envelope.fields, **fields})


def test_another_kind_of_control_message_is_no_close_request():
    assert is_close_request(changed())
    assert not is_close_request(changed(do="other"))
    assert not is_close_request(Envelope(kind="fastws.message", room=GROUP, fields=changed().fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"code": "x"},
        {"code": None},
        {"delay": "-1"},
        {"delay": "61"},
        {"delay": "nan"},
        {"user": "x" * 4097},
        {"session": "x" * 4097},
        {"users": "no json"},
        {"users": "[1]"},
        {"users": '[["a"]]'},
    ],
    ids=lambda fields: "-".join(f"{name} {value}"[:20] for name, value in fields.items()),
)
def test_what_makes_no_sense_raises_what_receivers_expect(fields):
    with pytest.raises((KeyError, TypeError, ValueError)):
        list(decode(changed(**fields)))
