"""Rows: when a page or the result of an action is not the whole of it."""

import pytest

from django_fastws.console import ActionResult, RowPage


@pytest.mark.parametrize("kind", [lambda **known: RowPage([], **known), ActionResult])
def test_who_has_not_answered_or_could_not_makes_it_partial(kind):
    assert not kind(asked=2, answered=2).is_partial
    assert kind(asked=2, answered=1, missing=1).is_partial
    assert kind(asked=2, answered=2, errors={"one": "it has failed"}).is_partial
