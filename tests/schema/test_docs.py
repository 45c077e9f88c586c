"""Views of the docs page."""

import json

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import PermissionDenied
from django.core.management import call_command
from django.test import RequestFactory
from django.urls import include, path

from django_fastws import FastWS
from django_fastws.schema import asyncapi_view, docs_view, json_schema_view, typescript_view
from tests.schema.rooms import declare_rooms

VIEWS = [docs_view, asyncapi_view, json_schema_view, typescript_view]

urlpatterns = [path("live/", include("django_fastws.urls"))]


@pytest.fixture(autouse=True)
def served(routes, settings):
    """The URLs of this file, and the rooms of ``rooms.py``."""
    settings.ROOT_URLCONF = __name__
    settings.DEBUG = True
    declare_rooms(FastWS())
    return routes


def get(view, user=None, **headers):
    request = RequestFactory().get("/live/", **headers)
    if user is not None:
        request.user = user
    return view(request)


#: Who asks, with DEBUG off: 200; 302 to the log-in; or refused.
ALLOWED = {
    "staff": (User(username="ada", is_staff=True), 200),
    "staff that is not active": (User(username="ada", is_staff=True, is_active=False), 403),
    "a user": (User(username="ada"), 403),
    "nobody": (AnonymousUser(), 302),
    "a project without users": (None, 403),
}


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.__name__)
@pytest.mark.parametrize("who", ALLOWED)
def test_they_are_for_staff_unless_debug(settings, view, who):
    user, status = ALLOWED[who]
    assert get(view, user).status_code == 200
    settings.DEBUG = False
    if status == 403:
        with pytest.raises(PermissionDenied):
            get(view, user)
    else:
        assert get(view, user).status_code == status


def test_nobody_is_sent_to_the_log_in_and_back(settings):
    settings.DEBUG = False
    assert get(docs_view, AnonymousUser()).url == "/accounts/login/?next=/live/"


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.__name__)
def test_nothing_is_kept_by_caches(view):
    assert "no-store" in get(view).headers["Cache-Control"]


def test_the_page_is_where_it_is_included_and_links_to_the_files(client):
    page = client.get("/live/")
    assert page.status_code == 200
    for name, content_type in (
        ("asyncapi.json", "application/json"),
        ("schema.json", "application/schema+json"),
        ("rooms.d.ts", "text/plain; charset=utf-8"),
    ):
        assert f'href="/live/{name}"' in page.text
        assert client.get(f"/live/{name}").headers["Content-Type"] == content_type


def test_the_files_are_those_of_the_command(capsys):
    call_command("ws_schema", "--format", "typescript")
    assert get(typescript_view).text == capsys.readouterr().out
    call_command("ws_schema", "--format", "jsonschema")
    assert get(json_schema_view).text + "\n" == capsys.readouterr().out


def test_asyncapi_names_the_host_that_was_asked():
    document = json.loads(get(asyncapi_view, headers={"host": "testserver:8000"}).text)
    assert document["servers"]["live"]["host"] == "testserver:8000"
    assert document["servers"]["live"]["protocol"] == "ws"


def test_the_tag_of_the_schema_changes_with_the_rooms():
    before = get(json_schema_view).headers["ETag"]
    assert get(json_schema_view).headers["ETag"] == before
    FastWS().room("more")
    assert get(json_schema_view).headers["ETag"] != before


def test_the_page_says_who_one_is():
    assert "not logged in" in get(docs_view).text
    assert "<strong>ada</strong>" in get(docs_view, User(username="ada")).text


def test_a_page_without_rooms_says_how_to_declare_one(served):
    served.apps.clear()
    served.changed()
    page = get(docs_view).text
    assert "No live rooms" in page
    assert "Live sockets are not served" in page
