"""Rooms in the admin: the list, the page of one, and what is done to them."""

from __future__ import annotations

import html

import pytest
from django.contrib.admin.models import LogEntry

from django_fastws import Event, FastWS, HistoryUnavailable, Room
from django_fastws.admin.object_keys import object_key
from django_fastws.exceptions import WebSocketConnectionError
from tests.admin.fakes import AWAY, NASTY, room, socket

LIST = "/admin/django_fastws/room/"
ONE = f"{LIST}tickets_2F5/change/"


def texts(response):
    return " ".join(str(message) for message in response.context["messages"])


def test_every_room_of_the_list_has_a_page_whatever_its_name(console, root):
    console.rooms = [room(name) for name in NASTY]
    body = root.get(LIST).content.decode()
    links = [cell[1] for row in root.get(LIST).context["rows"] for cell in row.cells[:1]]
    assert len(links) == len(NASTY)
    assert "<script>alert" not in body
    for link in links:
        url = html.unescape(str(link).partition('href="')[2].partition('"')[0])
        assert "3 in 2 processes" in root.get(url).content.decode()


def test_a_name_that_is_too_long_for_a_url_has_no_link(console, root):
    console.rooms = [room("x" * 5000)]
    body = root.get(LIST).content.decode()
    assert len(body) < 60_000
    assert "xx/change/" not in body


def test_the_busiest_are_asked_for_as_an_order(console, root):
    console.rooms = [room("a", members=1), room("b", members=9)]
    assert [row.key for row in root.get(LIST, {"o": "-members"}).context["rows"]] == ["b", "a"]


def test_a_room_without_members_is_found_by_its_whole_name(console, root):
    url = root.get(LIST, {"q": "nobody/here"}).context["open_url"]
    body = root.get(url).content.decode()
    assert "Nobody is in this room" in body


def test_a_room_shows_members_presence_events_and_position(console, root):
    body = root.get(ONE).content.decode()
    for text in ("user-1", "e:7", "said", "&lt;/pre&gt;&lt;b&gt;tea", "&lt;i&gt;"):
        assert text in body


@pytest.mark.parametrize("has_history", [True, False])
def test_stored_events_are_offered_of_a_room_that_keeps_some(console, root, has_history):
    console.rooms = [room(has_history=has_history)]
    links = [text for text, _ in root.get(ONE).context["links"]]
    assert links == ["Live tail", "Stored events"][: 1 + has_history]


def test_what_could_not_be_read_of_it_is_said(console, root):
    console.detail = {"presence": None, "present": None, "history": None, "errors": {"history": "Redis <away>"}}
    assert "History: Redis &lt;away&gt;" in root.get(ONE).content.decode()


def test_members_come_page_by_page(console, root):
    console.sockets = [socket(number) for number in range(1, 121)]
    first = root.get(ONE)
    second = root.get(ONE + first.context["next_url"])
    assert second.context["rows"][0].key == "s-51"
    assert root.get(ONE, {"after": "nonsense"}).status_code == 200


def test_kicks_are_from_a_room_and_logged_there(console, root):
    asked = root.post(LIST, {"action": "kick", "selected": ["s-1", "s-2"], "room": "tickets/5", "next": ONE})
    assert "tickets/5" in asked.content.decode()
    data = {"selected": ["s-1", "s-2"], "room": "tickets/5", "next": ONE, "code": 4403, "reason": "spam"}
    response = root.post(f"{LIST}do/kick/", data, follow=True)
    assert "2 of 2" in texts(response)
    assert response.redirect_chain[0][0] == ONE
    _, args, options = next(call for call in console.calls if call[0] == "kick")
    assert (args, options["ids"], options["reason"]) == (("tickets/5",), ["s-1", "s-2"], "spam")
    assert LogEntry.objects.get().object_id == "tickets/5"


@pytest.fixture
def said(monkeypatch):
    """What is broadcast, and to which rooms."""
    calls = []

    def broadcast(self, data, event=None, **options):
        if self.name == "bad":
            raise TypeError("room 'bad' is keyed: say whose value it is")
        calls.append((self.name, data, event, options))

    monkeypatch.setattr(Room, "broadcast", broadcast)
    return calls


