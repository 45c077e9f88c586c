"""Keys of objects in URLs: any name comes back, and nothing else is a key."""

from __future__ import annotations

import pytest
from django.contrib.admin.utils import quote, unquote
from django.urls import resolve, reverse
from hypothesis import example, given
from hypothesis import strategies as st

from django_fastws.admin.object_keys import MOST_CHARACTERS, fits_a_url, name_of, object_key, route_key, route_of
from tests.admin.fakes import NASTY
from tests.support.ids import shown


@given(st.text())
@example("..")
@example("=b64=Li4")
def test_a_name_comes_back_from_its_key(name):
    key = object_key(name)
    assert name_of(key) == name
    assert "\0" not in key
    key.encode()


@pytest.mark.parametrize("name", NASTY, ids=shown)
def test_a_name_survives_a_url(name):
    url = reverse("admin:django_fastws_room_change", args=[quote(object_key(name))])
    assert url.startswith("/admin/django_fastws/room/")
    from urllib.parse import unquote as decoded

    assert name_of(unquote(resolve(decoded(url)).kwargs["object_id"])) == name
    assert "/./" not in url
    assert "/../" not in url


@pytest.mark.parametrize(
    "key", ["=b64=!", "=b64=x", "=b64=dGlja2V0cy81", "=b64=_w", "a\0b", "", "\ud83d", object_key("\ud83d")]
)
def test_what_is_no_key_is_refused(key):
    with pytest.raises(ValueError, match="key"):
        name_of(key)


def test_a_name_that_is_too_long_has_no_page():
    assert fits_a_url("x" * 1000)
    assert not fits_a_url("x" * (MOST_CHARACTERS + 1))
    assert not fits_a_url("ä" * (MOST_CHARACTERS - 1))


def test_a_route_has_a_key_with_its_process():
    key = route_key("host:1:aa", "prices of today")
    assert route_of(key) == ("host:1:aa", "prices of today")
    with pytest.raises(ValueError, match="outbound route"):
        route_of("host:1:aa")
