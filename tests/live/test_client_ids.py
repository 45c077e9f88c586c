"""Client ids in use: counted, and each of one owner."""

import pytest

from django_fastws.live.client_ids import ClientIds


def test_an_id_is_its_owners_until_all_have_given_it_back():
    ids = ClientIds()
    assert ids.take("c", "ada")
    assert ids.take("c", "ada")
    assert not ids.take("c", "bob")
    ids.give("c")
    assert not ids.take("c", "bob")
    ids.give("c")
    assert len(ids) == 0
    assert ids.take("c", "bob")


def test_what_was_not_taken_cannot_be_given_back():
    with pytest.raises(KeyError):
        ClientIds().give("c")


def test_a_forked_child_has_none():
    ids = ClientIds()
    ids.take("c", "ada")
    ids.reset()
    assert ids.take("c", "bob")
