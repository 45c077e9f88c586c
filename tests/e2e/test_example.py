"""The example project, without a browser."""

from __future__ import annotations

import asyncio
import html
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import httpx2
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as ws_connect

from tests.support.example import PASSWORD, USER, daphne, environment, make_database, manage
from tests.support.processes import HOST, ROOT, ASGIServer, Process, free_port

ROOMS = ["Lobby", "größe", "日本語", "مقهى", "a/b", "/a", "a/", "a//b", "100 %", "100%25", "?a=b&c#d", "'\"<b>\\;+ x"]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_database(tmp_path_factory.mktemp("example") / "db.sqlite3")


@pytest.fixture(scope="module")
def example(database: Path) -> Iterator[ASGIServer]:
    """The example on daphne, without Redis. Every test has a room of its own in it."""
    with daphne(database) as server:
        yield server
        assert "Traceback" not in server.log()
        assert "Warning" not in server.log()


@pytest.fixture
def room(request: pytest.FixtureRequest) -> str:
    return f"{request.node.name} über"


@contextmanager
def visitor(server: ASGIServer) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=server.http_url("/"), follow_redirects=True, trust_env=False) as client:
        yield client


def chat_url(server: ASGIServer, room: str, **query: str) -> str:
    return server.url(f"/ws/chat/{quote(room)}?{urlencode(query)}")


async def receive(ws: ClientConnection) -> dict[str, Any]:
    message = json.loads(await asyncio.wait_for(ws.recv(), 10))
    assert isinstance(message, dict)
    return message


async def welcomed(ws: ClientConnection) -> dict[str, Any]:
    message = await receive(ws)
    assert message["type"] == "welcome"
    return message


def csrf_token(page: str) -> str:
    found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    assert found, page
    return found[1]


def log_in(client: httpx2.Client) -> None:
    token = csrf_token(client.get("/login/").text)
    answer = client.post(
        "/login/", data={"csrfmiddlewaretoken": token, "username": USER, "password": PASSWORD, "next": "/"}
    )
    assert f"<bdi>{USER}</bdi>" in answer.text


def announce(client: httpx2.Client, text: str) -> httpx2.Response:
    token = csrf_token(client.get("/news/").text)
    return client.post("/news/announce/", data={"csrfmiddlewaretoken": token, "text": text})


# ── The project ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_checks_find_nothing(tmp_path):
    variables = environment(tmp_path / "db.sqlite3")
    assert "no issues (0 silenced)" in manage("check", "--fail-level", "WARNING", variables=variables)


def test_the_checks_find_nothing_with_redis_and_without_debug(tmp_path):
    variables = {**environment(tmp_path / "db.sqlite3", "redis://redis.invalid:6379"), "DJANGO_DEBUG": "0"}
    assert "no issues (0 silenced)" in manage("check", "--fail-level", "WARNING", variables=variables)


def test_no_migration_is_missing(tmp_path):
    output = manage("makemigrations", "--check", "--dry-run", variables=environment(tmp_path / "db.sqlite3"))
    assert "No changes detected" in output


def read_settings(**variables: str) -> dict[str, Any]:
    names = ["DATABASE_PATH", "DJANGO_ALLOWED_HOSTS", "DJANGO_DEBUG", "DJANGO_SECRET_KEY", "REDIS_URL"]
    inherited = {name: value for name, value in os.environ.items() if name not in names}
    program = (
        "import json; from example_project import settings as s; "
        "print(json.dumps([s.DEBUG, s.SECRET_KEY, s.ALLOWED_HOSTS, str(s.DATABASES['default']['NAME']), "
        "s.CHANNEL_LAYERS['default']]))"
    )
    output = subprocess.check_output([sys.executable, "-c", program], cwd=ROOT, env={**inherited, **variables})
    return dict(zip(("debug", "key", "hosts", "database", "layer"), json.loads(output), strict=True))


def test_the_settings_have_defaults_for_development():
    settings = read_settings()
    assert settings["debug"] is True
    assert settings["hosts"] == ["localhost", "127.0.0.1", "[::1]"]
    assert settings["database"] == str(ROOT / "db.sqlite3")
    assert settings["layer"] == {"BACKEND": "channels.layers.InMemoryChannelLayer"}


