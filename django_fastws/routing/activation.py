"""Activation of Django's script prefix and language for a connection, as Django does for a request."""

from __future__ import annotations

from collections.abc import Coroutine
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

from django.conf import settings
from django.http import parse_cookie
from django.middleware.locale import LocaleMiddleware
from django.urls import get_script_prefix, set_script_prefix
from django.utils import translation
from django.utils.module_loading import import_string

from .._core.paths import without_prefix
from ..types import CallScope, Scope

__all__ = ["Activation", "activated", "path_of"]

#: Where the scope has the path that ``path_remaining`` was made of.
_PATH = "django_fastws.path"


class Activation:
    """Context manager that sets Django's script prefix and language for a connection.

    ``reverse()`` and translations then give in handlers what they give on the page, also in the threads that run
    sync code. Within another block for the same connection nothing is changed: middleware may have chosen otherwise.

    Args:
        scope: of the connection; it learns what of its path is left to be routed.
    """

    __slots__ = ("_former_prefix", "_language")

    def __init__(self, scope: Scope) -> None:
        self._former_prefix: str | None = None
        self._language: translation.override | None = None
        if _PATH in scope:
            return
        prefix = script_prefix_of(scope)
        scope[_PATH] = scope.get("path")
        if prefix.strip("/") and "path_remaining" not in scope:
            scope["path_remaining"] = path_of(scope)  # a URLRouter would go by the root path alone
        former = get_script_prefix()
        if former != (prefix if prefix.endswith("/") else f"{prefix}/"):
            self._former_prefix = former
            set_script_prefix(prefix)
        if _has_locale_middleware(tuple(settings.MIDDLEWARE)):
            self._language = translation.override(_language_of(scope))

    def __enter__(self) -> None:
        if self._language is not None:
            self._language.__enter__()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: Any) -> None:
        if kind is GeneratorExit:
            return  # a coroutine that was thrown away ends in the context of somebody else
        if self._language is not None:
            self._language.__exit__(kind, error, traceback)
        if self._former_prefix is not None:
            set_script_prefix(self._former_prefix)


def activated(scope: Scope, serving: Coroutine[Any, Any, None]) -> Coroutine[Any, Any, None]:
    """A coroutine that serves a connection, within an ``Activation`` unless it is run in one already."""
    return serving if _PATH in scope else _activated(scope, serving)


async def _activated(scope: Scope, serving: Coroutine[Any, Any, None]) -> None:
    with Activation(scope):
        await serving


def path_of(scope: CallScope) -> str:
    """Path to be routed: without the script prefix, whether a proxy has stripped that or not."""
    path: str | None = scope.get("path_remaining")
    if path is not None and scope.get(_PATH, scope["path"]) == scope["path"]:
        return path  # inside a URLRouter, or as it was when the connection came
    path = str(scope["path"])
    for prefix in (script_prefix_of(scope), scope.get("root_path") or ""):
        if prefix and (rest := without_prefix(path, prefix)) is not None:
            return rest
    return path


def script_prefix_of(scope: CallScope) -> str:
    """The script prefix of a connection, as Django finds that of a request."""
    return str(settings.FORCE_SCRIPT_NAME or scope.get("root_path") or "")


@lru_cache(maxsize=8)
def _has_locale_middleware(middleware: tuple[str, ...]) -> bool:
    for name in middleware:
        factory: Any = import_string(name)
        if isinstance(factory, type) and issubclass(factory, LocaleMiddleware):
            return True
    return False


def _language_of(scope: Scope) -> str:
    """The language that ``LocaleMiddleware`` would choose: of the cookie, else of Accept-Language.

    A path of ``i18n_patterns`` is the page's: that of a socket has no language.
    """
    values: dict[bytes, list[str]] = {}
    for name, value in scope.get("headers") or ():
        if name in (b"cookie", b"accept-language"):
            values.setdefault(name, []).append(value.decode("latin-1"))
    cookies = scope.get("cookies")
    if cookies is None:
        cookies = parse_cookie("; ".join(values.get(b"cookie", ())))
    request: Any = SimpleNamespace(
        COOKIES=cookies, META={"HTTP_ACCEPT_LANGUAGE": ",".join(values.get(b"accept-language", ()))}
    )
    return translation.get_language_from_request(request)
