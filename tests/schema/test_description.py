"""Descriptions of live rooms."""

from typing import Annotated

from pydantic import AfterValidator

from django_fastws import FastWS, History, Latest
from django_fastws.live import live_rooms
from django_fastws.schema import describe


def _refuse(value):
    raise ValueError("never")


Never = Annotated[int, AfterValidator(_refuse)]


def room_of(description, name):
    return next(room for room in description.rooms if room.name == name)


def call_of(description, room, event):
    return next(call for call in room_of(description, room).calls if call.event == event)


def test_a_room_has_its_pattern_rules_and_docstrings(described):
    tickets = room_of(described, "tickets")
    assert tickets.pattern == "tickets/{pk:int}"
    assert [(one.name, one.converter, one.is_number) for one in tickets.parameters] == [("pk", "int", True)]
    assert tickets.rules == ("login required", "permission desk.read")
    assert tickets.tags == ("desk",)
    assert tickets.history == History(messages=500, seconds=3600, bytes=10_000)
    assert room_of(described, "zoo").history is None
    assert tickets.join_description == "For whom the ticket is."
    assert tickets.state_description == "What was said, oldest first."
    assert tickets.state == {"type": "array", "items": {"$ref": "#/$defs/Said"}}


def test_a_keyed_room_has_values_instead_of_events(described):
    prices, cursors = room_of(described, "prices"), room_of(described, "cursors")
    assert prices.latest == Latest(rate="5/s", seconds=60)
    assert prices.value == {"$ref": "#/$defs/Price"}
    assert [event.event for event in prices.events] == ["watching"]
    assert prices.state == {"type": "object", "additionalProperties": prices.value}
    assert prices.state_description == "The newest value of each key."
    assert (cursors.value, cursors.events, cursors.is_open) == ({}, (), False)
    assert (room_of(described, "zoo").latest, room_of(described, "zoo").value) == (None, None)


def test_presence_has_the_type_of_its_cards_where_members_see_them(described):
    rooms = {room.name: room for room in described.rooms}
    tickets, board, hall, prices = (rooms[name] for name in ("tickets", "board", "hall", "prices"))
    assert tickets.card_description == "Who reads the ticket."
    assert tickets.meta == {"anyOf": [{"$ref": "#/$defs/Member"}, {"type": "null"}]}
    assert (board.presence.counts_only, board.meta) == (False, {})
    assert (hall.presence.counts_only, hall.meta, hall.card_description) == (True, None, "")
    assert "Seat" not in described.definitions
    assert (prices.presence, prices.meta) == (None, None)


def test_a_callable_permission_is_named(routes):
    def may_read(ws):
        return True

    FastWS().room("a", permission=may_read)
    assert describe(live_rooms()).rooms[0].rules == ("may_read() decides",)


def test_a_call_has_what_its_handler_takes_and_returns(described):
    say = call_of(described, "tickets", "say")
    assert say.kind == "call"
    assert say.description == "Say something to all.\n\nThe answer is its number."
    assert (say.rate, say.timeout, say.concurrent) == ("5/s", 2, False)
    assert say.data["type"] == "object"
    assert say.data["required"] == ["text"]
    assert say.data["properties"]["priority"] == {"$ref": "#/$defs/Priority", "default": "low"}
    assert say.data["properties"]["tags"]["default"] is None
    assert say.result == {"type": "integer"}
    assert say.example == {"text": "hello", "priority": "low", "tags": None}


def test_payloads_of_parameters_are_no_definitions_and_do_not_meet(described):
    assert call_of(described, "zoo", "say").data["properties"].keys() == {"loud"}
    assert not {"say", "move", "adopt", "typing"} & {name.lower() for name in described.definitions} - {"move"}


def test_a_payload_that_is_one_model_is_its_definition(described):
    assert call_of(described, "zoo", "adopt").data == {"$ref": "#/$defs/Pet-Input"}
    assert call_of(described, "zoo", "move").data == {"$ref": "#/$defs/Move"}


def test_kinds_of_calls(described):
    kinds = {call.event: call.kind for call in room_of(described, "tickets").calls}
    assert kinds == {
        "say": "call",
        "close": "call",
        "history": "stream",
        "assign": "call",
        "untyped": "call",
        "typing": "relay",
    }
    assert call_of(described, "tickets", "history").result == {"$ref": "#/$defs/Said"}
    assert call_of(described, "tickets", "close").concurrent


def test_a_payload_is_needed_where_a_frame_without_one_is_refused(described):
    needed = {call.event: call.needs_data for room in ("tickets", "zoo") for call in room_of(described, room).calls}
    assert {event for event, is_needed in needed.items() if not is_needed} == {"close", "typing", "water"}


def test_events_are_those_that_are_sent_and_relayed(described):
    tickets = room_of(described, "tickets")
    assert [(one.event, one.is_relayed) for one in tickets.events] == [
        ("said", False),
        ("ticket_closed", False),
        ("typing", True),
    ]
    assert not tickets.is_open
    assert room_of(described, "zoo").is_open


def test_a_default_without_a_json_form_is_left_out(described):
    untyped = call_of(described, "tickets", "untyped")
    assert "more" not in untyped.data.get("required", [])
    assert "default" not in untyped.data["properties"]["more"]


def test_an_example_that_is_not_accepted_is_none(routes):
    room = FastWS().room("a")

    @room.on("never")
    async def never(ws, number: Never): ...

    assert describe(live_rooms()).rooms[0].calls[0].example is None


def test_no_rooms_are_described_as_none(routes):
    described = describe([])
    assert described.rooms == ()
    assert described.definitions == {}


def test_a_default_of_a_parameter_that_json_does_not_have_is_left_out(routes):
    room = FastWS().room("room")

    @room.on("wait")
    async def wait(ws, most: float = float("inf")) -> None: ...

    assert call_of(describe(live_rooms()), "room", "wait").data["properties"]["most"] == {
        "title": "Most",
        "type": "number",
    }
