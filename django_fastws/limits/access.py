"""Access rules of a route: login (else 401) and permissions (else 403), asked before its handler runs."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from inspect import isawaitable
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.core.exceptions import PermissionDenied
from django.http import Http404

from ..exceptions import WebSocketException
from ..log_fields import connection_fields
from ..masking import mask_path
from ..threads import threads
from ..types import Scope
from .denials import Denial

if TYPE_CHECKING:
    from ..websocket import WebSocket

__all__ = ["Access", "Permission"]

logger = logging.getLogger("django_fastws.access")

#: ``app_label.codename``; or a callable, sync or async, that gets the WebSocket and says whether it may connect.
Permission = str | Callable[["WebSocket[Any]"], bool | Awaitable[bool]]

_NO_PARAMS: Mapping[str, Any] = MappingProxyType({})


class HasScope(Protocol):
    """Socket of any kind, as far as access rules look at it themselves."""

    @property
    def scope(self) -> Scope: ...


class Access:
    """Access rules of one route; all must let a client in.

    Args:
        login_required: whether somebody has to be logged in.
        permission: one, or several in a list or tuple; None asks for none.
        passes: errors of a callable permission that ``denial()`` raises: they say themselves what the client is told.
    Raises:
        TypeError, ValueError: a rule cannot be.
    """

    def __init__(
        self,
        *,
        login_required: bool = False,
        permission: Permission | Iterable[Permission] | None = None,
        passes: tuple[type[Exception], ...] = (),
    ) -> None:
        self._passes = passes
        if not isinstance(login_required, bool):
            raise TypeError(f"login_required={login_required!r} is neither True nor False")
        self.login_required = login_required
        if permission is None:
            permission = ()
        several = permission if isinstance(permission, (list, tuple)) else (permission,)
        self.permissions = tuple(_checked(one) for one in several)

    @property
    def names(self) -> list[str]:
        """Names of the permissions, of those that are no callable."""
        return [permission for permission in self.permissions if isinstance(permission, str)]

    async def denial(self, ws: HasScope, params: Mapping[str, Any] = _NO_PARAMS) -> Denial | None:
        """The denial of the first rule that does not let the client in; None if all do.

        Args:
            ws: the WebSocket, or the LiveSocket that joins a room.
            params: of the room; a callable gets them behind the socket.
        Raises:
            Exception: one of ``passes``.
        """
        if not self.login_required and not self.permissions:
            return None
        user: Any = ws.scope.get("user")
        if user is None and (self.login_required or self.names):
            logger.error(
                "Everybody is denied on %.200r: there is no user in the scope. Add 'django.contrib.auth' to "
                "INSTALLED_APPS and use django_fastws.asgi.get_asgi_application(), or put the middleware around "
                "the route that sets it",
                mask_path(ws.scope.get("path")),
                extra=connection_fields(ws.scope),
            )
            return Denial("login_required", 401, "log in first")
        if self.login_required and not user.is_authenticated:
            return Denial("login_required", 401, "log in first")
        with threads.assigned(ws.scope):
            for permission in self.permissions:
                if isinstance(permission, str):
                    asking = _look_up(permission, user)
                else:
                    asking = _ask(permission, ws, params, self._passes)
                if (denial := await asking) is not None:
                    return denial
        return None


def _checked(permission: Any) -> Permission:
    if isinstance(permission, str):
        app_label, dot, codename = permission.partition(".")
        if not (app_label and dot and codename) or any(map(str.isspace, permission)):
            raise ValueError(f"permission={permission!r} is no permission: write 'app_label.codename'")
    elif not callable(permission) or isinstance(permission, type):
        raise TypeError(
            f"permission={permission!r} is neither 'app_label.codename' nor a callable that takes the WebSocket"
        )
    checked: Permission = permission
    return checked


async def _look_up(permission: str, user: Any) -> Denial | None:
    if await sync_to_async(user.has_perm)(permission):
        return None
    if not user.is_authenticated:
        return Denial("permission", 401, "log in first", f"{permission!r} is needed, and nobody is logged in")
    return Denial("permission", 403, "permission denied", f"user {user.pk} does not have {permission!r}")


async def _ask(
    check: Callable[..., Any], ws: HasScope, params: Mapping[str, Any], passes: tuple[type[Exception], ...]
) -> Denial | None:
    name = getattr(check, "__qualname__", repr(check))
    try:
        if iscoroutinefunction(check) or iscoroutinefunction(getattr(check, "__call__", None)):  # noqa: B004
            answer = await check(ws, **params)
        else:
            answer = await sync_to_async(check)(ws, **params)
            if isawaitable(answer):  # a lambda around an async function
                answer = await answer
    except passes:
        raise
    except (PermissionDenied, WebSocketException) as error:
        text = error.reason if isinstance(error, WebSocketException) else str(error)
        return Denial("permission", 403, text or "permission denied", f"{name}() denied")
    except Http404 as error:
        return Denial("permission", 404, str(error), f"{name}() found nothing")
    except Exception:
        logger.exception(
            "%s(), which decides who may connect to %.200r, failed",
            name,
            mask_path(ws.scope.get("path")),
            extra=connection_fields(ws.scope, code=500),
        )
        return Denial("permission", 500, "Internal Server Error", f"{name}() failed")
    if answer:
        return None
    if answer is None:
        logger.error(
            "%s(), which decides who may connect, returned None: return True or False",
            name,
            extra=connection_fields(ws.scope, code=403),
        )
    return Denial("permission", 403, "permission denied", f"{name}() denied")
