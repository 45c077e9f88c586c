"""Questions to every process of a layer, and their replies, as control messages. ``processes/`` carries them."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from .envelope import CONTROL, Envelope
from .json import dumps, loads

__all__ = [
    "GROUP",
    "LONGEST_SECONDS",
    "Question",
    "Reply",
    "decode_question",
    "decode_reply",
    "encode_question",
    "encode_reply",
    "reply_group",
]

#: The group of the layer that questions are published to. No room's name becomes this.
GROUP = "fastws.c.processes"

#: The longest that a process works on an answer, in seconds.
LONGEST_SECONDS = 60.0

_REPLIES = "fastws.c.replies."
_ID = re.compile(r"[0-9a-f]{32}")
_LONGEST_NAME = 200  # characters of a topic, or of the name of a process


@dataclass(frozen=True, slots=True)
class Question:
    """Question to every process.

    Attributes:
        id: 32 hexadecimal digits, unlike those of any other; replies go to a group that is named by it.
        topic: what it is about; a process that knows nothing of that says so.
        arguments: what JSON can hold.
        seconds: after which nobody waits for an answer any more; an upper bound, for clocks are not compared.
    """

    id: str
    topic: str
    arguments: Any
    seconds: float


@dataclass(frozen=True, slots=True)
class Reply:
    """Reply of one process.

    Attributes:
        process: its name.
        data: the answer, as JSON has it; None where there is an error.
        error: why there is none; empty if there is one.
    """

    process: str
    data: Any = None
    error: str = ""


def reply_group(question: str) -> str:
    """The group of the layer to which replies go, by the id of the question."""
    return _REPLIES + question


def encode_question(question: Question) -> Envelope:
    """The envelope of a question.

    Raises:
        TypeError, ValueError: the arguments have no JSON form.
    """
    fields: dict[str, str | bytes] = {
        "do": "ask",
        "question": question.id,
        "topic": question.topic,
        "arguments": dumps(question.arguments),
        "seconds": str(float(question.seconds)),
    }
    return Envelope.control(GROUP, fields)


def decode_question(envelope: Envelope) -> Question | None:
    """The question in an envelope; None if that is none.

    Raises:
        KeyError, TypeError, ValueError: it makes no sense.
    """
    fields = envelope.fields
    if envelope.kind != CONTROL or fields.get("do") != "ask":
        return None
    seconds = float(fields["seconds"])
    if not (math.isfinite(seconds) and seconds > 0):
        raise ValueError(f"a question for {seconds} seconds")
    # Answers are published to a group of this name: nobody shall have them sent anywhere else.
    if _ID.fullmatch(str(fields["question"])) is None:
        raise ValueError("a question with an id that is none")
    return Question(
        str(fields["question"]), _name(fields["topic"]), loads(fields["arguments"]), min(seconds, LONGEST_SECONDS)
    )


def encode_reply(question: str, reply: Reply) -> Envelope:
    """The envelope of the reply to a question, by its id.

    Raises:
        TypeError, ValueError: the data has no JSON form.
    """
    fields: dict[str, str | bytes] = {"do": "reply", "process": reply.process}
    if reply.error:
        fields["error"] = reply.error
    else:
        fields["data"] = dumps(reply.data)
    return Envelope.control(reply_group(question), fields)


def decode_reply(envelope: Envelope) -> Reply | None:
    """The reply in an envelope; None if that is none.

    Raises:
        KeyError, TypeError, ValueError: it makes no sense.
    """
    fields = envelope.fields
    if envelope.kind != CONTROL or fields.get("do") != "reply":
        return None
    process = _name(fields["process"])
    if "error" in fields:
        return Reply(process, error=str(fields["error"])[:1000] or "it has failed")
    return Reply(process, loads(fields["data"]))


def _name(value: object) -> str:
    name = str(value)
    if not 0 < len(name) <= _LONGEST_NAME:
        raise ValueError(f"a name of {len(name)} characters")
    return name