def test_the_environment_changes_the_settings():
    assert read_settings(
        DJANGO_DEBUG="0",
        DJANGO_SECRET_KEY="of my own",
        DJANGO_ALLOWED_HOSTS="chat.example.com, example.com",
        DATABASE_PATH="/data/chat.sqlite3",
        REDIS_URL="redis://redis.example.com",
    ) == {
        "debug": False,
        "key": "of my own",
        "hosts": ["chat.example.com", "example.com"],
        "database": "/data/chat.sqlite3",
        "layer": {
            "BACKEND": "django_fastws.layer.RedisChannelLayer",
            "CONFIG": {"hosts": ["redis://redis.example.com"]},
        },
    }


def test_the_pages_load_nothing_from_elsewhere():
    files = [
        path
        for path in (ROOT / "example_project").rglob("*")
        if path.suffix in (".html", ".js", ".css", ".svg") and path.is_file()
    ]
    assert len(files) > 10
    for path in files:
        text = path.read_text(encoding="utf-8").replace('xmlns="http://www.w3.org/2000/svg"', "")
        assert not re.search(r"https?://|@import|[\"'(]//", text), path


# ── The pages ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.server
@pytest.mark.parametrize(
    ("path", "title"),
    [("/", "Rooms"), ("/chat/Lobby/", "Lobby"), ("/news/", "News"), ("/login/", "Log in")],
)
def test_pages_render(example, path, title):
    with visitor(example) as client:
        page = client.get(path)
        assert page.status_code == 200
        assert f"<title>{title}</title>" in page.text
        for url in re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text):
            assert client.get(url).status_code == 200


@pytest.mark.server
def test_the_lobby_links_to_rooms_news_and_login(example):
    with visitor(example) as client:
        lobby = client.get("/").text
        links = re.findall(r'<a class="card room" href="([^"]+)"', lobby)
        assert len(links) > 4
        for link in links:
            assert client.get(html.unescape(link)).status_code == 200
        assert "/news/" in links
        assert 'href="/login/"' in lobby
        log_in(client)
        assert "Log out" in client.get("/").text


@pytest.mark.server
@pytest.mark.parametrize("name", ROOMS)
async def test_a_room_may_have_any_name(example, name):
    with visitor(example) as client:
        page = client.get("/", params={"room": name})  # as the form does
        assert page.status_code == 200
        assert page.url.path == f"/chat/{name}/"
    assert f">{html.escape(name)}</h1>" in page.text
    socket = re.search(r'data-socket="([^"]+)"', page.text)
    assert socket
    url = example.url(html.unescape(socket[1]))
    async with ws_connect(f"{url}?name=one") as one, ws_connect(chat_url(example, name, name="two")) as two:
        await welcomed(one)
        await welcomed(two)
        assert (await receive(one))["name"] == "two"


@pytest.mark.server
@pytest.mark.parametrize("name", ["", " ", ".", "..", "a/../b", "x" * 61, "a\tb", "a\u2028b"])
def test_an_impossible_room_is_explained(example, name):
    with visitor(example) as client:
        page = client.get("/", params={"room": name})
    assert page.url.path == "/"
    assert 'id="room-problem"' in page.text


@pytest.mark.server
def test_a_room_has_one_address(example):
    with visitor(example) as client:
        assert client.get(f"/chat/{quote('  café  ')}/").url.path == "/chat/café/"  # typed as e and an accent
        assert client.get(f"/chat/{'x' * 61}/").status_code == 404


@pytest.mark.server
def test_the_login_leads_back_into_the_room(example):
    with visitor(example) as client:
        page = client.get(f"/chat/{quote('100 %/?', safe='')}/")
        login = re.search(r'href="(/login/[^"]+)"', page.text)
        assert login
        form = client.get(html.unescape(login[1])).text
        target = re.search(r'name="next" value="([^"]*)"', form)
        assert target
        data = {"username": USER, "password": PASSWORD, "next": html.unescape(target[1])}
        answer = client.post("/login/", data={**data, "csrfmiddlewaretoken": csrf_token(form)})
        assert answer.url.path == page.url.path == "/chat/100 %/?/"


