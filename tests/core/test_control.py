"""Control messages: what one process tells is what the others do."""

from __future__ import annotations

import pytest

from django_fastws._core.control import Ending, decode, encode, is_control

ENDINGS = [
    Ending("auth.user:1", 4403, ""),
    Ending("auth.user:1", 1008, "größe", delay=2.5),
    Ending("auth.user:2", 4401, "logged out", session="abc", others=False),
    Ending("auth.user:2", 4401, "logged out", session="abc", others=True),
]


def told(endings):
    messages = [message for message, _ in encode(endings)]
    assert all(map(is_control, messages))
    return [ending for message in messages for ending in decode(message)]


@pytest.mark.parametrize("ending", ENDINGS, ids=range(len(ENDINGS)))
def test_an_ending_arrives_as_it_was_sent(ending):
    assert told([ending]) == [ending]


def test_several_arrive_and_what_is_said_twice_is_said_once():
    assert sorted(told(ENDINGS * 2), key=ENDINGS.index) == ENDINGS


def test_users_of_one_code_share_a_message_and_those_of_another_do_not():
    many = [Ending(f"auth.user:{number}", 4403, "") for number in range(1200)]
    messages = encode([*many, Ending("auth.user:1", 1008, "")])
    assert [len(endings) for _, endings in messages] == [500, 500, 200, 1]
    assert told(many) == many


@pytest.mark.parametrize("changed", [{"v": "2"}, {"type": "other"}, {"do": "other"}])
def test_what_is_of_another_kind_or_release_is_none(changed):
    ((message, _),) = encode(ENDINGS[:1])
    assert not is_control(message | changed)


@pytest.mark.parametrize(
    "changed",
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
    ids=repr,
)
def test_what_makes_no_sense_raises_what_receivers_expect(changed):
    ((message, _),) = encode(ENDINGS[:1])
    with pytest.raises((KeyError, TypeError, ValueError)):
        list(decode(message | changed))
