"""Channels of the AsyncAPI document."""

import json

from django_fastws import FastWS
from django_fastws.live import live_rooms
from django_fastws.schema import asyncapi, describe
from tests.schema.conftest import INFO


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


def test_the_connection_has_a_channel_of_its_own(document):
    actions = {name: one["action"] for name, one in document["operations"].items() if name.startswith("connection.")}
    assert actions == {
        "connection.hello": "receive",
        "connection.cancel": "receive",
        "connection.ping": "send",
        "connection.event": "send",
        "connection.ask": "send",
    }
    assert document["channels"]["connection"]["address"] is None
    (answer,) = document["operations"]["connection.ask"]["reply"]["messages"]
    assert at(document, answer)["name"] == "ask.answer"


def test_events_are_sent(document):
    said = document["operations"]["tickets.said"]
    assert said["action"] == "send"
    (message,) = (at(document, one) for one in said["messages"])
    assert message["payload"]["properties"]["data"] == {"$ref": "#/components/schemas/Said"}
    typing = at(document, document["operations"]["tickets.typing.relayed"]["messages"][0])
    assert "from" in typing["payload"]["properties"]


def test_a_join_is_answered_with_the_state(document):
    joined = at(document, document["operations"]["tickets.join"]["reply"]["messages"][0])
    resumed, began = joined["payload"]["properties"]["ok"]["oneOf"]
    assert "state" not in resumed["properties"]
    assert began["properties"]["state"]["type"] == "array"
    assert joined["summary"] == "What was said, oldest first."


def test_a_room_with_history_has_positions(document):
    def message(name):
        return at(document, document["operations"][name]["messages"][0])["payload"]

    assert "since" in message("tickets.join")["properties"]
    assert "at" in message("tickets.said")["properties"]
    assert "at" not in message("tickets.typing.relayed")["properties"]
    assert set(message("tickets.position")["properties"]) == {"room", "at"}
    assert set(message("tickets.lost")["properties"]) == {"room", "at", "state"}
    (bare,) = (
        name.removesuffix(".lost") for name in document["operations"] if name.endswith(".lost") and "chat" in name
    )
    assert set(message(f"{bare}.lost")["properties"]) == {"room", "at", "recovered"}


def test_a_room_without_history_has_none(routes):
    FastWS().room("zoo")
    document = asyncapi(describe(live_rooms()), [], INFO)
    assert "fastws.Position" not in document["components"]["schemas"]
    assert "since" not in str(document)
    assert {"zoo.position", "zoo.lost"}.isdisjoint(document["operations"])
    assert '"at"' not in json.dumps(document)


def test_a_keyed_room_has_values_and_removals(document):
    def message(name):
        return at(document, document["operations"][name]["messages"][0])["payload"]

    value = message("prices.value")
    assert set(value["properties"]) == {"room", "key", "data"}
    assert value["properties"]["data"] == {"$ref": "#/components/schemas/Price"}
    assert set(message("prices.removed")["properties"]) == {"room", "key", "removed"}
    assert set(message("prices.lost")["properties"]) == {"room", "state"}
    assert "prices.price" not in document["operations"]
    assert document["channels"]["prices"]["description"] == (
        "Keyed: the newest value of each key is kept for 60 seconds, and sent at most 5/s by each process."
    )
    assert document["channels"]["cursors"]["description"].endswith("is kept for 3600 seconds.")


def test_a_room_with_presence_tells_who_is_there(document):
    def message(name):
        return at(document, document["operations"][name]["messages"][0])["payload"]["properties"]

    member = {"$ref": "#/components/schemas/Member"}
    diff = message("tickets.presence")
    assert set(diff) == {"room", "presence", "v"}
    joined = diff["presence"]["properties"]["joined"]["additionalProperties"]
    assert joined["properties"]["meta"] == {"anyOf": [member, {"type": "null"}]}
    assert set(message("tickets.present")) == {"room", "present", "v"}
    assert "v" in message("tickets.join")
    board = message("board.present")["present"]["additionalProperties"]
    assert board["properties"]["meta"] == {}
    assert "tickets.count" not in document["operations"]
    assert document["channels"]["board"]["description"] == "Presence: who is there."


def test_a_room_that_counts_tells_how_many_are_there_and_nothing_of_cards(document):
    count = at(document, document["operations"]["hall.count"]["messages"][0])["payload"]["properties"]
    assert set(count) == {"room", "count"}
    joined = at(document, document["operations"]["hall.join"]["reply"]["messages"][0])["payload"]["properties"]["ok"]
    assert "count" in joined["required"]
    assert {"hall.presence", "hall.present"}.isdisjoint(document["operations"])
    assert "v" not in at(document, document["operations"]["hall.join"]["messages"][0])["payload"]["properties"]
    assert "Seat" not in document["components"]["schemas"]
    assert document["channels"]["hall"]["description"] == "Presence: how many are there."


def test_a_room_without_presence_tells_nothing_of_it(routes):
    FastWS().room("zoo")
    text = json.dumps(asyncapi(describe(live_rooms()), [], INFO)["channels"]["zoo"])
    assert not any(f'"{word}"' in text for word in ("presence", "present", "count", "v"))


def test_a_channel_is_a_room_with_its_parameters_and_rules(document):
    channel = document["channels"]["tickets"]
    assert channel["address"] == "tickets/{pk}"
    assert "int" in channel["parameters"]["pk"]["description"]
    assert channel["description"] == (
        "To join: login required, permission desk.read. History: 500 events, 10000 bytes, for 3600 seconds, at most. "
        "Presence: who is there."
    )
    assert channel["tags"] == [{"name": "desk"}]
    assert document["servers"]["live"]["pathname"] == "/ws/live"
    assert document["servers"]["live"]["protocol"] == "wss"


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
