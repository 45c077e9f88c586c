"""Looking for many attributes at once."""

from types import SimpleNamespace

import pytest

from django_fastws._core.attributes import has_all


class Lazy:
    @property
    def value(self):
        raise AttributeError("not yet")


@pytest.mark.parametrize(
    ("found", "names", "expected"),
    [
        (SimpleNamespace(a=1, b=None), ("a", "b"), True),
        (SimpleNamespace(a=1), ("a", "b"), False),
        (SimpleNamespace(a=1), ("a",), True),
        (None, ("a",), False),
        (Lazy(), ("value",), False),
    ],
    ids=["all", "one is missing", "one", "nothing there", "a property that is not there yet"],
)
def test_it_has_all_or_not(found, names, expected):
    assert has_all(found, names) is expected
