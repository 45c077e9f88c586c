"""manage.py ws_schema."""

import io
import json

import pytest
from django.core.management import CommandError, call_command

from django_fastws import FastWS, RouteError
from django_fastws.routing.routes import Problem

FORMATS = ("asyncapi", "typescript", "jsonschema")


@pytest.fixture
def rooms(routes):
    app = FastWS(prefix="/ws")
    tickets = app.room("tickets/{pk:int}")

    @tickets.on("say")
    async def say(ws, text: str) -> int:
        return 1

    @app.websocket("/echo")
    async def echo(ws): ...

    return routes


def written(*arguments):
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command("ws_schema", *arguments, stdout=out, stderr=err, no_color=True)
    finally:
        written.errors = err.getvalue()
    return out.getvalue()


def test_typescript_declares_the_rooms_for_the_client(rooms):
    text = written("--format", "typescript")
    assert 'declare module "./fastws.js"' in text
    assert "name: `tickets/${number}`;" in text
    assert 'declare module "fastws"' in written("--format", "typescript", "--module", "fastws")


def test_json_schema_is_a_document(rooms):
    document = json.loads(written("--format", "jsonschema"))
    assert document["rooms"]["tickets/{pk:int}"]["calls"]["say"]["answer"] == {"type": "integer"}


def test_asyncapi_has_the_rooms_and_the_sockets(rooms):
    document = json.loads(written("--format", "asyncapi"))
    assert document["asyncapi"] == "3.0.0"
    assert set(document["channels"]) == {"connection", "tickets", "socket.echo"}
    assert document["info"] == {"title": "tests", "version": "0.0.0"}
    assert document["servers"]["live"]["host"] == "localhost:8000"


def test_the_head_of_asyncapi_is_as_told(rooms):
    options = ("--title", "Desk", "--api-version", "2.0", "--server", "wss://example.org/")
    document = json.loads(written("--format", "asyncapi", *options))
    assert document["info"] == {"title": "Desk", "version": "2.0"}
    assert (document["servers"]["live"]["host"], document["servers"]["live"]["protocol"]) == ("example.org", "wss")
    with pytest.raises(CommandError, match="wss://"):
        written("--format", "asyncapi", "--server", "example.org")


@pytest.mark.parametrize("format_", FORMATS)
def test_the_same_rooms_make_the_same_text(rooms, format_):
    assert written("--format", format_) == written("--format", format_)


@pytest.mark.parametrize("format_", FORMATS)
def test_a_file_is_written_and_is_up_to_date_until_a_room_changes(rooms, tmp_path, format_):
    path = tmp_path / "schema"
    assert written("--format", format_, "-o", str(path)) == ""
    assert path.read_text() == written("--format", format_)
    assert written("--format", format_, "-o", str(path), "--check") == ""

    FastWS().room("another")
    with pytest.raises(CommandError) as caught:
        written("--format", format_, "-o", str(path), "--check")
    assert caught.value.returncode == 1
    assert str(path) in str(caught.value)
    assert f"ws_schema --format {format_} -o {path}" in str(caught.value)
    assert "another" in written.errors
    assert "another" not in path.read_text()


def test_a_file_that_is_not_there_is_said_and_not_made(rooms, tmp_path):
    path = tmp_path / "rooms.d.ts"
    with pytest.raises(CommandError, match="not there"):
        written("--format", "typescript", "-o", str(path), "--check")
    assert not path.exists()


def test_a_file_that_cannot_be_written_is_said(rooms, tmp_path):
    path = tmp_path / "nowhere" / "rooms.d.ts"
    with pytest.raises(CommandError, match=r"rooms\.d\.ts cannot be written: No such file"):
        written("--format", "typescript", "-o", str(path))


def test_a_check_needs_a_file(rooms):
    with pytest.raises(CommandError, match="-o FILE"):
        written("--format", "typescript", "--check")


def test_a_long_difference_is_cut(routes, tmp_path):
    path = tmp_path / "schema"
    path.write_text("")
    app = FastWS()
    for number in range(30):
        app.room(f"room/{number}")
    with pytest.raises(CommandError):
        written("--format", "jsonschema", "-o", str(path), "--check")
    assert len(written.errors.splitlines()) == 41
    assert "more lines" in written.errors


def test_rooms_of_a_module_that_was_not_loaded_are_not_left_out_in_silence(rooms):
    rooms.problems.append(Problem("shop.consumers", RouteError("what is wrong")))
    with pytest.raises(CommandError, match=r"shop\.consumers was not loaded.*what is wrong"):
        written("--format", "typescript")
