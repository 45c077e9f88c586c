"""Rules of masking secrets: which names tell of one, and a path and query without their values; knows no settings.

``masking.py`` applies them with the names that the settings have.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import unquote

__all__ = ["MASKED_PARAMETERS", "is_secret", "mask_target"]

#: The words that tell of a secret, where no setting says otherwise.
MASKED_PARAMETERS = (
    "assertion",
    "auth",
    "authorization",
    "bearer",
    "code",
    "cookie",
    "credential",
    "csrf",
    "hmac",
    "jwt",
    "key",
    "nonce",
    "otp",
    "pass",
    "passphrase",
    "passwd",
    "password",
    "pwd",
    "saml",
    "secret",
    "session",
    "sid",
    "sig",
    "signature",
    "ticket",
    "token",
)

_MASK = "***"
_MOST_DECODINGS = 3
_SHORT = 4  # letters: such words are found in too many others
_SEPARATORS = re.compile(r"([?&;#])")
_ENCODED_SEPARATOR = re.compile(r"%(?:25)*(?:3f|26|3b|23)", re.IGNORECASE)
_USER = re.compile(r"^([a-z][a-z0-9+.-]*:)?//[^/?#]*@", re.IGNORECASE)
_RUNS = re.compile(r"[^\W\d_]+")
_HUMPS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def mask_target(target: str, words: Sequence[str] = MASKED_PARAMETERS) -> str:
    """The target of a request without what may be secret: path and query, or a whole URL.

    >>> mask_target("/feed?page=2&access_token=abc;%74oken=abc")
    '/feed?page=2&access_token=***;%74oken=***'

    A parameter's value is masked if its name contains one of the words, whatever the case, and whatever stands
    between the letters; a word of at most four letters must be a whole word of the name, or end one. Names are read
    percent-decoded, "&" and ";" separate parameters, also in a path, and a value that is itself a URL with such
    parameters is masked whole.

    Args:
        target: as the client has sent it.
        words: lower-case, of letters and digits.
    """
    return _mask(target, tuple(words), _MOST_DECODINGS)


def _mask(target: str, words: tuple[str, ...], decodings: int) -> str:
    target = _USER.sub(lambda match: f"{match[1] or ''}//{_MASK}@", target)
    if "=" not in target and "%3" not in target and "%253" not in target:
        return target
    path, *rest = _SEPARATORS.split(target)
    if _hides_secret(path, words, decodings) and (found := _ENCODED_SEPARATOR.search(path)):
        path = path[: found.end()] + _MASK
    fields = [_mask_field(field, words, decodings) for field in rest[1::2]]
    return path + "".join(separator + field for separator, field in zip(rest[::2], fields, strict=True))


def _mask_field(field: str, words: tuple[str, ...], decodings: int) -> str:
    name, equals, value = field.partition("=")
    if equals:
        hides = is_secret(name, words) or _hides_secret(value, words, decodings)
        return f"{name}={_MASK if hides and value else value}"
    return _MASK if _hides_secret(f"?{field}", words, decodings) else field


def _hides_secret(text: str, words: tuple[str, ...], decodings: int) -> bool:
    """Whether a secret shows when a text is percent-decoded."""
    if not decodings or "%" not in text:
        return False
    decoded = unquote(text)
    return _mask(decoded, words, decodings - 1) != decoded


@lru_cache(maxsize=1024)
def is_secret(name: str, words: tuple[str, ...]) -> bool:
    """Whether the name of a parameter tells of a secret, as :func:`mask_target` reads it."""
    for _ in range(_MOST_DECODINGS):
        name = unquote(name)
    joined = re.sub(r"[\W_]+", "", name.lower())
    parts = [run.lower() for run in _RUNS.findall(name)] + [hump.lower() for hump in _HUMPS.findall(name)]
    for word in words:
        if len(word) > _SHORT:
            if word in joined:
                return True
        elif any(part.removesuffix("s").endswith(word) or part.endswith(word) for part in parts):
            return True
    return False