# ── The chat ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.server
async def test_a_room_says_who_comes_what_they_write_and_who_goes(example, room):
    async with ws_connect(chat_url(example, room, name="Ada")) as ada:
        assert await welcomed(ada) == {"type": "welcome", "name": "Ada", "signed_in": False}
        async with ws_connect(chat_url(example, room, name="Bob")) as bob:
            await welcomed(bob)
            joined = await receive(ada)
            assert (joined["type"], joined["name"]) == ("user_joined", "Bob")

            await bob.send(json.dumps({"id": "k1", "text": "  Grüße, <b>Ada</b>\n "}))
            for ws in (ada, bob):
                message = await receive(ws)
                assert datetime.fromisoformat(message.pop("at")).tzinfo is not None
                assert message == {
                    "type": "message",
                    "id": "k1",
                    "name": "Bob",
                    "signed_in": False,
                    "text": "Grüße, <b>Ada</b>",
                }
        left = await receive(ada)
        assert (left["type"], left["name"]) == ("user_left", "Bob")


@pytest.mark.server
async def test_a_room_says_who_was_cut_off(example, room):
    async with ws_connect(chat_url(example, room)) as ada:
        await welcomed(ada)
        async with ws_connect(chat_url(example, room, name="Bob")) as bob:
            await welcomed(bob)
            assert (await receive(ada))["type"] == "user_joined"
            bob.transport.abort()
            left = await receive(ada)
            assert (left["type"], left["name"]) == ("user_left", "Bob")


@pytest.mark.server
async def test_rooms_are_apart(example, room):
    async with ws_connect(chat_url(example, room)) as ada, ws_connect(chat_url(example, f"{room}/2")) as bob:
        for ws in (ada, bob):
            await welcomed(ws)
            await ws.send(json.dumps({"text": ws.id.hex}))
        for ws in (ada, bob):
            assert (await receive(ws))["text"] == ws.id.hex


BAD = [
    ("hello", None, "JSON"),
    ("", None, "JSON"),
    (b"\xff", None, "JSON"),
    ("[]", None, "JSON"),
    ('"text"', None, "JSON"),
    ("null", None, "JSON"),
    ("{}", None, "JSON"),
    ('{"text": 1}', None, "JSON"),
    ('{"text": null}', None, "JSON"),
    ('{"text": "\\ud800"}', None, "JSON"),
    ('{"text": ""}', None, "nothing"),
    ('{"text": " \\n", "id": "k"}', "k", "nothing"),
    (json.dumps({"text": "x" * 2001, "id": "k"}), "k", "2001 characters"),
    (json.dumps({"text": "x", "id": 1}), None, "64 characters"),
    (json.dumps({"text": "x", "id": "k" * 65}), None, "64 characters"),
]


@pytest.mark.server
@pytest.mark.parametrize(("sent", "key", "words"), BAD)
async def test_bad_input_is_explained_to_its_sender_alone(example, room, sent, key, words):
    async with ws_connect(chat_url(example, room)) as bob, ws_connect(chat_url(example, room)) as ada:
        await welcomed(bob)
        await welcomed(ada)
        assert (await receive(bob))["type"] == "user_joined"
        await ada.send(sent)
        error = await receive(ada)
        assert (error["type"], error["id"]) == ("error", key)
        assert words in error["message"]
        await ada.send(b'{"text": "and on it goes"}')
        assert (await receive(bob))["text"] == "and on it goes"


@pytest.mark.server
async def test_2000_characters_are_not_too_many(example, room):
    async with ws_connect(chat_url(example, room)) as ada:
        await welcomed(ada)
        await ada.send(json.dumps({"text": "ü" * 2000}))
        assert (await receive(ada))["text"] == "ü" * 2000


@pytest.mark.server
@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("Ada", "Ada"),
        ("  Ada \t Lovelace\n", "Ada Lovelace"),
        ("Ünï 👩‍🚀", "Ünï 👩‍🚀"),
        ("x" * 100, "x" * 40),
        ("", r"Guest-\w{4}"),
        (" ", r"Guest-\w{4}"),
    ],
)
async def test_a_typed_name_is_trimmed(example, room, typed, expected):
    async with ws_connect(chat_url(example, room, name=typed)) as ws:
        assert re.fullmatch(expected, (await welcomed(ws))["name"])


@pytest.mark.server
async def test_who_is_logged_in_has_the_name_of_the_account(example, room):
    with visitor(example) as client:
        log_in(client)
        cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    url = chat_url(example, room, name="Bob")
    async with ws_connect(url) as guest, ws_connect(url, additional_headers={"Cookie": cookie}) as ada:
        await welcomed(guest)
        assert await welcomed(ada) == {"type": "welcome", "name": USER, "signed_in": True}
        joined = await receive(guest)
        assert (joined["name"], joined["signed_in"]) == (USER, True)


