"""Keys of users: the model and the primary key, under which every process knows the same user."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured, ValidationError

__all__ = [
    "has_key",
    "is_of_the_user_model",
    "is_user",
    "key_of",
    "may_be_a_user",
    "presence_key",
    "user_key",
    "user_model",
]


def user_key(user: Any, *, is_ours: bool | None = None) -> str:
    """Key of a user: the model and the primary key; "" for nobody, and for a user without one.

    Args:
        is_ours: what ``is_of_the_user_model()`` says of it, for who has asked that already.
    """
    return f"{_label_of(user, is_ours)}:{user.pk}" if has_key(user) else ""


def has_key(user: Any) -> bool:
    """Whether there is a key of this user; in a fraction of the time of making it."""
    return getattr(user, "pk", None) is not None and getattr(user, "is_authenticated", True)


def presence_key(user: Any) -> str | None:
    """Key of a user in presence, and in relayed events: the primary key; None for nobody."""
    return str(user.pk) if has_key(user) else None


def is_user(user: Any, key: str) -> bool:
    """Whether a user is the one of a key; in a fraction of the time of ``user_key()``, if it is another."""
    return has_key(user) and key.endswith(f":{user.pk}") and user_key(user) == key


def _label_of(user: Any, is_ours: bool | None) -> str:  # noqa: FBT001 (internal, and asked for each handshake)
    # Proxies and children of the user model stand for the same user.
    if is_of_the_user_model(user) if is_ours is None else is_ours:
        return settings.AUTH_USER_MODEL.lower()
    meta = getattr(user, "_meta", None)
    if meta is not None:
        return str(meta.concrete_model._meta.label_lower)
    cls = user.__class__
    return f"{cls.__module__}.{cls.__qualname__}"


def user_model() -> Any:
    """The model of ``AUTH_USER_MODEL``."""
    return apps.get_model(settings.AUTH_USER_MODEL, require_ready=False)


def is_of_the_user_model(user: Any) -> bool:
    """Whether there are users, and this is one."""
    return apps.is_installed("django.contrib.auth") and isinstance(user, user_model())


def may_be_a_user(text: str) -> bool:
    """Whether a text could be the primary key of a user, as a text; asks no database."""
    if not apps.is_installed("django.contrib.auth"):
        return False
    try:
        user_model()._meta.pk.to_python(text)
    except (ValidationError, TypeError, ValueError, OverflowError):
        return False
    return True


def key_of(user: Any, call: str = "disconnect") -> str:
    """The ``user_key`` of a user or of a primary key.

    Args:
        call: what the caller has called, for the text of the error.
    Raises:
        TypeError, ValueError: it is no user, and no primary key of one.
        ImproperlyConfigured: it is a primary key, and there are no users.
    """
    if hasattr(user, "pk"):
        key = user_key(user)
        if not key:
            raise ValueError(f"{call}(user={user!r}): this user has no primary key, by which sockets are found")
        return key
    if user is None or isinstance(user, bool):
        raise TypeError(f"{call}() takes a user or a primary key, not {user!r}")
    if not apps.is_installed("django.contrib.auth"):
        raise ImproperlyConfigured(
            f"{call}(user={user!r}): without 'django.contrib.auth' in INSTALLED_APPS there are no users to have "
            "this primary key; pass an object that has it as its pk"
        )
    try:
        pk = user_model()._meta.pk.to_python(user)
    except (ValidationError, TypeError, ValueError, OverflowError):
        raise ValueError(f"{call}(user={user!r}): that is no primary key of {settings.AUTH_USER_MODEL}") from None
    return f"{settings.AUTH_USER_MODEL.lower()}:{pk}"
