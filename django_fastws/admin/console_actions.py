"""Actions of the console: what each needs, asks before it is done, and tells afterwards."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any

from django import forms
from django.contrib import messages

from ..console import ActionResult
from ..exceptions import check_close
from .console_text import counted

__all__ = ["BroadcastForm", "CloseForm", "ConsoleAction", "KickForm", "Report", "result_report"]


@dataclass(frozen=True, slots=True)
class ConsoleAction:
    """Action on what was selected.

    Attributes:
        name: in URLs and forms.
        permission: its codename.
        label: in the menu above a list.
        title: of the page that asks.
        tool: the link to that page, on an object's own.
        question: what becomes of what was selected, on that page.
        button: that does it.
        form: what has to be said besides.
        is_dangerous: it cannot be undone: the button is red.
    """

    name: str
    permission: str
    label: str
    title: str
    tool: str
    question: str
    button: str
    form: type[forms.Form] = forms.Form
    is_dangerous: bool = True


@dataclass(frozen=True, slots=True)
class Report:
    """What was really done, for whoever has asked for it.

    Attributes:
        text: for the person.
        log: for the log of the admin.
        level: of the message.
        is_logged: whether anything was done, or may have been.
        errors: what stood in the way.
    """

    text: str
    log: str
    level: int = messages.SUCCESS
    is_logged: bool = True
    errors: list[str] = field(default_factory=list)


def result_report(result: ActionResult, asked: int, done: str, one: str, log: str) -> Report:
    """The report of what processes have answered.

    Args:
        asked: of how many things it was asked.
        done: a participle, such as "Closed".
        one: such a thing, "socket".
    """
    text = f"{done} {result.done} of {counted(asked, one)}."
    level = messages.SUCCESS if result.done >= asked else messages.WARNING
    if result.missing:
        level = messages.WARNING
        text += (
            f" {counted(result.missing, 'process has', 'processes have')} not answered in time: whether it was done "
            "there is not known. Look again."
        )
    elif not result.answered:
        level = messages.ERROR
        text += " No process has answered: is a server running on this channel layer?"
    elif result.done < asked and not result.errors:
        text += " The others were gone already."
    errors = [f"{process}: {error}" for process, error in list(result.errors.items())[:10]]
    if errors and not result.done:
        level = messages.ERROR
    silent = ", some processes did not answer" if result.missing else ""
    log = f"{log} ({done.lower()} {result.done} of {asked}{silent})"
    return Report(text, log, level, bool(result.done or result.missing), errors)


class CloseForm(forms.Form):
    """Code and reason of a close."""

    code = forms.IntegerField(
        initial=1008,
        min_value=1000,
        max_value=4999,
        help_text="1008: the browser client does not come back; 1012: it comes back at once; or from 3000 to 4999, "
        "those of your own, of which 4400 to 4499 say that it shall not come back.",
    )
    reason = forms.CharField(required=False, max_length=123, help_text="The client is told this. At most 123 bytes.")

    def clean(self) -> dict[str, Any]:
        """Check what a close frame can hold."""
        data = super().clean() or self.cleaned_data
        if "code" in data and "reason" in data:
            try:
                check_close(data["code"], data["reason"])
            except (TypeError, ValueError) as error:
                raise forms.ValidationError(str(error)) from None
        return data


class KickForm(CloseForm):
    """Code and reason with which members are told that they have left."""

    code = forms.IntegerField(initial=4403, min_value=1000, max_value=4999)
    reason = forms.CharField(
        required=False, max_length=123, help_text="Members are told this. It is no ban: they may join again."
    )


class BroadcastForm(forms.Form):
    """Message to all members of a room."""

    event = forms.CharField(
        required=False,
        max_length=100,
        help_text='Name of the event for live rooms, such as "notice"; empty: "message". Raw sockets see no name.',
    )
    message = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 6, "cols": 60, "spellcheck": "false"}), strip=False
    )
    kind = forms.ChoiceField(
        choices=[("json", "JSON"), ("text", "Text, as it is")], initial="json", widget=forms.RadioSelect
    )
    key = forms.CharField(required=False, max_length=512, help_text="Of keyed rooms only: whose value this is.")
    volatile = forms.BooleanField(
        required=False, label="Do not store it", help_text="Of rooms with a history: it is not kept."
    )

    def clean(self) -> dict[str, Any]:
        """Read the JSON."""
        data = super().clean() or self.cleaned_data
        if data.get("kind") == "json" and "message" in data:
            try:
                data["value"] = json.loads(data["message"], parse_constant=_refuse, parse_float=_number)
            except (ValueError, RecursionError) as error:
                self.add_error(
                    "message", f"That is no JSON: {error}. Put text in quotes, or choose “Text, as it is”."
                )
        elif "message" in data:
            data["value"] = data["message"]
        return data


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):  # members would get null
        raise ValueError("a number in it is too large")
    return number


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")
