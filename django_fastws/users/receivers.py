"""Signal receivers for log-out, a new password, and a deactivated or deleted account: the user's sockets close."""

from __future__ import annotations

import logging
from importlib import import_module
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.signals import user_logged_out
from django.db.models.signals import post_delete, post_init, post_save, pre_save

from .._core.control import CloseRequest
from ..conf import conf
from ..user_keys import key_of, user_key
from .disconnect import close_after_commit, close_in_background
from .identity import session_hash
from .rechecks import CODE
from .sessions import LOGGED_OUT, note_announced, watched
from .verification import ACCOUNT_DELETED, ACCOUNT_INACTIVE, PASSWORD_CHANGED

__all__ = ["connect"]

logger = logging.getLogger("django_fastws.users")

# In the state of an instance, which is Django's place for what is not of the model:
_PASSWORD = "fastws_password"  # as it was loaded or saved last
_REASON = "fastws_reason"  # to end the user's sockets once it is saved


def connect() -> None:
    """Connect them, if there are users. Whether they do anything, ``FASTWS_CLOSE_ON_LOGOUT`` says each time."""
    if not apps.is_installed("django.contrib.auth"):
        return
    if apps.is_installed("django.contrib.sessions"):
        watched(import_module(settings.SESSION_ENGINE).SessionStore)
    user_logged_out.connect(logged_out, dispatch_uid="django_fastws.logged_out")
    user_model = apps.get_model(settings.AUTH_USER_MODEL)
    for model in apps.get_models():
        # Not for every sender: a receiver of post_delete makes deletions slow.
        if issubclass(model, user_model):
            post_init.connect(loaded, model, dispatch_uid="django_fastws.loaded")
            pre_save.connect(saving, model, dispatch_uid="django_fastws.saving")
            post_save.connect(saved, model, dispatch_uid="django_fastws.saved")
            post_delete.connect(deleted, model, dispatch_uid="django_fastws.deleted")


def logged_out(sender: Any, request: Any, user: Any, **kwargs: Any) -> None:
    """Close the sockets of a user who logs out, or those of the session that ends. Never raises."""
    session = getattr(request, "session", None)  # Channels' logout() has no request
    try:
        if conf.close_on_logout:
            key = user_key(user) or ("" if session is None else _user_of(session))
            name = session_hash(session)
            close_in_background(
                [CloseRequest(key, CODE, LOGGED_OUT, name, others=not name or conf.close_on_logout != "session")]
            )
            note_announced(session)
    except Exception:
        logger.exception("The sockets of a user who has logged out could not be closed")


def _user_of(session: Any) -> str:
    """The user of a session, for a log-out that does not say who it is: alogout() knows only ``request.auser``."""
    pk = session.get(SESSION_KEY)
    return "" if pk is None else key_of(pk)


def loaded(sender: Any, instance: Any, **kwargs: Any) -> None:
    """Note the password of a user who is loaded, to see later whether it is saved as another. It is a hash."""
    setattr(instance._state, _PASSWORD, instance.__dict__.get("password"))


def saving(sender: Any, instance: Any, using: str, update_fields: Any = None, **kwargs: Any) -> None:
    """Note what a save is going to change. Only what the row says otherwise is a change."""
    state = instance._state
    state.__dict__.pop(_REASON, None)  # of a save that has failed
    if not conf.close_on_logout or (state.adding and instance.pk is None):
        return
    is_inactive = _is_written(instance, "is_active", update_fields) and not _is_active(instance)
    has_password = _may_have_another_password(instance, update_fields)
    if is_inactive or has_password:
        # The row, not the instance: that may have been loaded long ago, or refreshed since, or never been loaded; and
        # is_active may be a property.
        row = sender._base_manager.using(using).filter(pk=instance.pk).first()
        if row is None:
            return
        if is_inactive and _is_active(row):
            setattr(state, _REASON, ACCOUNT_INACTIVE)
        elif has_password and row.__dict__.get("password") != instance.__dict__["password"]:
            setattr(state, _REASON, PASSWORD_CHANGED)


def saved(sender: Any, instance: Any, using: str, update_fields: Any = None, **kwargs: Any) -> None:
    """Close all sockets of a user who is not active any more or has another password, once that is committed."""
    reason = instance._state.__dict__.pop(_REASON, "")
    if _is_written(instance, "password", update_fields):
        loaded(sender, instance)
    if reason:
        _after_commit(instance, reason, using)


def _is_active(user: Any) -> bool:
    return bool(getattr(user, "is_active", True))


def _is_written(user: Any, field: str, update_fields: Any) -> bool:
    if field in user.get_deferred_fields():
        return False
    is_property = not any(one.attname == field for one in user._meta.concrete_fields)  # made of other fields
    return update_fields is None or field in update_fields or (is_property and bool(update_fields))


def _may_have_another_password(user: Any, update_fields: Any) -> bool:
    if "password" not in user.__dict__ or not _is_written(user, "password", update_fields):
        return False
    return bool(user.__dict__["password"] != getattr(user._state, _PASSWORD, None))


def deleted(sender: Any, instance: Any, using: str, **kwargs: Any) -> None:
    """Close all sockets of a user who is deleted, once that is committed."""
    if conf.close_on_logout:
        _after_commit(instance, ACCOUNT_DELETED, using)


def _after_commit(user: Any, reason: str, using: str) -> None:
    # The key now, for a user who was deleted has no primary key afterwards.
    if key := user_key(user):
        close_after_commit(CloseRequest(key, CODE, reason), using)
