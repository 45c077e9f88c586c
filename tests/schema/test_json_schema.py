"""JSON Schema document of live rooms."""

import json

import pytest

from django_fastws.schema import json_schema
from tests.support import node
from tests.support.processes import ROOT


def test_it_has_the_rooms_by_pattern_with_shared_definitions(described):
    document = json_schema(described)
    tickets = document["rooms"]["tickets/{pk:int}"]
    assert tickets["parameters"]["pk"]["type"] == "integer"
    assert tickets["state"] == {"type": "array", "items": {"$ref": "#/$defs/Said"}}
    assert tickets["events"]["said"] == {"$ref": "#/$defs/Said"}
    assert tickets["calls"]["say"]["answer"] == {"type": "integer"}
    assert tickets["calls"]["say"]["description"].startswith("Say something")
    assert tickets["calls"]["history"]["item"] == {"$ref": "#/$defs/Said"}
    assert tickets["history"] == {"messages": 500, "seconds": 3600, "bytes": 10_000}
    assert {"state", "history", "latest", "value", "presence", "meta"}.isdisjoint(document["rooms"]["chat/{room}"])


def test_a_keyed_room_has_a_schema_of_its_values(described):
    rooms = json_schema(described)["rooms"]
    prices, cursors = rooms["prices/{market}"], rooms["cursors"]
    assert prices["latest"] == {"rate": "5/s", "seconds": 60}
    assert prices["value"] == {"$ref": "#/$defs/Price"}
    assert prices["state"] == {"type": "object", "additionalProperties": {"$ref": "#/$defs/Price"}}
    assert list(prices["events"]) == ["watching"]
    assert (cursors["latest"], cursors["value"]) == ({"rate": None, "seconds": 3600}, {})
    assert rooms["pets"]["value"] == {"anyOf": [{"$ref": "#/$defs/Price"}, {"$ref": "#/$defs/Said"}]}


def test_a_room_with_presence_has_a_schema_of_its_cards(described):
    rooms = json_schema(described)["rooms"]
    assert rooms["tickets/{pk:int}"]["presence"] == {"counts_only": False}
    assert rooms["tickets/{pk:int}"]["meta"] == {"anyOf": [{"$ref": "#/$defs/Member"}, {"type": "null"}]}
    assert rooms["board/{pk:int}"]["meta"] == {}
    assert rooms["hall/{name}"]["presence"] == {"counts_only": True}
    assert "meta" not in rooms["hall/{name}"]


def references(value):
    if isinstance(value, dict):
        yield from (one for key, one in value.items() if key == "$ref")
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from references(inner)


def test_every_reference_is_defined_and_every_definition_is_referred_to(described):
    document = json_schema(described)
    names = {reference.removeprefix("#/$defs/") for reference in references(document)}
    assert names == set(document["$defs"])


@pytest.mark.npm
@pytest.mark.slow
def test_a_validator_of_others_reads_it(described):
    say = json_schema(described)["rooms"]["tickets/{pk:int}"]["calls"]["say"]["data"]
    values = [{"text": "hello"}, {"text": 1}, {"text": "x", "priority": "none"}, {}]
    given = {"document": json_schema(described), "schema": say, "values": values}
    done = node.run("schemas.js", cwd=ROOT / "tests" / "js", text=json.dumps(given))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [True, False, False, False]
