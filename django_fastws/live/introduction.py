"""Introduction of a client: what it tells of itself in a ``hello``, its own id and the token of its user."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson
from django.core.exceptions import PermissionDenied
from django.utils.module_loading import import_string

from .._core.live_frames import HelloFrame
from .._core.version import __version__
from ..conf import conf
from ..exceptions import LiveError, WebSocketDisconnect
from ..limits import Admission, ConnectionDenied, LimitedConnection
from ..log_fields import connection_fields
from ..user_keys import may_be_a_user, user_key
from ..users import current_users, session_hash
from .client_ids import client_ids
from .join_rules import count_user, give_back
from .live_errors import FAILED, as_live_error, logger

if TYPE_CHECKING:
    from .session import LiveSession

__all__ = ["Introduction", "owner_of"]


class Introduction:
    """Introduction of the client of one live socket; until it says anything, its user is that of the handshake.

    Args:
        admission: of the route, which counts and registers a user who is known only by a token.

    Attributes:
        client_id: the client's own; "" before it has said one.
    """

    __slots__ = ("_admission", "_connection", "client_id")

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._connection: LimitedConnection | None = None
        self.client_id = ""

    async def hello(self, session: LiveSession, frame: HelloFrame) -> bytes:
        """Take up a hello; returns the value of the answer.

        Raises:
            LiveError: the token is not valid or another user's, or the client id is somebody else's.
        """
        if frame.token is not None:
            await self._authenticate(session, frame.token)
        if frame.client is not None:
            self._take_id(session, frame.client)
        return _greeting()

    # Its id

    def _take_id(self, session: LiveSession, client_id: str) -> None:
        if self.client_id == client_id:
            return
        if not client_id.startswith("c-") and may_be_a_user(client_id):
            # It is the key of whoever is not logged in, beside the primary keys of those who are.
            raise LiveError("bad_request", "this client id could be the key of a user; begin it with c-")
        if self.client_id or session.memberships:
            raise LiveError("bad_request", "the client id is said once, before the first join")
        if not client_ids.take(client_id, owner_of(session)):
            raise LiveError("forbidden", "another client has this id; take a new one")
        self.client_id = client_id

    # Its user

    async def _authenticate(self, session: LiveSession, token: str) -> None:
        users, began = current_users(), asyncio.get_running_loop().time()
        users.expect()  # a log-out after the look-up is heard of, one before it is seen
        try:
            await users.wait_until_subscribed()
            user = await _user_of(token, session.ws.scope)
            await self._admit(session, user, began)
        finally:
            users.unexpect()

    async def _admit(self, session: LiveSession, user: Any, began: float) -> None:
        scope = session.ws.scope
        key, former = user_key(user), session.user_key
        if not key:
            raise LiveError("unauthenticated", "the token is not valid")
        if former and former != key:
            raise LiveError("forbidden", "the token is another user's: connect again")
        if former:
            scope["user"] = user
            return
        counted = count_user(session.memberships.values(), key)
        transport: Any = session.ws.transport
        try:
            self._connection = await self._admission.admit_user(transport, session.ws.close, user, began=began)
        except ConnectionDenied as error:
            raise LiveError("forbidden", str(error)) from None
        finally:
            for membership, one in counted:
                if self._connection is not None and membership.is_member:
                    membership.counted += (one,)
                else:
                    give_back([one])
        if self.client_id:  # it has said that before
            client_id, self.client_id = self.client_id, ""
            client_ids.give(client_id)
            if not client_ids.take(client_id, key):
                raise LiveError("forbidden", "another client has this id; take a new one")
            self.client_id = client_id

    def over(self) -> None:
        """The connection is over."""
        if self.client_id:
            client_ids.give(self.client_id)
        connection, self._connection = self._connection, None
        self._admission.leave(connection)


def owner_of(session: LiveSession) -> str:
    """Owner of what a client id stands for: the user, else the session, else ""."""
    scope = session.ws.scope
    return session.user_key or session_hash(scope.get("session"))


async def _user_of(token: str, scope: Any) -> Any:
    """The user of a token.

    Raises:
        LiveError: there is none, or it could not be found out.
    """
    authenticate = conf.live_authenticate
    if authenticate is None:
        raise LiveError("unauthenticated", "no tokens are taken here")
    try:
        function = import_string(authenticate) if isinstance(authenticate, str) else authenticate
        return await function(token, scope)
    except PermissionDenied as error:
        raise LiveError("unauthenticated", str(error) or "the token is not valid") from None
    except WebSocketDisconnect:
        raise
    except Exception as error:
        known = as_live_error(error)
        if known is None:
            fields = connection_fields(scope, code=FAILED.code)
            logger.error("FASTWS_LIVE_AUTHENTICATE failed", exc_info=error, extra=fields)
        raise known or LiveError(FAILED.code, FAILED.message) from None  # FAILED would keep every traceback


def _greeting() -> bytes:
    seconds = conf.live_ping_seconds
    return orjson.dumps({"ping": int(seconds) if seconds == int(seconds) else seconds, "version": __version__})
