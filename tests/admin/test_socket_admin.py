"""Sockets in the admin: the list with its search, order and pages, and the page of one."""

from __future__ import annotations

import pytest
from django.utils.html import conditional_escape

from django_fastws.console import SocketSearch
from django_fastws.exceptions import WebSocketConnectionError
from tests.admin.fakes import socket

LIST = "/admin/django_fastws/socket/"


def asked(console):
    return [(args[0], options) for name, args, options in console.calls if name == "read_sockets"]


def test_a_search_asks_the_processes(console, root):
    root.get(LIST, {"q": "ada", "in": "user", "address": "10.1.", "o": "-buffered"})
    ((search, options),) = asked(console)
    assert search == SocketSearch(user="ada", address="10.1.")
    assert options["order"] == "-buffered"


def test_what_is_searched_for_is_shown_and_can_be_left_out(console, root):
    body = root.get(LIST, {"user": "ada", "room": "tickets/5"}).content.decode()
    assert 'href="?room=tickets%2F5"' in body
    assert 'href="?user=ada"' in body


def test_newest_first_unless_another_order_is_asked_for(console, root):
    root.get(LIST, {"o": "secret"})
    assert asked(console)[0][1]["order"] == "-opened"


def test_pages_lead_forth_and_back(console, root):
    console.sockets = [socket(number) for number in range(1, 251)]
    first = root.get(LIST)
    assert "250 sockets, 100 on this page" in first.content.decode()
    assert first.content.count(b'class="action-select"') == 100
    second = root.get(LIST + first.context["next_url"])
    third = root.get(LIST + second.context["next_url"])
    assert third.context["next_url"] == ""
    assert len(third.context["rows"]) == 50
    again = root.get(LIST + third.context["previous_url"])
    assert again.context["rows"][0].key == second.context["rows"][0].key == "s-101"


def test_a_cursor_that_is_none_begins_at_the_first_page(console, root):
    response = root.get(LIST, {"after": "nonsense"})
    assert response.status_code == 200
    assert len(response.context["rows"]) == 3


@pytest.mark.parametrize("address", ["999.1.1.1/99", "10.1/16", "10.1.0.0/", "/", "<b>/8"])
@pytest.mark.parametrize("after", ["", "nonsense"])
def test_what_is_no_network_is_said_and_still_stands_in_the_search(console, root, address, after):
    response = root.get(LIST, {"q": address, "in": "address", "after": after})
    body = response.content.decode()
    assert response.status_code == 200
    assert "This cannot be searched for" in body
    assert "No socket fits" not in body
    assert conditional_escape(address) in body
    assert "<b>/8" not in body


@pytest.mark.parametrize(("data", "text"), [({}, "No socket is open"), ({"user": "x"}, "No socket fits")])
def test_an_empty_list_says_why(console, root, data, text):
    console.sockets = []
    assert text in root.get(LIST, data).content.decode()


def test_a_socket_has_its_facts_its_rooms_and_its_handshake(console, root):
    console.sockets = [socket(1, buffered_bytes=2048, dropped=3)]
    body = root.get(f"{LIST}s-1/change/").content.decode()
    for text in (
        "user-1",
        "10.0.0.1",
        "50000",
        "/ws/chat/1",
        "fastws.v1.json",
        "c-1",
        "2.0\xa0KB",
        "https://example.com",
    ):
        assert text in body
    assert "Mozilla/5.0 &lt;b&gt;" in body
    assert "/admin/django_fastws/room/tickets_2F5/change/" in body
    assert "do/close/?selected=s-1" in body
    assert f"{LIST}?user=auth.user%3A1" in body


def test_whom_an_action_is_for_is_said_by_path_user_and_address(console, root):
    console.sockets[1] = socket(2, user="", user_label="", path="/<b>")
    response = root.post(LIST, {"action": "close", "selected": ["s-1", "s-2", "gone"]})
    first, second, gone = [str(name) for name in response.context["shown"]]
    assert all(word in first for word in ("/ws/chat/1", "user-1", "10.0.0.1"))
    assert all(word in second for word in ("/&lt;b&gt;", "nobody", "10.0.0.2"))
    assert "gone" in gone
    assert asked(console)[-1][0] == SocketSearch(ids=["s-1", "s-2", "gone"])


def test_it_is_said_by_ids_while_the_processes_cannot_be_asked(console, root):
    console.error = WebSocketConnectionError("away")
    response = root.post(LIST, {"action": "close", "selected": ["s-1"]})
    assert ["s-1" in str(name) for name in response.context["shown"]] == [True]
