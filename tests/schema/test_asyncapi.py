"""AsyncAPI document of live rooms and routes."""

import json

import pytest

from django_fastws import FastWS
from django_fastws.live import live_rooms
from django_fastws.schema import Info, asyncapi, describe
from tests.support import node
from tests.support.processes import ROOT

INFO = Info("desk", "1.2.3", "example.org", is_secure=True)


@pytest.fixture
def document(described):
    app = FastWS(prefix="/ws", tags=["raw"])

    @app.websocket("/echo/{room}")
    async def echo(ws, room): ...

    @app.websocket("/größe/{größe:int}", name="größe")
    async def size(ws, größe): ...

    return asyncapi(described, app.routes, INFO)


def parsed(document):
    """What AsyncAPI's own parser finds wrong."""
    done = node.run("asyncapi.js", cwd=ROOT / "tests" / "js", text=json.dumps(document))
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    problems = [problem for problem in told["problems"] if problem["code"] != "asyncapi-latest-version"]
    return told["isValid"], problems


@pytest.mark.npm
@pytest.mark.slow
def test_its_own_parser_finds_no_fault(document):
    assert parsed(document) == (True, [])


@pytest.mark.npm
@pytest.mark.slow
def test_its_parser_would_find_what_is_missing(document):
    del document["components"]["schemas"]["Said"]
    assert not parsed(document)[0]


@pytest.mark.npm
@pytest.mark.slow
def test_a_project_without_rooms_is_valid_too(routes):
    FastWS().websocket("/")(_echo)
    assert parsed(asyncapi(describe([]), routes.routes, INFO)) == (True, [])


async def _echo(ws): ...


def at(document, reference):
    found = document
    for step in reference["$ref"].removeprefix("#/").split("/"):
        found = found[step]
    return at(document, found) if "$ref" in found else found


def test_a_call_is_a_request_with_a_reply(document):
    say = document["operations"]["tickets.say"]
    assert say["action"] == "receive"
    (message,) = (at(document, one) for one in say["messages"])
    assert message["summary"] == "Say something to all."
    assert message["description"] == "The answer is its number."
    assert message["correlationId"] == {"location": "$message.payload#/id"}
    assert message["payload"]["properties"]["room"]["pattern"] == "^tickets/(?:[0-9]+)$"
    answer, error = (at(document, one) for one in say["reply"]["messages"])
    assert answer["payload"]["properties"]["ok"] == {"type": "integer"}
    assert error["payload"]["properties"]["error"] == {"$ref": "#/components/schemas/fastws.Error"}


def test_a_stream_is_answered_with_items_and_an_end(document):
    names = [at(document, one)["name"] for one in document["operations"]["tickets.history"]["reply"]["messages"]]
    assert names == ["history.item", "history.end", "error"]


def test_events_are_sent(document):
    said = document["operations"]["tickets.said"]
    assert said["action"] == "send"
    (message,) = (at(document, one) for one in said["messages"])
    assert message["payload"]["properties"]["data"] == {"$ref": "#/components/schemas/Said"}
    typing = at(document, document["operations"]["tickets.typing.relayed"]["messages"][0])
    assert "from" in typing["payload"]["properties"]


def test_a_join_is_answered_with_the_state(document):
    joined = at(document, document["operations"]["tickets.join"]["reply"]["messages"][0])
    assert joined["payload"]["properties"]["ok"]["properties"]["state"]["type"] == "array"
    assert joined["summary"] == "What was said, oldest first."


def test_a_channel_is_a_room_with_its_parameters_and_rules(document):
    channel = document["channels"]["tickets"]
    assert channel["address"] == "tickets/{pk}"
    assert "int" in channel["parameters"]["pk"]["description"]
    assert channel["description"] == "To join: login required, permission desk.read."
    assert channel["tags"] == [{"name": "desk"}]
    assert document["servers"]["live"]["pathname"] == "/ws/live"
    assert document["servers"]["live"]["protocol"] == "wss"


def test_a_route_is_a_channel_of_its_own(document):
    channel = document["channels"]["socket.echo"]
    assert channel["address"] == "/ws/echo/{room}"
    assert channel["servers"] == [{"$ref": "#/servers/sockets"}]
    assert channel["tags"] == [{"name": "raw"}]


def test_names_that_cannot_be_keys_are_changed_and_stay_apart(routes):
    room = FastWS().room("a")
    for event in ("ö", "ä", "a b", "a-b", "join"):
        room.on(event)(_handler())
    document = asyncapi(describe(live_rooms()), [], INFO)
    assert {"x", "x-2", "a-b", "a-b-2", "join-2"} <= set(document["channels"]["a"]["messages"])
    names = [message.get("name") for message in document["channels"]["a"]["messages"].values()]
    assert {"ö", "ä", "a b", "a-b", "join"} <= set(names)


def _handler():
    async def handle(ws): ...

    return handle


def test_rooms_that_are_not_served_are_left_out(described):
    document = asyncapi(described, [], INFO._replace(live_path=None))
    assert document["channels"] == {}


def test_schemas_are_those_of_draft_7(document):
    move = document["components"]["schemas"]["Move"]["properties"]["steps"]
    assert [one["type"] for one in move["items"]] == ["integer", "string"]
    assert document["components"]["schemas"]["Pet-Input"]["discriminator"] == "kind"
    assert "prefixItems" not in json.dumps(document)
    assert "$defs" not in json.dumps(document)
