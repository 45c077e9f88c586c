"""Checks of live rooms: for each, what provokes it and what looks like it and is right."""

from __future__ import annotations

import pytest
from django.conf import settings

from django_fastws import FastWS, RouteError
from django_fastws.routing.routes import Problem
from tests.checks.messages import found

pytestmark = pytest.mark.usefixtures("routes")


def test_two_patterns_that_match_one_name():
    FastWS().room("tickets/{pk:int}")
    FastWS().room("tickets/{slug}")
    (message,) = found().values()
    assert message.id == "fastws.E050"
    assert "'tickets/7'" in message.msg
    assert message.msg.count("test_live_rooms.py:") == 2


def test_patterns_that_differ():
    FastWS().room("tickets/{pk:int}")
    FastWS().room("tickets/new")
    assert found() == {}


def test_two_rooms_of_one_name():
    FastWS().room("a", name="tickets")
    FastWS().room("b", name="tickets")
    (message,) = found().values()
    assert message.id == "fastws.E051"
    assert message.msg.count("test_live_rooms.py:") == 2


def test_names_that_are_not_given_may_be_shared():
    FastWS().room("tickets/{pk:int}")
    FastWS().room("tickets/{pk:int}/tickets/", name="tickets")
    assert found() == {}


def test_rooms_that_no_client_can_join():
    assert found(FASTWS_LIVE_PATH=None) == {}
    FastWS().room("tickets/{pk:int}")
    assert list(found(FASTWS_LIVE_PATH=None)) == ["fastws.W052"]
    assert found(FASTWS_LIVE_PATH="/live") == {}


def test_a_route_on_the_path_of_live_sockets():
    app = FastWS()
    app.room("tickets/{pk:int}")

    @app.websocket("/ws/live")
    async def live(ws): ...

    message = found()["fastws.E010"]
    assert "FASTWS_LIVE_PATH" in message.msg


@pytest.mark.parametrize(
    ("options", "id_"),
    [({"login_required": True}, "fastws.E040"), ({"max_connections_per_user": 1}, "fastws.E040"), ({}, None)],
)
def test_a_room_that_asks_for_users_where_there_are_none(options, id_):
    FastWS().room("tickets/{pk:int}", **options)
    without = [app for app in settings.INSTALLED_APPS if app not in ("django.contrib.auth", "django.contrib.admin")]
    assert list(found(INSTALLED_APPS=without)) == ([id_] if id_ else [])


def test_a_permission_of_an_app_that_is_not_there():
    FastWS().room("tickets/{pk:int}", permission="nowhere.view_it")
    assert list(found()) == ["fastws.W041"]


def test_a_mistake_in_a_declaration_is_found(routes):
    with pytest.raises(RouteError) as raised:
        FastWS().room("tickets/{pk:int}").on("state")
    routes.problems.append(Problem("desk.consumers", raised.value))
    (message,) = found().values()
    assert message.id == "fastws.E014"
    assert "'state' means something else to the client" in message.msg
