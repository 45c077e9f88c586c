"""Body of HTTP publish: ``{"publish":[{"room","data","event"?,"key"?,"idempotency_key"?}, …]}``, read and checked."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from .json import loads

__all__ = ["MOST_ITEMS", "BadPublish", "PublishItem", "parse_publish"]

MOST_ITEMS = 1000


class PublishItem(NamedTuple):
    """What one item of a request says; None for what it does not."""

    room: str
    data: Any
    event: str | None = None
    key: str | None = None
    idempotency_key: str | None = None


class BadPublish(ValueError):
    """A body that is none of HTTP publish.

    Attributes:
        place: in the JSON, such as ``publish[3].room``; of what is no JSON, ``line 1 column 17``.
            ``body`` is all of it.
    """

    def __init__(self, place: str, message: str) -> None:
        super().__init__(f"{place}: {message}")
        self.place = place


_ITEM = ("room", "data", "event", "key", "idempotency_key")
_MOST_SHOWN = 64  # characters of a name that the client has made up
_NAMES = {None: "null", dict: "an object", list: "a list", str: "a string", bool: "a boolean"}


def parse_publish(body: bytes) -> list[PublishItem]:
    """Read a body.

    A field that is null, and may be left out, is left out; of a field that is there twice, the last counts.

    Raises:
        BadPublish: it is none.
    """
    whole = _decoded(body)
    if type(whole) is not dict:
        raise BadPublish("body", f'it is {_kind(whole)}, and should be an object: {{"publish": [...]}}')
    if unknown := [field for field in whole if field != "publish"]:
        raise BadPublish(_shown(unknown[0]), 'there is no such field; an object of HTTP publish has "publish" alone')
    if "publish" not in whole:
        raise BadPublish("publish", "it is missing")
    items = whole["publish"]
    if type(items) is not list:
        raise BadPublish("publish", f"it is {_kind(items)}, and should be a list")
    if len(items) > MOST_ITEMS:
        raise BadPublish("publish", f"it has {len(items)} items, and may have {MOST_ITEMS}")
    return [_item(f"publish[{index}]", item) for index, item in enumerate(items)]


def _decoded(body: bytes) -> Any:
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise BadPublish(f"byte {error.start}", "the body is not UTF-8") from None
    try:
        return loads(text, "publish")
    except json.JSONDecodeError as error:
        what = error.msg.removeprefix("publish(): the message is ")
        raise BadPublish(f"line {error.lineno} column {error.colno}", f"the body is {what}") from None


def _item(place: str, item: Any) -> PublishItem:
    if type(item) is not dict:
        raise BadPublish(place, f"it is {_kind(item)}, and should be an object")
    for field in ("room", "data"):
        if field not in item:
            raise BadPublish(f"{place}.{field}", "it is missing")
    if len(item) > 2 and (unknown := item.keys() - _ITEM):
        name = next(field for field in item if field in unknown)
        raise BadPublish(f"{place}.{_shown(name)}", f"there is no such field; an item has {', '.join(_ITEM)}")
    for field in _ITEM:
        value = item.get(field)
        if field != "data" and type(value) is not str and (value is not None or field == "room"):
            raise BadPublish(f"{place}.{field}", f"it is {_kind(value)}, and should be a string")
    return PublishItem(**item)


def _kind(value: Any) -> str:
    return _NAMES[None] if value is None else _NAMES.get(type(value), "a number")


def _shown(name: str) -> str:
    """A name of the client's own, short enough and on one line."""
    name = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in name[:_MOST_SHOWN])
    return name or '""'
