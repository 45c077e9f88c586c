"""Text of the console: ages, sizes, moments, names, JSON, as people read them in a narrow column."""

from __future__ import annotations

import datetime
import json
from typing import Any

from django.template.defaultfilters import filesizeformat
from django.utils import formats, timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

__all__ = [
    "NOTHING",
    "age",
    "clipped",
    "counted",
    "moment",
    "name_text",
    "number",
    "pretty",
    "printable",
    "process_text",
    "size",
]

#: What stands where there is nothing.
NOTHING = "\N{EN DASH}"

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_MOST_CHARACTERS = 120  # of a name in a column


def age(seconds: float | None) -> str:
    """How long something is there, in its two greatest units."""
    if seconds is None:
        return NOTHING
    left = max(0, int(seconds))
    for place, (unit, letter) in enumerate(_UNITS):
        if left >= unit or unit == 1:
            more = _UNITS[place + 1 : place + 2]
            rest = left % unit // more[0][0] if more else 0
            return f"{left // unit} {letter}" + (f" {rest} {more[0][1]}" if rest else "")
    raise AssertionError("the last unit is a second")


def moment(seconds: float | None) -> str:
    """A time since 1970, in the time zone and the format of the site."""
    if seconds is None:
        return NOTHING
    try:
        when = datetime.datetime.fromtimestamp(seconds, tz=datetime.UTC)
    except (OverflowError, OSError, ValueError):  # of a clock that is wrong
        return NOTHING
    return formats.date_format(timezone.localtime(when), "DATETIME_FORMAT")


def number(value: float | None) -> str:
    """A count, with the separators of the site."""
    return NOTHING if value is None else formats.number_format(value, use_l10n=True, force_grouping=True)


def counted(count: int, one: str, many: str = "") -> str:
    """A count with its noun: "1 socket", "2 sockets"."""
    return f"{number(count)} {one if count == 1 else many or one + 's'}"


def size(value: float | None) -> str:
    """A number of bytes."""
    return NOTHING if value is None else filesizeformat(value)


def printable(text: str) -> str:
    """A text of which everything can be sent, as UTF-8, and seen: what cannot is written as an escape."""
    return "".join(
        one if one.isprintable() or one in "\u200c\u200d" else one.encode("unicode_escape").decode() for one in text
    )


def clipped(text: str, most: int = _MOST_CHARACTERS) -> str:
    """The beginning of a text, and its end, if it is long."""
    if len(text) <= most:
        return text
    return f"{text[: most * 2 // 3]}…{text[-(most // 3) :]}"


def name_text(name: str, most: int = _MOST_CHARACTERS) -> SafeString:
    """A name that somebody has given: isolated from the text around it, for it may be written from right to left."""
    shown = printable(name)
    if not shown:
        return format_html('<bdi class="fw-name fw-quiet">{}</bdi>', "(empty)")
    if len(shown) <= most:
        return format_html('<bdi class="fw-name">{}</bdi>', shown)
    return format_html('<bdi class="fw-name" title="{}">{}</bdi>', shown[:1000], clipped(shown, most))


def process_text(name: str) -> SafeString:
    """A process in a narrow column: the first word of its host, and its process id."""
    host, _, rest = name.partition(":")
    short = f"{clipped(host.partition('.')[0], 20)}:{rest.partition(':')[0]}"
    return format_html('<bdi class="fw-name fw-short" title="{}">{}</bdi>', printable(name), printable(short))


def pretty(data: Any, most: int = 2000) -> str:
    """Data as JSON, for people."""
    try:
        text = json.dumps(data, ensure_ascii=False, indent=2, default=str)
    except (TypeError, ValueError):
        text = repr(data)
    if len(text) > most:
        text = f"{text[:most]}… ({number(len(text) - most)} more characters)"
    return "\n".join(printable(line) for line in text.split("\n"))
