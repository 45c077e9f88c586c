"""The example project, without a browser."""

from __future__ import annotations

import asyncio
import html
import json
import os
import re
import subprocess
import sys
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx2
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as ws_connect

from tests.support import interpreter
from tests.support.example import PASSWORD, USER, daphne, environment, make_database, manage
from tests.support.processes import HOST, ROOT, ASGIServer, Process, free_port

ROOMS = ["Lobby", "größe", "日本語", "مقهى", "a/b", "/a", "a/", "a//b", "100 %", "100%25", "?a=b&c#d", "'\"<b>\\;+ x"]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_database(tmp_path_factory)


@pytest.fixture(scope="module")
def example(database: Path) -> Iterator[ASGIServer]:
    """The example on daphne, without Redis. Every test has a room of its own in it."""
    with daphne(database) as server:
        yield server
        assert "Traceback" not in server.log()
        assert "Warning" not in server.log()


@pytest.fixture
def room() -> str:
    return f"{uuid4().hex} über"


@contextmanager
def visitor(server: ASGIServer) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=server.http_url("/"), follow_redirects=True, trust_env=False, timeout=60) as client:
        yield client


class Member:
    """A live socket in one room, and what it has heard there."""

    def __init__(self, ws: ClientConnection, room: str) -> None:
        self.ws = ws
        self.room = room
        self.heard: deque[dict[str, Any]] = deque()
        self.ids = count(1)

    async def receive(self) -> dict[str, Any]:
        frame = json.loads(await asyncio.wait_for(self.ws.recv(), 30))
        assert isinstance(frame, dict)
        return frame

    async def answer(self, **frame: Any) -> dict[str, Any]:
        """Send a frame, and wait for what answers it."""
        number = next(self.ids)
        await self.ws.send(json.dumps({**frame, "id": number}))
        while (answer := await self.receive()).get("id") != number:
            self.heard.append(answer)
        return answer

    async def join(self) -> Any:
        """Join the room; returns its state."""
        return (await self.answer(join=self.room))["ok"].get("state")

    async def call(self, event: str, **data: Any) -> Any:
        """Call a handler; returns the answer, or the error."""
        answer = await self.answer(room=self.room, event=event, data=data)
        return answer.get("ok", answer.get("error"))

    async def next(self) -> tuple[str, Any]:
        """The next event of the room, with its data."""
        frame = self.heard.popleft() if self.heard else await self.receive()
        assert frame["room"] == self.room
        return frame["event"], frame["data"]


@asynccontextmanager
async def member(
    server: ASGIServer, room: str, name: str | None = None, *, log_in_first: bool = False
) -> AsyncIterator[Member]:
    """Somebody who has opened a page, said a name if there is one, and is in the room."""
    with visitor(server) as client:
        token = csrf_token(client.get("/chat/Lobby/").text if not log_in_first else client.get("/login/").text)
        if log_in_first:
            log_in(client)
        elif name is not None:
            client.post("/name/", data={"csrfmiddlewaretoken": token, "name": name})
        cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    async with ws_connect(server.url("/ws/live"), additional_headers={"Cookie": cookie}) as ws:
        yield Member(ws, room)


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


