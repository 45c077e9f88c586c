"""Permissions, CSRF, the log, another site and errors of the console, over all of its pages."""

from __future__ import annotations

import io
import re

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.admin.utils import quote
from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from django.test import Client

from django_fastws.admin.object_keys import object_key
from django_fastws.console import ActionResult
from django_fastws.models import OutboundRoute, Process, Room, Socket
from tests.admin.fakes import AWAY, NASTY, socket
from tests.support.subprocesses import run

ROOT = "/admin/django_fastws"
SOCKET, ROOM = f"{ROOT}/socket/s-1/change/", f"{ROOT}/room/tickets_2F5/change/"
PROCESS = f"{ROOT}/process/web-1_3A10_3Aaa/change/"
ROUTE = f"{ROOT}/outboundroute/clients-1_3A20_3Abb feeds.prices/change/"

#: Every page, with the permissions that it needs.
PAGES = {
    f"{ROOT}/process/": ["view_process"],
    PROCESS: ["view_process"],
    f"{ROOT}/socket/": ["view_socket"],
    SOCKET: ["view_socket"],
    f"{ROOT}/room/": ["view_room"],
    ROOM: ["view_room"],
    f"{ROOT}/room/tickets_2F5/tail/": ["view_room", "read_room"],
    f"{ROOT}/room/tickets_2F5/events/": ["view_room", "read_room"],
    f"{ROOT}/outboundroute/": ["view_outboundroute"],
    ROUTE: ["view_outboundroute"],
    f"{ROOT}/socket/s-1/history/": ["view_socket"],
    f"{ROOT}/socket/do/close/?selected=s-1": ["view_socket", "close_socket"],
    f"{ROOT}/process/do/drain/?selected=web-1:10:aa": ["view_process", "drain_process"],
    f"{ROOT}/room/do/broadcast/?selected=tickets/5": ["view_room", "publish_room"],
    f"{ROOT}/room/do/clear/?selected=tickets/5": ["view_room", "clear_room"],
    f"{ROOT}/outboundroute/do/restart/?selected=clients-1:20:bb feeds.prices": [
        "view_outboundroute",
        "restart_outboundroute",
    ],
}

#: Every action: its URL, what is sent, its permissions, and what it calls.
ACTIONS = {
    "close": (
        f"{ROOT}/socket/do/close/",
        {"selected": "s-1", "code": 4404, "reason": "bye"},
        ["view_socket", "close_socket"],
    ),
    "drain": (f"{ROOT}/process/do/drain/", {"selected": "web-1:10:aa"}, ["view_process", "drain_process"]),
    "kick": (
        f"{ROOT}/room/do/kick/",
        {"selected": "s-1", "room": "tickets/5", "code": 4403},
        ["view_room", "kick_room"],
    ),
    "restart": (
        f"{ROOT}/outboundroute/do/restart/",
        {"selected": "clients-1:20:bb feeds.prices"},
        ["view_outboundroute", "restart_outboundroute"],
    ),
    "broadcast": (
        f"{ROOT}/room/do/broadcast/",
        {"selected": "tickets/5", "message": '"hi"', "kind": "json"},
        ["view_room", "publish_room"],
    ),
    "clear": (f"{ROOT}/room/do/clear/", {"selected": "tickets/5"}, ["view_room", "clear_room"]),
}


def text_of(response):
    """What is read on a page."""
    body = response.content.decode().partition('<main id="content-start"')[2]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body))


def messages_of(response):
    return [str(message) for message in response.context["messages"]]


# Who may


@pytest.mark.parametrize("url", PAGES, ids=lambda url: url.removeprefix(ROOT))
def test_a_page_is_for_those_who_have_its_permissions(console, as_someone, url):
    client = as_someone(*PAGES[url])
    assert client.get(url).status_code == 200
    user = User.objects.get(username="bob")
    for lacking in PAGES[url]:
        user.user_permissions.remove(Permission.objects.get(codename=lacking))
        assert client.get(url).status_code == 403
        user.user_permissions.add(Permission.objects.get(codename=lacking))


@pytest.mark.parametrize("url", PAGES, ids=lambda url: url.removeprefix(ROOT))
def test_no_page_fails_at_a_query_that_is_of_another(console, root, url):
    for query in ({"q": "x", "in": "user", "o": "opened", "wait": "1"}, {"q": "\0", "after": "x", "before": "x"}):
        assert root.get(url, query).status_code in (200, 302)  # nothing is selected


