"""What is shown of a socket, and by what it is found; no database is asked."""

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.utils.functional import SimpleLazyObject

from django_fastws.console import ORDERS, SocketSearch
from django_fastws.console.socket_values import check_cursor, matcher, user_key_of, user_label, value_of

ADA = User(pk=7, username="Ada", email="lovelace@example.com")


def unloaded():
    raise AssertionError("a database would be asked")


def deferred():
    user = User(pk=7, email="lovelace@example.com")
    del user.__dict__["username"]
    return user


@pytest.mark.parametrize(
    ("user", "key", "label"),
    [
        (None, "", ""),
        (AnonymousUser(), "", ""),
        (ADA, "auth.user:7", "Ada"),
        (SimpleLazyObject(unloaded), "", ""),
        (deferred(), "auth.user:7", ""),
    ],
    ids=["nobody", "anonymous", "user", "lazy", "deferred"],
)
def test_a_user_is_shown_as_far_as_the_process_knows_it(user, key, label):
    assert (user_key_of({"user": user}), user_label({"user": user})) == (key, label)


def test_a_lazy_user_that_was_loaded_is_shown():
    user = SimpleLazyObject(lambda: ADA)
    assert user.is_authenticated
    assert user_label({"user": user}) == "Ada"


@pytest.mark.parametrize("wanted", ["7", "ada", "LOVELACE", "@example", "auth.user:7"])
def test_a_user_is_found_by_key_name_and_address(process, wanted):
    fits = matcher(SocketSearch(user=wanted))
    assert fits is not None
    assert fits(process.open(user=ADA))
    assert not fits(process.open(user=User(pk=77, username="bob")))
    assert not fits(process.open())


@pytest.mark.parametrize("text", ["ORDERS", "10.1.2", "10.1.0.0/16", "lovelace", "/shop/", "AUTH.USER:7"])
def test_a_text_is_looked_for_in_all_that_is_shown(process, text):
    fits = matcher(SocketSearch(text=text))
    assert fits is not None
    assert fits(process.open("/shop/{part}", user=ADA, path="/shop/orders", client=("10.1.2.3", 1)))
    assert not fits(process.open("/", path="/"))


@pytest.mark.parametrize("path", ["/1.2.3.4/5", "/10.1.0.0/16/"])
def test_a_path_is_found_by_what_looks_like_a_network(process, path):
    fits = matcher(SocketSearch(text=path.strip("/")))
    assert fits is not None
    assert fits(process.open(path=path, client=("192.0.2.1", 1)))


def test_a_text_does_not_find_what_is_masked(process):
    fits = matcher(SocketSearch(text="s3cret"))
    assert fits is not None
    assert not fits(process.open(path="/feed;token=s3cret"))


def test_no_search_fits_all():
    assert matcher(SocketSearch(room="a", process="b")) is None


@pytest.mark.parametrize("order", ORDERS)
def test_an_order_has_a_value_that_fits_its_cursor(process, order):
    ws = process.open()
    value = value_of(order)(ws, ws.transport, 5.0)
    assert check_cursor(order, [value, 5.0, "p"]) == [value, 5.0, "p"]
    for cursor in ([value, 5.0], [None, 5.0, "p"], [value, 5.0, 5], "text"):
        with pytest.raises(ValueError, match="no place"):
            check_cursor(order, cursor)