@pytest.mark.parametrize(
    ("command", "says"), [(["ws_routes"], "/ws/live"), (["ws_schema", "--format", "typescript"], "chat/")]
)
def test_commands_run_in_a_new_python(tmp_path, command, says):
    """As users run them; tests of what they do are forked, or call them."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "manage.py", *command],
        cwd=ROOT,
        env={**os.environ, **environment(tmp_path / "db.sqlite3")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert says in done.stdout


def test_the_tests_of_the_example_pass(tmp_path):
    output = manage("test", "example_project", variables=environment(tmp_path / "db.sqlite3"))
    assert re.search(r"Ran 1\d tests in .*\n\nOK$", output, re.MULTILINE), output


def read_settings(**variables: str) -> dict[str, Any]:
    names = ["DATABASE_PATH", "DJANGO_ALLOWED_HOSTS", "DJANGO_DEBUG", "DJANGO_SECRET_KEY", "REDIS_URL"]
    inherited = {name: value for name, value in os.environ.items() if name not in names}
    program = (
        "import json; from example_project import settings as s; "
        "print(json.dumps([s.DEBUG, s.SECRET_KEY, s.ALLOWED_HOSTS, str(s.DATABASES['default']['NAME']), "
        "s.CHANNEL_LAYERS['default']]))"
    )
    done = interpreter.run(["-c", program], {**inherited, **variables})
    assert done.returncode == 0, done.stderr
    return dict(zip(("debug", "key", "hosts", "database", "layer"), json.loads(done.stdout), strict=True))


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
    [
        ("/", "Live rooms"),
        ("/people/", "Who are you?"),
        ("/desk/", "Who are you?"),
        ("/board/", "Board"),
        ("/chat/", "Chat"),
        ("/chat/Lobby/", "Lobby"),
        ("/tables/", "Tables"),
        ("/news/", "News"),
        ("/market/", "Market"),
        ("/login/", "Log in"),
        ("/code/desk/", "example_project/desk/consumers.py"),
        ("/live/", "Live rooms · example_project"),
    ],
)
def test_pages_render(example, path, title):
    with visitor(example) as client:
        page = client.get(path)
        assert page.status_code == 200
        assert f"<title>{title}</title>" in page.text
        for url in re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text):
            assert client.get(url).status_code == 200


@pytest.mark.server
def test_the_index_links_to_the_pages_and_the_lobby_to_rooms(example):
    with visitor(example) as client:
        for page, kind, some in (("/", "showcase", {"/desk/", "/market/", "/board/"}), ("/chat/", "room", set())):
            text = client.get(page).text
            links = re.findall(rf'<a class="card {kind}" href="([^"]+)"', text)
            assert len(links) > 4
            assert some <= set(links)
            for link in links:
                assert client.get(html.unescape(link)).status_code == 200
            assert 'href="/people/?next=' in text
        log_in(client)
        assert "Log out" in client.get("/").text


@pytest.mark.server
@pytest.mark.parametrize("app", ["desk", "market", "board", "chat", "tables", "news"])
def test_a_page_links_to_its_code_its_rooms_and_its_documentation(example, app):
    with visitor(example) as client:
        log_in(client)
        text = client.get(f"/{app}/").text
        code = re.findall(rf'href="(/code/{app}/[^"]*)"', text)
        assert "docs/" in code[1]
        for link in code:
            page = client.get(link)
            assert page.status_code == 200
            assert "<pre" in page.text
        assert html.escape((ROOT / "example_project" / app / "consumers.py").read_text()) in client.get(code[0]).text
        rooms = re.findall(r'href="/live/#([^"]+)"', text)
        assert rooms
        docs = client.get("/live/").text
        for room in rooms:
            assert f'id="{room}"' in docs


@pytest.mark.server
@pytest.mark.parametrize(
    "path", ["desk/example_project/settings.py", "desk/manage.py", "desk/../../../etc/passwd", "desk/x", "nothing/"]
)
def test_no_other_file_is_shown(example, path):
    with visitor(example) as client:
        assert client.get(f"/code/{quote(path)}").status_code == 404


@pytest.mark.server
def test_one_click_makes_somebody_of_a_visitor(example):
    with visitor(example) as client:
        page = client.get("/desk/")
        assert str(page.url).endswith("/people/?next=/desk/")
        token = csrf_token(page.text)
        page = client.post("/people/Iris/", data={"csrfmiddlewaretoken": token, "next": "/desk/"})
        assert page.url.path == "/desk/"
        assert "<bdi>Iris</bdi>" in page.text
        token = csrf_token(page.text)
        assert client.post("/people/root/", data={"csrfmiddlewaretoken": token}).status_code == 404
        data = {"csrfmiddlewaretoken": token, "next": "https://elsewhere.example/"}
        assert client.post("/people/Maya/", data=data).url.path == "/"
        assert client.get("/people/Maya/").status_code == 405


@pytest.mark.server
def test_without_debug_nobody_is_logged_in_by_a_click(database):
    server = daphne(database)
    server.environment["DJANGO_DEBUG"] = "0"
    with server, visitor(server) as client:
        page = client.get("/desk/")
        assert page.url.path == "/login/"
        assert 'name="next" value="/desk/"' in page.text
        token = csrf_token(page.text)
        assert client.post("/people/Iris/", data={"csrfmiddlewaretoken": token}).status_code == 404


@pytest.mark.server
@pytest.mark.parametrize("name", ROOMS)
async def test_a_room_may_have_any_name(example, name):
    with visitor(example) as client:
        page = client.get("/chat/", params={"room": name})  # as the form does
        assert page.status_code == 200
        assert page.url.path == f"/chat/{name}/"
    assert f">{html.escape(name)}</h1>" in page.text
    room = html.unescape(re.findall(r'data-live-room="([^"]+)"', page.text)[0])
    assert room == f"chat/{name}"
    async with member(example, room) as one, member(example, room, "Bob") as two:
        assert await one.join() == await two.join() == []
        event, data = await one.next()
        assert (event, data["name"]) == ("came", "Bob")


@pytest.mark.server
@pytest.mark.parametrize("name", ["", " ", ".", "..", "a/../b", "x" * 61, "a\tb", "a\u2028b"])
def test_an_impossible_room_is_explained(example, name):
    with visitor(example) as client:
        page = client.get("/chat/", params={"room": name})
    assert page.url.path == "/chat/"
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
    async with member(example, f"chat/{room}", "Ada") as ada:
        assert await ada.join() == []
        async with member(example, f"chat/{room}", "Bob") as bob:
            await bob.join()
            event, data = await ada.next()
            assert (event, data["name"]) == ("came", "Bob")

            number = await bob.call("say", text="  Grüße, <b>Ada</b>\n ")
            for one in (ada, bob):
                event, data = await one.next()
                assert event == "said"
                assert datetime.fromisoformat(data.pop("at")).tzinfo is not None
                assert re.fullmatch(r"[0-9a-f]{16}", data.pop("key"))
                assert data == {"id": number, "name": "Bob", "is_signed_in": False, "text": "Grüße, <b>Ada</b>"}
        event, data = await ada.next()
        assert (event, data["name"]) == ("went", "Bob")


@pytest.mark.server
async def test_a_room_says_who_was_cut_off(example, room):
    async with member(example, f"chat/{room}") as ada:
        await ada.join()
        async with member(example, f"chat/{room}", "Bob") as bob:
            await bob.join()
            assert (await ada.next())[0] == "came"
            bob.ws.transport.abort()
            event, data = await ada.next()
            assert (event, data["name"]) == ("went", "Bob")


@pytest.mark.server
async def test_who_comes_later_gets_what_was_said_last(example, room):
    async with member(example, f"chat/{room}") as ada, member(example, f"chat/{room}/2") as elsewhere:
        assert await ada.join() == await elsewhere.join() == []
        for number in range(3):
            await ada.call("say", text=f"line {number}")
        async with member(example, f"chat/{room}") as bob:
            assert [message["text"] for message in await bob.join()] == ["line 0", "line 1", "line 2"]
        assert await elsewhere.join() == []


BAD: list[tuple[dict[str, Any], list[str]]] = [
    ({}, ["text"]),
    ({"text": 1}, ["text"]),
    ({"text": None}, ["text"]),
    ({"text": ""}, ["text"]),
    ({"text": " \n"}, ["text"]),
    ({"text": "x" * 2001}, ["text"]),
]


@pytest.mark.server
@pytest.mark.parametrize(("data", "fields"), BAD)
async def test_a_message_that_does_not_fit_is_explained_to_its_sender_alone(example, room, data, fields):
    async with member(example, f"chat/{room}") as bob, member(example, f"chat/{room}") as ada:
        await bob.join()
        await ada.join()
        assert (await bob.next())[0] == "came"
        error = await ada.call("say", **data)
        assert (error["code"], list(error["fields"])) == ("invalid", fields)
        await ada.call("say", text="ü" * 2000)
        assert (await bob.next())[1]["text"] == "ü" * 2000


@pytest.mark.server
@pytest.mark.parametrize("name", [".", "a/../b", "x" * 61, " a", "cafe\u0301"])
async def test_what_is_no_room_cannot_be_joined(example, name):
    async with member(example, f"chat/{name}") as ada:
        assert (await ada.answer(join=ada.room))["error"]["code"] == "not_found"


@pytest.mark.server
@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("Ada", "Ada"),
        ("  Ada \t Lovelace\n", "Ada Lovelace"),
        ("Ünï 👩‍🚀", "Ünï 👩‍🚀"),
        ("x" * 40, "x" * 40),
        ("x" * 41, r"Guest-\w{4}"),
        ("", r"Guest-\w{4}"),
        (" ", r"Guest-\w{4}"),
        (None, r"Guest-\w{4}"),
    ],
)
async def test_a_typed_name_is_trimmed(example, room, typed, expected):
    async with member(example, f"chat/{room}", typed) as ada:
        await ada.join()
        await ada.call("say", text="hello")
        assert re.fullmatch(expected, (await ada.next())[1]["name"])


@pytest.mark.server
async def test_who_is_logged_in_has_the_name_of_the_account(example, room):
    async with member(example, f"chat/{room}", "Bob") as bob:
        await bob.join()
        async with member(example, f"chat/{room}", log_in_first=True) as ada:
            await ada.join()
            assert (await bob.next())[1]["name"] == USER
            await ada.call("say", text="hello")
            said = (await bob.next())[1]
            assert (said["name"], said["is_signed_in"]) == (USER, True)


@pytest.mark.server
def test_a_name_leads_back_to_the_page_and_nowhere_else(example):
    with visitor(example) as client:
        token = csrf_token(client.get("/chat/Lobby/").text)
        data = {"csrfmiddlewaretoken": token, "name": "Ada"}
        page = client.post("/name/", data={**data, "next": "/chat/Lobby/"})
        assert page.url.path == "/chat/Lobby/"
        assert '<bdi id="name">Ada</bdi>' in page.text
        assert client.post("/name/", data={**data, "next": "https://elsewhere.example/"}).url.path == "/"


# ── The tables ──────────────────────────────────────────────────────────────────────────────────────────────────────

WISH = {"time": "18:00", "table": 3, "guests": 4, "name": "Ada"}


@pytest.mark.server
async def test_a_table_is_booked_once_and_cancelled_by_who_has_it(example):
    async with member(example, "tables", "Ada") as ada, member(example, "tables", "Bob") as bob:
        assert await ada.join() == await bob.join() == []
        assert await ada.call("book", **WISH) == "Table 3 is yours at 18:00, Ada."
        event, booking = await bob.next()
        assert (event, booking["time"], booking["table"]) == ("booked", "18:00", 3)
        assert "name" not in booking
        error = await bob.call("book", **WISH)
        assert (error["code"], error["fields"]) == ("invalid", {"table": ["Table 3 is taken at 18:00."]})
        assert await bob.join() == [booking]

        assert (await bob.call("cancel", id=booking["id"]))["code"] == "forbidden"
        assert await ada.call("cancel", id=booking["id"]) is None
        assert (await ada.call("cancel", id=booking["id"]))["code"] == "not_found"
        assert await bob.next() == ("cancelled", {"id": booking["id"]})


@pytest.mark.server
@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"time": "18:15"}, {"time"}),
        ({"table": 7, "guests": 0}, {"table", "guests"}),
        ({"table": 1}, {"guests"}),  # which has two seats
        ({"guests": "four"}, {"guests"}),
        ({"name": " A "}, {"name"}),
    ],
)
async def test_each_problem_of_a_wish_has_its_field(example, changes, fields):
    async with member(example, "tables") as ada:
        await ada.join()
        error = await ada.call("book", **{**WISH, **changes})
        assert (error["code"], error["fields"].keys()) == ("invalid", fields)


# ── The news ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.server
async def test_what_the_form_announces_is_saved_and_pushed(example):
    text = 'The "kitchen" closes at 18:00 <b>sharp</b>'
    with visitor(example) as client:
        async with member(example, "news") as reader:
            await reader.join()
            page = announce(client, f"  {text} ")
            event, pushed = await reader.next()
        assert (event, pushed["text"], pushed["author"]) == ("announced", text, "")
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
    async with member(example, "news") as reader:
        newest = (await reader.join())[:3]
    expected = list(zip(ids, ("three", "two", "one"), [USER] * 3, strict=True))
    assert [(message["id"], message["text"], message["author"]) for message in newest] == expected


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
        async with member(example, "news") as reader:
            await reader.join()
            token = csrf_token(client.get(add).text)
            client.post(add, data={"csrfmiddlewaretoken": token, "text": "from the admin"}).raise_for_status()
            _, new = await reader.next()
            assert (new["text"], new["author"]) == ("from the admin", USER)
            assert not new["again"]

            data = {"action": "broadcast_again", "_selected_action": str(new["id"])}
            token = csrf_token(client.get(changes).text)
            page = client.post(changes, data={**data, "csrfmiddlewaretoken": token})
            assert "Broadcast again: 1." in page.text
            assert await reader.next() == ("announced", {**new, "again": True})


@pytest.mark.server
async def test_a_chat_called_news_is_not_the_news(example):
    async with member(example, "chat/news") as chat, member(example, "news") as news:
        await chat.join()
        await news.join()
        await chat.call("say", text="chat")
        with visitor(example) as client:
            announce(client, "announced")
        await chat.call("say", text="nothing came between")
        assert (await news.next())[1]["text"] == "announced"
        assert [(await chat.next())[1]["text"] for _ in range(2)] == ["chat", "nothing came between"]


# ── manage.py runserver ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.server
async def test_runserver_serves_pages_static_files_and_websockets(database):
    port = free_port()
    command = [sys.executable, "manage.py", "runserver", "--noreload", f"{HOST}:{port}"]
    with Process(command, port, environment(database)) as server:
        with httpx2.Client(base_url=f"http://{HOST}:{port}", trust_env=False, timeout=60) as client:
            assert "<title>Live rooms</title>" in client.get("/").text
            script = client.get("/static/chat/room.js")
            assert script.status_code == 200
            assert "javascript" in script.headers["content-type"]
            assert client.get("/static/admin/css/base.css").status_code == 200
        async with ws_connect(f"ws://{HOST}:{port}/ws/live") as ws:
            assert await Member(ws, "chat/Lobby").join() == []
        assert "Starting ASGI/Daphne" in server.log()
        assert "Traceback" not in server.log()