@pytest.mark.parametrize("who", ["nobody", "customer", "inactive"])
def test_others_are_sent_to_the_login(console, someone, who):
    client = Client()
    if who != "nobody":
        user = someone("view_socket", "close_socket", is_staff=who != "customer")
        client.force_login(user)
        User.objects.filter(pk=user.pk).update(is_active=who != "inactive")
    for url in (f"{ROOT}/socket/", SOCKET):
        assert client.get(url).status_code == 302
    url, data, _ = ACTIONS["close"]
    assert client.post(url, data).status_code == 302
    assert console.calls == []


@pytest.mark.parametrize("name", ACTIONS)
def test_an_action_is_refused_without_its_permission(console, as_someone, name):
    url, data, needed = ACTIONS[name]
    client = as_someone(needed[0])
    assert client.post(url, data).status_code == 403
    assert client.post(url.partition("do/")[0], {**data, "action": name}).status_code == 403
    assert console.calls == []
    assert not LogEntry.objects.exists()


def test_what_somebody_may_not_do_is_not_offered(console, as_someone):
    client = as_someone("view_socket", "view_room", "view_process", "view_outboundroute")
    for url in (f"{ROOT}/socket/", SOCKET, f"{ROOT}/room/", ROOM, f"{ROOT}/process/", PROCESS, ROUTE):
        body = client.get(url).content.decode()
        assert "/do/" not in body
        assert 'name="action"' not in body
        assert 'name="selected"' not in body
    assert "/tail/" not in client.get(ROOM).content.decode()
    assert "Newest stored events" not in client.get(ROOM).content.decode()


def test_the_index_has_what_somebody_may_see(console, as_someone):
    body = as_someone("view_room").get("/admin/").content.decode()
    assert "Real-time" in body
    assert f"{ROOT}/room/" in body
    assert f"{ROOT}/socket/" not in body
    assert "/add/" not in body


def test_no_link_leads_to_a_kind_that_somebody_may_not_see(console, as_someone):
    client = as_someone("view_socket")
    assert f"{ROOT}/room/" not in client.get(SOCKET).content.decode()
    assert f"{ROOT}/process/" not in client.get(SOCKET).content.decode()


def test_members_are_hidden_from_those_who_may_not_see_sockets(console, as_someone):
    body = as_someone("view_room", "kick_room").get(ROOM).content.decode()
    assert "user-1" not in body
    assert "s-1" not in body


@pytest.mark.parametrize("name", ACTIONS)
def test_an_action_needs_a_csrf_token_and_post(console, as_someone, name):
    url, data, needed = ACTIONS[name]
    client = as_someone(*needed, enforce_csrf_checks=True)
    assert client.post(url, data).status_code == 403
    client.get(url, data)
    assert [call for call in console.calls if not call[0].startswith("read")] == []
    assert not LogEntry.objects.exists()


# What is done


@pytest.mark.parametrize("name", ["close", "drain", "kick", "restart"])
def test_an_action_is_done_said_and_logged(console, as_someone, name):
    url, data, needed = ACTIONS[name]
    client = as_someone(*needed)
    response = client.post(url, data, follow=True)
    (call,) = [call for call in console.calls if not call[0].startswith("read")]
    assert call[0].startswith(name)
    assert "1 of 1" in messages_of(response)[0]
    (entry,) = LogEntry.objects.all()
    assert entry.user.username == "bob"
    assert entry.object_id == data.get("room", data["selected"])
    assert "403" in entry.change_message or name in entry.change_message.lower() or "Closed" in entry.change_message
    page = client.get(entry.get_admin_url())
    assert page.status_code == 200
    history = client.get(entry.get_admin_url().replace("/change/", "/history/"))
    assert entry.change_message in text_of(history).replace("&#x27;", "'")


def test_several_are_selected_asked_for_and_done_at_once(console, root):
    asked = root.post(f"{ROOT}/socket/?user=x", {"action": "close", "selected": ["s-1", "s-2"]})
    assert asked.status_code == 200
    assert console.done == []
    form = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', asked.content.decode())
    keys = [value for name, value in form if name == "selected"]
    data = {"selected": keys, "next": dict(form)["next"], "code": 4000}
    response = root.post(f"{ROOT}/socket/do/close/", data, follow=True)
    ((name, args, options),) = console.done
    assert (name, args[0], options["code"]) == ("close_sockets", ["s-1", "s-2"], 4000)
    assert response.redirect_chain == [(f"{ROOT}/socket/?user=x", 302)]
    assert LogEntry.objects.count() == 2


