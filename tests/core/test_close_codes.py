"""Close statuses of the package itself."""

import pytest

from django_fastws._core import close_codes
from django_fastws.exceptions import check_close

STATUSES = {name: value for name, value in vars(close_codes).items() if isinstance(value, close_codes.CloseStatus)}


@pytest.mark.parametrize("status", STATUSES.values(), ids=STATUSES)
def test_a_status_can_be_sent(status):
    check_close(*status)


def test_no_two_statuses_are_one():
    assert len(set(STATUSES.values())) == len(STATUSES)
