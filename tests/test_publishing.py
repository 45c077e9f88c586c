"""The items of HTTP publish: what is published, and what its sender is told."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from django.db import InterfaceError, OperationalError
from pydantic import field_validator

from django_fastws import Event, FastWS, History, Latest, LiveError, Room, WebSocketConnectionError, publishing
from django_fastws._core.error_codes import ERROR_CODES
from django_fastws._core.publish_keys import PublishKey
from django_fastws._core.publish_request import PublishItem
from django_fastws.layer.local import LocalBroker
from django_fastws.publishing import publish_items
from django_fastws.testing import clear_histories, live

KEY = PublishKey("shop", (b"x",), ("orders/*", "said/*", "prices", "raw"))


class Said(Event):
    text: str

    @field_validator("text")
    @classmethod
    def check(cls, value):
        if value == "fail":
            raise KeyError("on purpose")
        return value


@pytest.fixture(autouse=True)
def rooms(routes, settings):
    settings.CHANNEL_LAYERS = {}
    app = FastWS()
    app.room("orders/{pk}", history=History(messages=50))
    app.room("said/{pk}", sends=[Said])
    app.room("prices", latest=Latest())
    clear_histories()


def told(*items: PublishItem) -> list[Any]:
    """What the sender is told: positions by their offset, errors by their code."""
    found = []
    for result in publish_items(KEY, items):
        (name,) = result
        if name == "at":
            found.append(result["at"] and int(result["at"].partition(":")[2]))
        else:
            assert set(result["error"]) == {"code", "message"}
            assert result["error"]["code"] in ERROR_CODES
            found.append(result["error"]["code"])
    return found


def test_each_is_told_its_position_or_that_it_has_none():
    items = [
        PublishItem("orders/1", {"n": 1}),
        PublishItem("orders/1", "text", "told"),
        PublishItem("raw", None),
        PublishItem("prices", 5, key="BTC"),
        PublishItem("said/1", {"text": "hi"}, "said"),
        PublishItem("orders/2", 1, idempotency_key="a"),
        PublishItem("orders/2", 2, idempotency_key="a"),
        PublishItem("orders/1", 1, idempotency_key="a"),
    ]
    assert told(*items) == [1, 2, None, 1, None, 1, 1, 3]
    assert [(one.event, one.data) for one in Room("orders/1").history()] == [
        ("message", {"n": 1}),
        ("told", "text"),
        ("message", 1),
    ]
    assert [one.data for one in Room("orders/2").history()] == [1]


def deep(levels: int) -> Any:
    data: Any = 1
    for _ in range(levels):
        data = [data]
    return data


REFUSED = [
    (PublishItem("users/1", 1), "forbidden", "room: the key 'shop' may not publish to 'users/1'"),
    (PublishItem("", 1), "forbidden", "may not publish to ''"),
    (PublishItem("x" * 5000, 1), "forbidden", "may not publish to 'xxx"),
    # Who may not publish there is told nothing else of the room.
    (PublishItem("orders", 1, "", "", ""), "forbidden", "may not publish"),
    (PublishItem("raw", 1, ""), "invalid", "event: its name is empty"),
    (PublishItem("raw", 1, key="a"), "invalid", "key: the room is not keyed"),
    (PublishItem("raw", 1, key=""), "invalid", "key: the room is not keyed"),
    (PublishItem("prices", 1), "invalid", "key: it is missing"),
    (PublishItem("prices", 1, key=""), "invalid", "a key has between 1 and 512 characters"),
    (PublishItem("prices", 1, key="x" * 513), "invalid", "a key has between 1 and 512 characters"),
    (PublishItem("raw", 1, idempotency_key="a"), "invalid", "idempotency_key: the room has no history"),
    (PublishItem("prices", 1, key="a", idempotency_key="a"), "invalid", "idempotency_key: the room has no history"),
    (PublishItem("orders/1", 1, idempotency_key=""), "invalid", "idempotency_key: it is empty"),
    (PublishItem("orders/1", 1, "state"), "invalid", "event: 'state' means something else"),
    (PublishItem("said/1", {"text": "hi"}), "invalid", "event: 'message' is none of the room, which has said"),
    (PublishItem("said/1", {"text": 5}, "said"), "invalid", "data: text: Input should be a valid string"),
    (PublishItem("orders/1", "x" * 101), "too_big", "data: it has 101 bytes as a message, and may have 100"),
    (PublishItem("raw", ["x" * 100]), "too_big", "data: it has 104 bytes"),
    (PublishItem("raw", deep(900)), "invalid", "not JSON"),
    (PublishItem("said/1", deep(900), "said"), "invalid", "not JSON"),
]


@pytest.mark.parametrize(("item", "code", "words"), REFUSED, ids=[str(place) for place in range(len(REFUSED))])
def test_one_that_cannot_be_is_told_why_and_keeps_no_other_from_it(item, code, words, settings, caplog):
    settings.FASTWS_MAX_MESSAGE_BYTES = 100
    for settings.DEBUG in (True, False):
        clear_histories()
        one, two, three = publish_items(KEY, [PublishItem("orders/1", 1), item, PublishItem("orders/1", 2)])
        assert (one["at"].partition(":")[2], three["at"].partition(":")[2]) == ("1", "2")
        assert two["error"]["code"] == code
        assert words in two["error"]["message"]
        assert len(two["error"]["message"]) < 250
    assert not caplog.records  # it is the sender's mistake


async def test_live_members_get_them_as_any_broadcast():
    async with live() as client:
        room = await client.join("said/1")
        orders = await client.join("orders/1")
        await asyncio.to_thread(
            told,
            PublishItem("said/1", {"text": "hi", "more": 1}, "said"),
            PublishItem("orders/1", "text"),
            PublishItem("orders/1", None, "none"),
        )
        assert (await room.next("said")).data == {"text": "hi"}
        message, none = await orders.next("message"), await orders.next("none")
        assert (message.data, none.data) == ("text", None)
        assert none.at.partition(":")[2] == "2"


@pytest.mark.parametrize("error", [WebSocketConnectionError, OperationalError, InterfaceError])
def test_what_is_away_is_unavailable_and_said_once_here(error, monkeypatch, caplog):
    def away(self, envelopes):
        return [error("redis://inside.example") for _ in envelopes]

    monkeypatch.setattr(LocalBroker, "publish_all", away)
    results = publish_items(KEY, [PublishItem("orders/1", 1), PublishItem("users/1", 1), PublishItem("raw", 1)])
    assert [result["error"]["code"] for result in results] == ["unavailable", "forbidden", "unavailable"]
    assert "inside" not in str(results)
    (record,) = caplog.records
    assert record.getMessage() == "HTTP publish: 2 items of 'shop' were not published: redis://inside.example"
    assert (record.levelno, record.exc_info) == (logging.WARNING, None)


def test_what_fails_here_is_failed_and_said_once_with_its_traceback(caplog):
    items = [PublishItem("said/1", {"text": text}, "said") for text in ("fail", "hi", "fail")]
    assert told(*items) == ["failed", None, "failed"]
    assert "purpose" not in str(publish_items(KEY, items))
    assert [record.getMessage() for record in caplog.records] == [
        "HTTP publish: 2 items of 'shop' could not be published"
    ] * 2
    assert caplog.records[0].exc_info[0] is KeyError
    caplog.clear()


def test_an_error_of_the_projects_own_is_told_as_it_is(monkeypatch, caplog):
    def refuse(*args):
        raise LiveError("failed", "for a reason")

    monkeypatch.setattr(publishing, "published_event", refuse)
    assert publish_items(KEY, [PublishItem("raw", 1)]) == [{"error": {"code": "failed", "message": "for a reason"}}]
    assert not caplog.records


def test_none_is_nothing():
    assert publish_items(KEY, []) == []
