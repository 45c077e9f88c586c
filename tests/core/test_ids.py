"""Unique ids, by which objects are found."""

import gc
import re

from django_fastws._core.ids import Ids


class Owner:
    pass


def test_who_has_an_id_is_found_by_it():
    ids, owners = Ids(), [Owner() for _ in range(3)]
    made = [ids.make(owner) for owner in owners]
    assert len(set(made)) == 3
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in made)
    assert [ids.find(one) for one in made] == owners
    assert ids.find("another") is None


def test_an_object_that_is_gone_leaves_nothing_behind():
    ids, owner = Ids(), Owner()
    made = ids.make(owner)
    del owner
    gc.collect()
    assert ids.find(made) is None
    assert len(ids) == 0
