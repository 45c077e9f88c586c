"""Signature of HTTP publish: who has signed a request, when, and whether that is what has arrived."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping

from .publish_keys import PublishKey

__all__ = ["HEADERS", "MOST_SECONDS", "BadSignature", "signature", "signer"]

#: The id of the key, the timestamp and the signature.
HEADERS = KEY_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER = "X-Fastws-Key", "X-Fastws-Timestamp", "X-Fastws-Signature"
#: That a timestamp may be off, into the past and into the future.
MOST_SECONDS = 300

_TIMESTAMP = re.compile(r"[0-9]{1,15}")
_SIGNATURE = re.compile(r"[0-9A-Fa-f]{64}")
#: In place of a key that there is not, so that it takes as long to find that out.
_NOBODY = PublishKey("", (b"nobody",), ())


class BadSignature(ValueError):
    """A request is not signed, or not by whom it says, or not now. The text is for its sender, and has no secret."""


def signature(secret: bytes, timestamp: str, body: bytes) -> bytes:
    """HMAC-SHA256 of a timestamp, a dot and the body, as they are sent; its hex is the header."""
    made = hmac.new(secret, timestamp.encode(), hashlib.sha256)
    made.update(b".")
    made.update(body)
    return made.digest()


def signer(keys: Mapping[str, PublishKey], headers: Mapping[str, str], body: bytes, now: float) -> PublishKey:
    """The key with which a request is signed.

    Whether there is a key of this id is not seen by the time that it takes to say no.

    Args:
        headers: those that a request has of the three.
        now: Unix seconds.
    Raises:
        BadSignature: with none.
    """
    for name in HEADERS:
        if not headers.get(name):
            raise BadSignature(f"{name} is missing")
    timestamp, given = headers[TIMESTAMP_HEADER], headers[SIGNATURE_HEADER]
    if not _TIMESTAMP.fullmatch(timestamp):
        raise BadSignature(f"{TIMESTAMP_HEADER} is no Unix time in whole seconds")
    if not _SIGNATURE.fullmatch(given):
        raise BadSignature(f"{SIGNATURE_HEADER} is not the hex of an HMAC-SHA256, which has 64 digits")
    off = int(timestamp) - int(now)
    if abs(off) > MOST_SECONDS:
        raise BadSignature(
            f"{TIMESTAMP_HEADER} is {abs(off)} seconds in the {'future' if off > 0 else 'past'}, and may be "
            f"{MOST_SECONDS}: sign each request anew, and set the clock"
        )
    key = keys.get(headers[KEY_HEADER], _NOBODY)
    if not _is_signed(key, max((len(one.secrets) for one in keys.values()), default=1), timestamp, given, body):
        raise BadSignature(f"there is no such key, or {SIGNATURE_HEADER} is not made with its secret, of this body")
    return key


def _is_signed(key: PublishKey, rounds: int, timestamp: str, given: str, body: bytes) -> bool:
    """Whether one of the secrets has made the signature, always after the same number of trials."""
    digest, found = bytes.fromhex(given), False
    for turn in range(rounds):
        secret = key.secrets[turn % len(key.secrets)]
        found |= hmac.compare_digest(signature(secret, timestamp, body), digest)
    return found and key is not _NOBODY