@pytest.mark.parametrize("data", [{"action": ""}, {"action": "close"}])
def test_who_selects_nothing_is_told_so(console, root, data):
    response = root.post(f"{ROOT}/socket/", data, follow=True)
    assert re.search("Choose|Select", messages_of(response)[0])


@pytest.mark.parametrize("next_url", ["https://evil.example/", "//evil.example", "javascript:alert(1)", ""])
def test_nobody_is_sent_elsewhere(console, root, next_url):
    url, data, _ = ACTIONS["close"]
    response = root.post(url, {**data, "next": next_url})
    assert response["Location"] == f"{ROOT}/socket/"
    body = root.get(url, {**data, "next": next_url}).content.decode()
    assert 'href="https://evil' not in body
    assert 'href="//evil' not in body
    assert 'href="javascript' not in body


@pytest.mark.parametrize("wrong", [{"code": 1006}, {"code": "x"}, {"code": 4000, "reason": "ä" * 100}])
def test_what_cannot_be_sent_is_asked_again(console, root, wrong):
    url, data, _ = ACTIONS["close"]
    response = root.post(url, {**data, **wrong})
    assert response.status_code == 200
    assert "errorlist" in response.content.decode()
    assert console.done == []


def test_what_does_not_answer_is_said_after_an_action(console, root):
    url, data, _ = ACTIONS["close"]
    console.result = ActionResult(0, asked=2, answered=1, missing=1, errors={"web-2": "RuntimeError: <b>"})
    response = root.post(url, data, follow=True)
    first, second = messages_of(response)
    assert "not known" in first
    assert "web-2" in second
    assert "<b>" not in response.content.decode()
    assert "did not answer" in LogEntry.objects.get().change_message


def test_what_was_gone_already_is_said(console, root):
    url, data, _ = ACTIONS["close"]
    console.result = ActionResult(0, asked=2, answered=2)
    assert "gone already" in messages_of(root.post(url, data, follow=True))[0]
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize("name", ["close", "drain", "kick", "restart"])
def test_without_the_layer_an_action_says_so_and_is_logged_as_unknown(console, root, name):
    url, data, _ = ACTIONS[name]
    console.error = AWAY
    response = root.post(url, data)
    assert response.status_code == 200
    assert "cannot be reached" in text_of(response)
    assert "not known" in LogEntry.objects.get().change_message


@pytest.mark.parametrize("url", [f"{ROOT}/socket/do/explode/", f"{ROOT}/room/do/kick/"])
def test_there_is_no_other_action(console, root, url):
    assert root.post(url, {"selected": "s-1", "code": 4403}).status_code == 404


# What is not whole


@pytest.mark.parametrize(
    "url", [f"{ROOT}/process/", f"{ROOT}/socket/", f"{ROOT}/room/", ROOM, f"{ROOT}/outboundroute/"]
)
def test_a_page_says_that_a_process_has_not_answered(console, root, url):
    console.rest = {"asked": 3, "answered": 2, "missing": 1, "errors": {"web-9": "ValueError: <b>"}}
    response = root.get(url)
    assert "1 process has not answered" in text_of(response)
    assert "web-9" in text_of(response)
    assert b"<b>" not in response.content


@pytest.mark.parametrize(
    "url", [f"{ROOT}/process/", f"{ROOT}/socket/", f"{ROOT}/room/", ROOM, f"{ROOT}/outboundroute/"]
)
def test_a_page_says_that_nobody_has_answered_and_what_to_do(console, root, url):
    console.rest = {}
    assert "No process has answered" in text_of(root.get(url))


@pytest.mark.parametrize("url", PAGES, ids=lambda url: url.removeprefix(ROOT))
def test_no_page_fails_while_the_layer_is_away(console, root, url):
    console.error = AWAY
    response = root.get(url)
    assert response.status_code == 200
    if "/do/" not in url and "/history/" not in url and "room/tickets_2F5/" not in url.replace("change/", ""):
        assert "cannot be asked" in text_of(response)
        assert "ws_doctor" in text_of(response)


def test_who_waits_longer_is_given_the_time(console, root):
    console.rest = {"asked": 2, "answered": 1, "missing": 1}
    assert "?wait=5" in root.get(f"{ROOT}/socket/").content.decode()
    root.get(f"{ROOT}/socket/?wait=5")
    assert console.calls[-1][2]["seconds"] == 5


@pytest.mark.parametrize(
    "url",
    [
        f"{ROOT}/room/=b64=!/change/",
        f"{ROOT}/socket/=b64=_21/history/",
        f"{ROOT}/outboundroute/nothing/change/",
        f"{ROOT}/room/do/broadcast/?selected==b64=!",
    ],
)
def test_what_is_no_name_is_not_found(console, root, url):
    assert root.get(url).status_code in (302, 404)