# ── The news ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.server
async def test_what_the_form_announces_is_saved_and_pushed(example):
    text = 'The "kitchen" closes at 18:00 <b>sharp</b>'
    with visitor(example) as client:
        async with ws_connect(example.url("/ws/news?since=1000000")) as ws:
            page = announce(client, f"  {text} ")
            pushed = await receive(ws)
        assert (pushed["type"], pushed["text"], pushed["author"]) == ("announcement", text, "")
        assert page.url.path == "/news/"
        assert html.escape(text) in page.text
        assert f'data-id="{pushed["id"]}"' in page.text


@pytest.mark.server
async def test_a_page_that_was_away_is_told_what_it_missed(example):
    with visitor(example) as client:
        log_in(client)
        for text in ("one", "two", "three"):
            page = announce(client, text)
    ids = [int(pk) for pk in re.findall(r'data-id="(\d+)"', page.text)[:3]]
    async with ws_connect(example.url(f"/ws/news?since={ids[2]}")) as ws:
        missed = [await receive(ws), await receive(ws)]
    assert [(message["id"], message["text"], message["author"]) for message in missed] == [
        (ids[1], "two", USER),
        (ids[0], "three", USER),
    ]


@pytest.mark.server
def test_the_form_wants_a_token_and_a_text(example):
    with visitor(example) as client:
        token = csrf_token(client.get("/news/").text)
        assert client.get("/news/announce/").status_code == 405
        assert client.post("/news/announce/", data={"text": "no token"}).status_code == 403
        for text in ("", "  ", "x" * 501):
            page = client.post("/news/announce/", data={"csrfmiddlewaretoken": token, "text": text})
            assert page.status_code == 422
            assert 'class="problem" role="alert"' in page.text
        assert "no token" not in client.get("/news/").text


@pytest.mark.server
async def test_the_admin_broadcasts_what_is_new_and_again_what_is_old(example):
    with visitor(example) as client:
        log_in(client)
        add, changes = "/admin/news/announcement/add/", "/admin/news/announcement/"
        async with ws_connect(example.url("/ws/news?since=1000000")) as ws:
            token = csrf_token(client.get(add).text)
            client.post(add, data={"csrfmiddlewaretoken": token, "text": "from the admin"}).raise_for_status()
            new = await receive(ws)
            assert (new["text"], new["author"]) == ("from the admin", USER)
            assert "again" not in new

            data = {"action": "broadcast_again", "_selected_action": str(new["id"])}
            token = csrf_token(client.get(changes).text)
            page = client.post(changes, data={**data, "csrfmiddlewaretoken": token})
            assert "Broadcast again: 1." in page.text
            assert await receive(ws) == {**new, "again": True}


@pytest.mark.server
async def test_a_chat_called_news_is_not_the_news(example):
    async with (
        ws_connect(chat_url(example, "news")) as chat,
        ws_connect(example.url("/ws/news?since=1000000")) as news,
    ):
        await welcomed(chat)
        await chat.send(json.dumps({"text": "chat"}))
        with visitor(example) as client:
            announce(client, "announced")
        assert (await receive(news))["text"] == "announced"
        assert (await receive(chat))["text"] == "chat"
        await chat.send(json.dumps({"text": "nothing came between"}))
        assert (await receive(chat))["text"] == "nothing came between"


# ── manage.py runserver ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.server
async def test_runserver_serves_pages_static_files_and_websockets(database):
    port = free_port()
    command = [sys.executable, "manage.py", "runserver", "--noreload", f"{HOST}:{port}"]
    with Process(command, port, environment(database)) as server:
        with httpx2.Client(base_url=f"http://{HOST}:{port}", trust_env=False) as client:
            assert "<title>Rooms</title>" in client.get("/").text
            script = client.get("/static/chat/room.js")
            assert script.status_code == 200
            assert "javascript" in script.headers["content-type"]
            assert client.get("/static/admin/css/base.css").status_code == 200
        async with ws_connect(f"ws://{HOST}:{port}/ws/chat/lobby?name=Ada") as ws:
            assert (await welcomed(ws))["name"] == "Ada"
        assert "Starting ASGI/Daphne" in server.log()
        assert "Traceback" not in server.log()
