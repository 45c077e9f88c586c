"""How much of what is frozen may be garbage, by what connections have taken with them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from django_fastws._core.frozen_ledger import MOST_OBJECTS_OF_A_CONNECTION, FrozenLedger


def begun(objects: int = 1_000) -> FrozenLedger:
    ledger = FrozenLedger()
    ledger.frozen(objects)
    return ledger


def test_what_a_program_begins_with_is_no_garbage():
    assert not begun(1_000_000).may_be_garbage(1)


def test_what_was_frozen_with_open_connections_is_theirs_until_they_close():
    ledger = begun()
    stamps = [ledger.opened() for _ in range(100)]
    ledger.frozen(10_000)
    assert not ledger.may_be_garbage(1_000)
    for stamp in stamps[:20]:
        ledger.closed(stamp)
    assert not ledger.may_be_garbage(1_000)  # a quarter of what is in use may be
    for stamp in stamps[20:]:
        ledger.closed(stamp)
    assert ledger.may_be_garbage(1_000)


def test_what_was_freed_with_them_is_none_once_it_is_counted():
    ledger = begun()
    stamps = [ledger.opened() for _ in range(100)]
    ledger.frozen(10_000)
    for stamp in stamps:
        ledger.closed(stamp)
    ledger.counted(1_000)
    assert not ledger.may_be_garbage(100)


def test_a_connection_that_was_never_frozen_takes_nothing_with_it():
    ledger = begun()
    for _ in range(10):
        ledger.opened()
    ledger.frozen(10_000)
    for _ in range(1_000):
        ledger.closed(ledger.opened())
    assert not ledger.may_be_garbage(100)


def test_what_no_connection_can_hold_may_be_garbage():
    ledger = begun()
    ledger.opened()
    ledger.frozen(MOST_OBJECTS_OF_A_CONNECTION * 10)
    assert ledger.may_be_garbage(1_000)
    ledger.thawed(MOST_OBJECTS_OF_A_CONNECTION * 11)  # and it was in use
    assert not ledger.may_be_garbage(1_000)


@given(st.lists(st.sampled_from(["open", "close", "freeze", "thaw", "count"]), max_size=60))
def test_it_is_never_negative_and_forgets_everybody(steps):
    ledger = begun(500)
    stamps, alive = [], 500
    for step in steps:
        if step == "open":
            stamps.append(ledger.opened())
        elif step == "close" and stamps:
            ledger.closed(stamps.pop())
        elif step == "freeze":
            ledger.frozen(50)
        elif step == "thaw":
            ledger.thawed(alive)
        else:
            ledger.counted(alive)
        assert ledger._of_connections >= -1e-6
        assert 0 <= ledger._frozen + ledger._fresh <= len(stamps)
    for stamp in stamps:
        ledger.closed(stamp)
    assert ledger._frozen == ledger._fresh == 0