HALF = quote(object_key("half a pair \ud83d"))


@pytest.mark.parametrize("url", [f"{ROOT}/{kind}/{HALF}/change/" for kind in ("socket", "room", "process")])
def test_half_a_character_is_no_name(root, url):
    assert root.get(url).status_code in (302, 404)


@pytest.mark.parametrize("action", ["socket/do/close", "room/do/kick", "room/do/clear", "process/do/drain"])
def test_nothing_is_done_to_half_a_character(root, action):
    data = {"selected": object_key("half a pair \ud83d"), "room": "lobby", "code": 4000}
    assert root.get(f"{ROOT}/{action}/", data).status_code == 404
    assert root.post(f"{ROOT}/{action}/", data).status_code == 404


@pytest.mark.parametrize(
    "url", [f"{ROOT}/socket/gone/change/", f"{ROOT}/process/gone/change/", f"{ROOT}/outboundroute/a b/change/"]
)
def test_what_is_gone_is_said(console, root, url):
    response = root.get(url)
    assert response.status_code == 200
    assert "answer" in text_of(response)


# At home in the admin


def test_there_is_neither_a_script_nor_a_style_in_a_page(console, root):
    console.sockets = [socket(buffered_bytes=5, dropped=2)]
    for url in PAGES:
        main = root.get(url).content.decode().partition("<main")[2]
        assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=", main), url


def test_names_are_escaped_everywhere(console, root):
    name = '"><script>x</script>'
    console.sockets = [socket(path=name, user=name, user_label=name, address=name, process=name, route=name)]
    for url in (f"{ROOT}/socket/", SOCKET, ROOM, f"{ROOT}/socket/?user={name}&room={name}&process={name}"):
        assert b"<script>x" not in root.get(url).content


def test_a_site_of_ones_own_has_it_too(console, root):
    page = root.get("/own/django_fastws/socket/").content.decode()
    assert "/own/django_fastws/socket/s-1/change/" in page
    assert 'href="/admin/' not in page
    response = root.post("/own/django_fastws/socket/do/close/", {"selected": "s-1", "code": 4000})
    assert response["Location"] == "/own/django_fastws/socket/"


def test_every_model_is_registered_by_itself():
    assert all(admin.site.is_registered(model) for model in (OutboundRoute, Process, Room, Socket))


def test_there_is_nothing_to_add_change_or_delete(console, root):
    for url in ("socket/add/", "socket/s-1/delete/", "room/add/"):
        assert root.get(f"{ROOT}/{url}").status_code in (301, 302, 404)
    assert root.post(SOCKET, {"id": "x"}).status_code == 200
    assert [call for call in console.calls if not call[0].startswith("read")] == []


# Models without tables


def test_models_without_tables_are_empty_for_whoever_asks_all(db):
    for options in ({}, {"use_base_manager": True}):
        out = io.StringIO()
        call_command("dumpdata", "django_fastws", stdout=out, **options)
        assert "django_fastws.socket" not in out.getvalue()
    assert [model.objects.count() for model in (OutboundRoute, Process, Room, Socket)] == [0] * 4


def test_the_migrations_are_whole(db):
    call_command("makemigrations", "django_fastws", check=True, dry_run=True, verbosity=0)


def test_a_log_entry_has_any_name(console, root, monkeypatch):
    monkeypatch.setattr("django_fastws.rooms.Room.broadcast", lambda *args, **kwargs: None)
    keys = [root.get(f"{ROOT}/room/").context and name for name in NASTY]
    data = {"selected": [object_key(name) for name in keys], "message": "1", "kind": "json"}
    assert root.post(f"{ROOT}/room/do/broadcast/", data).status_code == 302
    assert LogEntry.objects.count() == len(NASTY)
    for entry in LogEntry.objects.all():
        assert root.get(entry.get_admin_url()).status_code == 200


@pytest.mark.slow
def test_without_the_admin_nothing_of_it_is_needed():
    done = run(
        """
import django
from django.conf import settings
settings.configure(SECRET_KEY="x", INSTALLED_APPS=["channels", "django_fastws"], DATABASES={}, ROOT_URLCONF="x")
django.setup()
import django_fastws.admin, django_fastws.admin.room_tail, django_fastws.admin.room_admin
from django_fastws.routing import registry
print(len(registry.hidden_rooms))
"""
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")
