"""Who somebody is: an account, or a guest, whose name is kept in the session."""

from __future__ import annotations

import secrets

from django import forms
from django.contrib.auth.models import Permission, User
from django.http import HttpRequest
from pydantic import BaseModel

from django_fastws import LiveSocket

MAX_NAME = 40  # characters
GUEST = "guest"  # of the session

#: Accounts that one can be with a click, while ``DEBUG`` is on: what each is there for, and whether it is an agent.
CAST = {
    "Maya": ("a customer, whose order is late", False),
    "Noah": ("another customer", False),
    "Iris": ("an agent, who can take people out of a ticket, and has the console in the admin", True),
}


class Person(BaseModel):
    """A person, as the others see it. The key is the same in all tabs of one browser, and no secret."""

    key: str
    name: str
    is_signed_in: bool = False
    is_agent: bool = False


class NameForm(forms.Form):
    """The name of a guest; without one, it is made of the key."""

    name = forms.CharField(max_length=MAX_NAME, required=False)

    def clean_name(self) -> str:
        return " ".join(self.cleaned_data["name"].split())


def person_of(visitor: HttpRequest | LiveSocket) -> Person:
    """Whom a request or a socket comes from."""
    user = visitor.user
    if user.is_authenticated:
        is_agent = isinstance(user, User) and user.is_staff
        return Person(key=str(user.pk), name=user.get_username(), is_signed_in=True, is_agent=is_agent)
    guest = visitor.session.get(GUEST, {"key": "guest"})  # a client without the cookie of a page
    return Person(key=guest["key"], name=guest.get("name") or f"Guest-{guest['key'][:4]}")


def account_of(visitor: HttpRequest | LiveSocket) -> User:
    """The account of a page or a socket that nobody gets without one."""
    assert isinstance(visitor.user, User), "login_required is missing"
    return visitor.user


def welcome(request: HttpRequest) -> Person:
    """Whom a page is for; who is new gets a key, which a socket could not save."""
    if not request.user.is_authenticated and GUEST not in request.session:
        request.session[GUEST] = {"key": secrets.token_hex(8)}
    return person_of(request)


def actor(name: str) -> User:
    """The account of one of the cast, which is made when it is first needed. It has no password."""
    _, is_agent = CAST[name]
    user, is_new = User.objects.get_or_create(username=name, defaults={"is_staff": is_agent})
    if is_new:
        user.set_unusable_password()
        user.save()
        if is_agent:  # the console, in the admin
            user.user_permissions.set(Permission.objects.filter(content_type__app_label="django_fastws"))
    return user
