"""Keys of objects in the URLs and the log of the admin, made of names that may be any text."""

from __future__ import annotations

import base64
import binascii

from django.contrib.admin.utils import quote
from django.utils.http import urlencode

__all__ = ["MOST_CHARACTERS", "fits_a_url", "name_of", "object_key", "route_key", "route_of"]

#: Longest key that gets a page of its own: what is in front of a server may take a line of 4 KiB, and no more.
MOST_CHARACTERS = 2000

_ENCODED = "=b64="


def object_key(name: str) -> str:
    """Key of a name: the name itself, unless a URL or a database cannot hold it.

    >>> object_key("tickets/5"), object_key("..")
    ('tickets/5', '=b64=Li4')
    """
    if name in ("", ".", "..") or "\0" in name or name.startswith(_ENCODED) or not _is_unicode(name):
        encoded = base64.urlsafe_b64encode(name.encode("utf-8", "surrogatepass"))
        return _ENCODED + encoded.decode().rstrip("=")
    return name


def name_of(key: str) -> str:
    """Name of a key.

    Raises:
        ValueError: it is none, or its name has half a surrogate pair, by which no process can be asked.
    """
    if not key.startswith(_ENCODED):
        if not key or "\0" in key or not _is_unicode(key):
            raise ValueError("no key is empty, or has a NUL or half a surrogate pair in it")
        return key
    text = key.removeprefix(_ENCODED)
    try:
        name = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except (binascii.Error, UnicodeError) as error:
        raise ValueError(f"{key!r} is no key: {error}") from None
    if object_key(name) != key:
        raise ValueError(f"{key!r} is no key: it is written otherwise")
    return name


def fits_a_url(key: str) -> bool:
    """Whether a page of its own can be asked for by a key."""
    return len(key) <= MOST_CHARACTERS and len(urlencode({"": quote(key)})) <= MOST_CHARACTERS


def _is_unicode(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # a half of a surrogate pair, which is no character
        return False
    return True


def route_key(process: str, route: str) -> str:
    """Key of an outbound route in one process; the name of a process has no space."""
    return object_key(f"{process} {route}")


def route_of(key: str) -> tuple[str, str]:
    """The process and the route of such a key.

    Raises:
        ValueError: it is none.
    """
    process, space, route = name_of(key).partition(" ")
    if not space:
        raise ValueError(f"{key!r} is no outbound route in a process")
    return process, route
