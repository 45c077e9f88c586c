"""Descriptor of a setting: one row of the table of settings, as a typed property that reads it."""

from __future__ import annotations

from typing import Any, Generic, TypeVar, overload

from django.conf import Settings
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured

from .kinds import ValueKind

__all__ = ["Setting"]

Value = TypeVar("Value")
_UNSET: Any = object()
# Where Django's lazy settings have theirs, as "_wrapped": to ask the object is slow, and each message reads some.
_lazy = vars(django_settings)


class Setting(Generic[Value]):
    """Row of the table of settings, and descriptor: ``conf.idle_timeout`` reads ``FASTWS_IDLE_TIMEOUT``.

    Nothing is cached, so ``override_settings`` works.

    Args:
        kind: which values it takes.
        default: where the project does not set it; as a project would write it.
        wording: what it does, in Markdown: the first paragraph of its section of the reference. ``{code}`` stands
            for the HTTP status or close code of the limit that comes from the setting: see the table of limits.

    Attributes:
        name: in the project's settings, with the prefix.
        attribute: of ``conf``.
    """

    def __init__(self, kind: ValueKind[Value], default: Any, wording: str) -> None:
        self.kind = kind
        self.default = default
        self._read_default = kind.read(default)
        self.wording = wording
        self.name = self.attribute = ""

    def __set_name__(self, owner: type, attribute: str) -> None:
        self.attribute = attribute
        self.name = f"FASTWS_{attribute.upper()}"

    @overload
    def __get__(self, instance: None, owner: type) -> Setting[Value]: ...

    @overload
    def __get__(self, instance: object, owner: type | None = None) -> Value: ...

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        if instance is None:
            return self
        settings = _lazy.get("_wrapped")
        if type(settings) is Settings:
            # What was set is an attribute. Looking for what was not would cost microseconds, for every message.
            value = settings.__dict__.get(self.name, _UNSET)
        else:  # overridden, or not loaded yet
            value = getattr(django_settings, self.name, _UNSET)
        if value is _UNSET:
            return self._read_default
        try:
            return self.kind.read(value)
        except (TypeError, ValueError, OverflowError):
            raise ImproperlyConfigured(self.kind.wrong(self.name, value)) from None

    @property
    def current(self) -> Value:
        """The value as it is now."""
        return self.__get__(self)

    def __repr__(self) -> str:
        return f"<Setting {self.name}>"
