"""Exclusions: a client by its id and its owner, or whoever has an id."""

import pytest

from django_fastws._core.exclusions import exclusion, split_exclusion


@pytest.mark.parametrize("owner", ["", "auth.user:5", "auth.user:a:b"])
@pytest.mark.parametrize("client_id", ["c-1", "c-\0-2", "größe"], ids=ascii)
def test_an_id_and_its_owner_are_found_again(client_id, owner):
    assert split_exclusion(exclusion(client_id, owner)) == (client_id, owner)


def test_an_id_alone_is_that_of_any_owner():
    assert split_exclusion("c-1") == ("c-1", None)
