"""Passes of the doctor: who is let in by one, and how often."""

import secrets

import pytest

from django_fastws.processes import PASSES_TOPIC, ask_processes, hash_of_pass, passes
from django_fastws.processes.passes import Passes


@pytest.fixture
def value():
    return secrets.token_urlsafe(32)


def test_a_pass_is_good_once(value):
    some = Passes()
    assert not some.take(value)
    some.grant([hash_of_pass(value)], 10)
    assert not some.take(secrets.token_urlsafe(32))
    assert not some.take(hash_of_pass(value))
    assert some.take(value)
    assert not some.take(value)


def test_a_pass_ends(value):
    now = [0.0]
    some = Passes(lambda: now[0])
    some.grant([hash_of_pass(value)], 10)
    now[0] = 10.1
    assert not some.take(value)


def test_no_pass_is_good_for_long(value):
    now = [0.0]
    some = Passes(lambda: now[0])
    some.grant([hash_of_pass(value)], 1e9)
    now[0] = 121
    assert not some.take(value)


def test_a_process_knows_no_more_than_a_hundred():
    some, values = Passes(), [secrets.token_urlsafe(32) for _ in range(150)]
    some.grant([hash_of_pass(one) for one in values], 10)
    assert [some.take(one) for one in values] == [False] * 50 + [True] * 100


@pytest.mark.parametrize("hashes", [["short"], [None], [b"x" * 64]])
def test_what_is_no_hash_is_refused(hashes):
    with pytest.raises((TypeError, ValueError)):
        Passes().grant(hashes, 10)


async def test_passes_are_granted_over_the_layer(responder, value):
    survey = await ask_processes(PASSES_TOPIC, {"hashes": [hash_of_pass(value)], "seconds": 30}, seconds=30)
    assert [answer.data for answer in survey.answers.values()] == [{"granted": 1}]
    assert passes.take(value)