def test_a_message_is_broadcast_to_all_that_are_selected(console, root, said):
    data = {
        "selected": ["a", object_key("..")],
        "message": '{"n": 1}',
        "kind": "json",
        "event": "notice",
        "volatile": "on",
    }
    response = root.post(f"{LIST}do/broadcast/", data, follow=True)
    assert "2 of 2 rooms" in texts(response)
    assert [one[:3] for one in said] == [("a", {"n": 1}, "notice"), ("..", {"n": 1}, "notice")]
    assert said[0][3]["volatile"] is True
    assert "notice" in LogEntry.objects.first().change_message


def test_the_key_of_a_value_is_no_room(console, root, said):
    data = {"selected": ["prices"], "message": "1", "kind": "json", "key": "BTC"}
    assert "1 of 1" in texts(root.post(f"{LIST}do/broadcast/", data, follow=True))
    assert [(one[0], one[3]["key"]) for one in said] == [("prices", "BTC")]


class Announced(Event):
    text: str
    size: int = 0


@pytest.fixture
def notices(routes):
    """A live room that says what it sends."""
    return FastWS().room("notices/{pk:int}", sends=[Announced])


def test_an_event_of_a_declared_room_is_broadcast_as_that(console, root, said, notices):
    data = {"selected": ["notices/1"], "message": '{"text": "tea"}', "kind": "json", "event": "announced"}
    assert "1 of 1" in texts(root.post(f"{LIST}do/broadcast/", data, follow=True))
    assert [one[:3] for one in said] == [("notices/1", Announced(text="tea"), "announced")]


@pytest.mark.parametrize("is_debug", [True, False])
@pytest.mark.parametrize(
    ("event", "message", "words"),
    [
        ("", '{"text": "tea"}', "which has announced"),
        ("announced", '{"size": 1}', "text: Field required"),
        ("announced", '"tea"', "data: "),
    ],
)
def test_what_a_declared_room_does_not_send_is_refused(
    console, root, said, notices, settings, is_debug, event, message, words
):
    settings.DEBUG = is_debug
    data = {"selected": ["notices/1"], "message": message, "kind": "json", "event": event}
    assert words in html.unescape(root.post(f"{LIST}do/broadcast/", data).content.decode())
    response = root.post(f"{LIST}do/broadcast/", {**data, "selected": ["a", "notices/1"]}, follow=True)
    assert "1 of 2" in texts(response)
    assert words in texts(response)
    assert [one[0] for one in said] == ["a"]


def test_what_cannot_be_broadcast_is_said(console, root, said):
    data = {"selected": ["bad"], "message": "1", "kind": "json"}
    assert "is keyed" in root.post(f"{LIST}do/broadcast/", data).content.decode()
    assert not LogEntry.objects.exists()
    response = root.post(f"{LIST}do/broadcast/", {**data, "selected": ["a", "bad"]}, follow=True)
    assert "1 of 2" in texts(response)
    assert "is keyed" in texts(response)


def test_histories_are_cleared_and_what_has_none_is_said(console, root, monkeypatch):
    cleared = []

    def clear(self):
        if self.name == "none":
            raise HistoryUnavailable("room 'none' has no history")
        cleared.append(self.name)

    monkeypatch.setattr(Room, "clear", clear)
    response = root.post(f"{LIST}do/clear/", {"selected": ["a", "none"]}, follow=True)
    assert cleared == ["a"]
    assert "1 of 2" in texts(response)
    assert "no history" in texts(response)


@pytest.mark.parametrize("action", ["broadcast", "clear"])
def test_without_the_layer_nothing_fails(console, root, monkeypatch, action):
    def away(self, *args, **kwargs):
        raise WebSocketConnectionError("cannot reach Redis")

    monkeypatch.setattr(Room, action, away)
    response = root.post(f"{LIST}do/{action}/", {"selected": ["a"], "message": "1", "kind": "json"})
    assert "cannot reach Redis" in response.content.decode()
    assert AWAY


@pytest.mark.parametrize("may_see", [True, False])
def test_who_is_kicked_is_said_to_those_who_may_see_sockets(console, as_someone, may_see):
    client = as_someone("view_room", "kick_room", *(["view_socket"] if may_see else []))
    response = client.post(LIST, {"action": "kick", "selected": ["s-1"], "room": "tickets/5"})
    (name,) = response.context["shown"]
    assert ("user-1" in name) is may_see
    assert ("s-1" in name) is not may_see
