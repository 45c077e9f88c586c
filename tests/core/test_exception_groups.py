"""Exception groups of handlers: failures first, then what was asked for, then what was lost."""

import pytest

from django_fastws._core.exception_groups import significant

LOST, ASKED, FAILED = ConnectionError("lost"), KeyError("asked"), ValueError("failed")

#: The exceptions of a group, and which is significant.
FIRST = [
    ([LOST], LOST),
    ([ASKED], ASKED),
    ([LOST, ASKED], ASKED),
    ([ExceptionGroup("inner", [LOST]), ASKED], ASKED),
    ([LOST, ExceptionGroup("inner", [LOST, ExceptionGroup("innermost", [ASKED])])], ASKED),
    ([ExceptionGroup("inner", [LOST])], LOST),
]


def chosen(error):
    return significant(error, ConnectionError, lambda one: isinstance(one, KeyError))


@pytest.mark.parametrize(("errors", "first"), FIRST)
def test_what_was_asked_for_comes_before_what_was_lost(errors, first):
    assert chosen(ExceptionGroup("tasks", errors)) is first


@pytest.mark.parametrize("others", [[], [LOST], [ASKED], [LOST, ASKED], [ExceptionGroup("inner", [ASKED, LOST])]])
def test_failures_come_first_and_stay_together(others):
    failures = chosen(ExceptionGroup("tasks", [*others, FAILED, ExceptionGroup("inner", [FAILED, *others])]))
    assert isinstance(failures, ExceptionGroup)
    assert failures.exceptions[0] is FAILED
    assert failures.exceptions[1].exceptions == (FAILED,)


@pytest.mark.parametrize("error", [LOST, FAILED, BaseExceptionGroup("stopping", [SystemExit(), LOST])])
def test_what_is_no_group_of_exceptions_stays_as_it_is(error):
    assert chosen(error) is error
