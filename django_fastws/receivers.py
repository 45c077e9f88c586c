"""Receivers of Django's signals: sockets end with the session, the account or the user that they were opened for."""

from __future__ import annotations

import logging
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.auth.signals import user_logged_out
from django.db import transaction
from django.db.models.signals import post_delete, post_save

from .conf import conf
from .users import disconnect_behind, key_of, session_hash, user_key

__all__ = ["connect"]

logger = logging.getLogger("django_fastws.users")

#: "Log in again": of the codes for applications (RFC 6455 section 7.4.2), the one that is like HTTP's 401.
CODE = 4401


def connect() -> None:
    """Connect them, if there are users. Whether they do anything, ``FASTWS_CLOSE_ON_LOGOUT`` says each time."""
    if not apps.is_installed("django.contrib.auth"):
        return
    user_logged_out.connect(logged_out, dispatch_uid="django_fastws.logged_out")
    user_model = apps.get_model(settings.AUTH_USER_MODEL)
    for model in apps.get_models():
        # Not for every sender: a receiver of post_delete makes deletions slow.
        if issubclass(model, user_model):
            post_save.connect(saved, model, dispatch_uid="django_fastws.saved")
            post_delete.connect(deleted, model, dispatch_uid="django_fastws.deleted")


def logged_out(sender: Any, request: Any, user: Any, **kwargs: Any) -> None:
    """Close the sockets of a user who logs out, or those of the session that ends. Never raises."""
    session = getattr(request, "session", None)  # Channels' logout() has no request
    try:
        if conf.close_on_logout:
            key = user_key(user) or ("" if session is None else _user_of(session))
            others = conf.close_on_logout != "session"
            disconnect_behind(key, CODE, "logged out", session_hash(session), others=others)
    except Exception:
        logger.exception("The sockets of a user who has logged out could not be closed")


def _user_of(session: Any) -> str:
    """The user of a session, for a log-out that does not say who it is: alogout() knows only ``request.auser``."""
    pk = session.get("_auth_user_id")  # django.contrib.auth.SESSION_KEY
    return "" if pk is None else key_of(pk)


def saved(sender: Any, instance: Any, created: bool, using: str, update_fields: Any = None, **kwargs: Any) -> None:  # noqa: FBT001 (Django's)
    """Close all sockets of a user who is no longer active, once that is committed."""
    was_saved = update_fields is None or "is_active" in update_fields
    if created or not was_saved or "is_active" in instance.get_deferred_fields() or not conf.close_on_logout:
        return
    if not getattr(instance, "is_active", True):
        _after_commit(instance, "the account is not active", using)


def deleted(sender: Any, instance: Any, using: str, **kwargs: Any) -> None:
    """Close all sockets of a user who is deleted, once that is committed."""
    if conf.close_on_logout:
        _after_commit(instance, "the account is deleted", using)


def _after_commit(user: Any, reason: str, using: str) -> None:
    key = user_key(user)  # now, for a user who was deleted has no primary key afterwards
    transaction.on_commit(lambda: disconnect_behind(key, CODE, reason), using=using)
