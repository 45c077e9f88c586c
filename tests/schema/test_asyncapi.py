"""AsyncAPI document of live rooms and routes."""

import json

import pytest

from django_fastws import FastWS
from django_fastws.schema import asyncapi, describe
from tests.schema.conftest import INFO
from tests.support import node
from tests.support.processes import ROOT


def parsed(*documents):
    """What AsyncAPI's own parser finds wrong with each; to load it takes far longer than to parse."""
    done = node.run("asyncapi.js", cwd=ROOT / "tests" / "js", text=json.dumps(documents))
    assert done.returncode == 0, done.stderr
    for told in json.loads(done.stdout):
        problems = [problem for problem in told["problems"] if problem["code"] != "asyncapi-latest-version"]
        yield told["isValid"], problems


@pytest.mark.npm
@pytest.mark.slow
def test_its_own_parser_finds_no_fault_with_or_without_rooms_and_would_find_what_is_missing(document, routes):
    incomplete = json.loads(json.dumps(document))
    del incomplete["components"]["schemas"]["Said"]
    routes.apps = []
    routes.changed()
    FastWS().websocket("/")(_echo)
    without_rooms = asyncapi(describe([]), routes.routes, INFO)
    found, found_without_rooms, (is_incomplete_valid, _) = parsed(document, without_rooms, incomplete)
    assert found == found_without_rooms == (True, [])
    assert not is_incomplete_valid


async def _echo(ws): ...


def test_a_route_is_a_channel_of_its_own(document):
    channel = document["channels"]["socket.echo"]
    assert channel["address"] == "/ws/echo/{room}"
    assert channel["servers"] == [{"$ref": "#/servers/sockets"}]
    assert channel["tags"] == [{"name": "raw"}]


def test_rooms_that_are_not_served_are_left_out(described):
    document = asyncapi(described, [], INFO._replace(live_path=None))
    assert document["channels"] == {}


def test_schemas_are_those_of_draft_7(document):
    move = document["components"]["schemas"]["Move"]["properties"]["steps"]
    assert [one["type"] for one in move["items"]] == ["integer", "string"]
    assert document["components"]["schemas"]["Pet-Input"]["discriminator"] == "kind"
    assert "prefixItems" not in json.dumps(document)
    assert "$defs" not in json.dumps(document)
