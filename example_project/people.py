"""Who somebody is: an account, or a guest, whose name is kept in the session."""

from __future__ import annotations

import secrets

from django import forms
from django.http import HttpRequest
from pydantic import BaseModel

from django_fastws import LiveSocket

MAX_NAME = 40  # characters
GUEST = "guest"  # of the session


class Person(BaseModel):
    """A person, as the others see it. The key is the same in all tabs of one browser, and no secret."""

    key: str
    name: str
    is_signed_in: bool = False


class NameForm(forms.Form):
    """The name of a guest; without one, it is made of the key."""

    name = forms.CharField(max_length=MAX_NAME, required=False)

    def clean_name(self) -> str:
        return " ".join(self.cleaned_data["name"].split())


def person_of(visitor: HttpRequest | LiveSocket) -> Person:
    """Whom a request or a socket comes from."""
    if visitor.user.is_authenticated:
        return Person(key=f"user-{visitor.user.pk}", name=visitor.user.get_username(), is_signed_in=True)
    guest = visitor.session.get(GUEST, {"key": "guest"})  # a client without the cookie of a page
    return Person(key=guest["key"], name=guest.get("name") or f"Guest-{guest['key'][:4]}")


def welcome(request: HttpRequest) -> Person:
    """Whom a page is for; who is new gets a key, which a socket could not save."""
    if not request.user.is_authenticated and GUEST not in request.session:
        request.session[GUEST] = {"key": secrets.token_hex(8)}
    return person_of(request)
