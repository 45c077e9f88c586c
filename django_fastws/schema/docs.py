"""Views of the docs page: the live rooms with a console, and their schemas as files."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import NoReverseMatch
from django.utils.cache import add_never_cache_headers

from ..live import LIVE_ROUTE, live_rooms
from ..routing import registry, reverse_ws
from .asyncapi import Info, asyncapi
from .description import describe
from .json_schema import json_schema
from .page import Page, fingerprint
from .typescript import typescript

__all__ = ["asyncapi_view", "docs_view", "json_schema_view", "typescript_view"]

View = Callable[[HttpRequest], HttpResponse]


def _for_staff(view: View) -> Callable[[HttpRequest], HttpResponseBase]:
    """For staff only, unless ``DEBUG`` is on; others are sent to the log-in, or refused if they are logged in."""

    @wraps(view)
    def checked(request: HttpRequest) -> HttpResponseBase:
        user: Any = getattr(request, "user", None)
        if not settings.DEBUG and not (user is not None and user.is_active and user.is_staff):
            if user is None or user.is_authenticated:
                raise PermissionDenied("The docs of live rooms are for staff.")
            from django.contrib.auth.views import redirect_to_login  # of an app that a project may lack

            return redirect_to_login(request.get_full_path())
        response = view(request)
        add_never_cache_headers(response)
        return response

    return checked


@_for_staff
def docs_view(request: HttpRequest) -> HttpResponse:
    """The page: rooms, events, examples, errors, and the console."""
    context = Page(describe(live_rooms()), _live_path()).context()
    user: Any = getattr(request, "user", None)
    context["title"] = _project()
    context["username"] = user.get_username() if user is not None and user.is_authenticated else ""
    return render(request, "django_fastws/docs.html", context)


@_for_staff
def json_schema_view(request: HttpRequest) -> HttpResponse:
    """The JSON Schema document; by its ETag the page notices that the rooms have changed."""
    description = describe(live_rooms())
    response = _json(json_schema(description), "application/schema+json")
    response.headers["ETag"] = f'"{fingerprint(description)}"'
    return response


@_for_staff
def asyncapi_view(request: HttpRequest) -> HttpResponse:
    """The AsyncAPI document, with this host."""
    info = Info(_project(), host=request.get_host(), is_secure=request.is_secure(), live_path=_live_path())
    return _json(asyncapi(describe(live_rooms()), registry.declared, info), "application/json")


@_for_staff
def typescript_view(request: HttpRequest) -> HttpResponse:
    """The TypeScript declarations."""
    return HttpResponse(typescript(describe(live_rooms())), content_type="text/plain; charset=utf-8")


def _json(document: Any, content_type: str) -> HttpResponse:
    return HttpResponse(json.dumps(document, indent=2, ensure_ascii=False), content_type=content_type)


def _project() -> str:
    return str(settings.ROOT_URLCONF).partition(".")[0]


def _live_path() -> str | None:
    try:
        return reverse_ws(LIVE_ROUTE)
    except NoReverseMatch:
        return None
