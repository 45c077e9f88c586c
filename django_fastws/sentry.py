"""Integration for Sentry: its events tell of which route, room and event they are, and sockets do not share a scope.

    sentry_sdk.init(dsn=..., integrations=[FastWSIntegration()])

The extra ``django-fastws[sentry]`` installs the SDK.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from . import tracing
from .tracing import Value, Work

try:
    import sentry_sdk
    from sentry_sdk.integrations import Integration
    from sentry_sdk.scope import Scope, should_send_default_pii
except ImportError as missing:
    raise ImproperlyConfigured(
        f"The integration for Sentry needs its SDK ({missing}): pip install 'django-fastws[sentry]'"
    ) from missing

__all__ = ["FastWSIntegration"]


class FastWSIntegration(Integration):
    """Integration of Sentry's SDK: a scope of its own for each handshake, message and call.

    What fails is logged by this package, once, and the SDK makes an event of that. With this integration, the event
    has a transaction, such as ``call tickets/{pk:int} say``, and the tags ``fastws.kind``, ``fastws.route``,
    ``fastws.room`` (the pattern) and ``fastws.event``, as far as there are such. It has the user and the name of the
    room where the SDK may send who users are: ``data_collection={"user_info": True}``, or the older
    ``send_default_pii=True``. Breadcrumbs are those of the same message or call. What clients do wrong is no event.
    """

    identifier = "django_fastws"

    @staticmethod
    def setup_once() -> None:
        """Begin to observe; the SDK calls it, once in a process."""
        tracing.install(_Scopes())


class _Scopes:
    """Observer that gives each unit of work a scope."""

    def begin(self, work: Work) -> _WorkScope | None:
        if not work.kind.is_entry or not work.is_current:
            return None
        if sentry_sdk.get_client().get_integration(FastWSIntegration) is None:
            return None  # it was initialized anew, without this
        outer = Scope.get_isolation_scope(), Scope.get_current_scope()
        scope = outer[0].fork()
        scope.clear_breadcrumbs()
        _describe(scope, work)
        Scope.set_isolation_scope(scope)
        Scope.set_current_scope(outer[1].fork())
        return _WorkScope(outer)


def _describe(scope: Scope, work: Work) -> None:
    kind = work.kind
    scope.set_transaction_name(work.name, source="route")
    scope.set_tag("fastws.kind", kind.word)
    if work.subject:
        is_room = kind.subject == "rpc.service"
        scope.set_tag("fastws.room" if is_room else "fastws.route", work.subject)
    if work.event:
        scope.set_tag("fastws.event", work.event)
    told: dict[str, Any] = {}
    if work.connection:
        told["connection_id"] = work.connection
    if _may_tell_users():
        if work.room:
            told["room"] = work.room
        user = work.scope.get("user") if work.scope is not None else None
        if getattr(user, "pk", None) is not None:
            scope.set_user(_user(user))
    if told:
        scope.set_context("fastws", told)


def _may_tell_users() -> bool:
    collected = sentry_sdk.get_client().options.get("data_collection") or {}
    return bool(collected.get("user_info", should_send_default_pii()))


def _user(user: Any) -> dict[str, str]:
    """A user, with what Sentry's integration for Django tells of one."""
    found = {"id": str(user.pk), "email": getattr(user, "email", ""), "username": getattr(user, "username", "")}
    return {name: str(value) for name, value in found.items() if value}


class _WorkScope:
    """Scope of one unit of work.

    Args:
        outer: the scopes to go back to.
    """

    __slots__ = ("_outer",)

    def __init__(self, outer: tuple[Scope, Scope]) -> None:
        self._outer: tuple[Scope, Scope] | None = outer

    @property
    def traceparent(self) -> str:
        return ""

    def end(self, error: BaseException | None, code: str, attributes: Mapping[str, Value]) -> None:
        """Nothing: what follows until it is left, such as the record of an error in the log, belongs to it."""

    def leave(self) -> None:
        if self._outer is not None:
            (isolation, current), self._outer = self._outer, None
            Scope.set_isolation_scope(isolation)
            Scope.set_current_scope(current)
