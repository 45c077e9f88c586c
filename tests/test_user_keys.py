"""Keys of users: the model and the primary key."""

import pytest
from django.contrib.auth.models import AnonymousUser, User

from django_fastws.user_keys import has_key, is_user, key_of, may_be_a_user, user_key


class Visitor:
    """A user of a project that has none in the database."""

    def __init__(self, pk):
        self.pk = pk


@pytest.mark.parametrize(
    ("user", "key"),
    [
        (None, ""),
        (AnonymousUser(), ""),
        (User(username="unsaved"), ""),
        (User(pk=5), "auth.user:5"),
        (Visitor(5), f"{__name__}.Visitor:5"),
    ],
    ids=["none", "anonymous", "unsaved", "user", "no model"],
)
def test_the_key_of_a_user_is_the_model_and_the_primary_key(user, key):
    assert user_key(user) == key
    assert has_key(user) is bool(key)


@pytest.mark.parametrize(
    ("user", "is_meant"),
    [
        (None, False),
        (AnonymousUser(), False),
        (User(username="unsaved"), False),
        (User(pk=5), True),
        (User(pk=55), False),
        (User(pk=15), False),
        (Visitor(5), False),
    ],
    ids=["none", "anonymous", "unsaved", "user", "longer", "same end", "no model"],
)
def test_a_user_is_known_by_the_key(user, is_meant):
    assert is_user(user, "auth.user:5") is is_meant
    assert not is_user(user, "")


@pytest.mark.parametrize("user", [User(pk=5), 5, "5"], ids=["user", "int", "str"])
def test_a_primary_key_stands_for_its_user(user):
    assert key_of(user) == "auth.user:5"


@pytest.mark.parametrize(
    ("user", "error"),
    [(None, TypeError), (True, TypeError), ("nobody", ValueError), (AnonymousUser(), ValueError), ([], ValueError)],
    ids=["none", "bool", "no number", "anonymous", "list"],
)
def test_what_is_no_user_is_said_with_the_call(user, error):
    with pytest.raises(error, match=r"kick\("):
        key_of(user, "kick")


@pytest.mark.parametrize(
    ("text", "may_be"), [("5", True), ("c-5", False), ("", False), ("5.0", False), ("ada", False)]
)
def test_what_could_be_the_primary_key_of_a_user(text, may_be):
    assert may_be_a_user(text) is may_be
