"""Access log of the server: a line for each request and each step of a socket, in the log or in a file of its own."""

from __future__ import annotations

import datetime
import logging
import re
from functools import lru_cache
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from daphne.access import AccessLogGenerator

from ..masking import mask_path

__all__ = ["AccessFile", "AccessLog", "denial_details", "log_denied_handshake", "shown", "shown_client"]

_LONGEST = 200  # characters of a reason
#: What stands in no method or target, and Twisted lets through in part, over HTTP/2 most of it: it could act on a
#: terminal, or end a field of a line.
_NO_WORD = re.compile(r"[^!#-~]")

#: That of daphne's runserver.
_console = logging.getLogger("django.channels.server")
_requests = logging.getLogger("django_fastws.server.access")

_STEPS = {
    "connecting": "WSCONNECTING",
    "rejected": "WSREJECT",
    "connected": "WSCONNECT",
    "disconnected": "WSDISCONNECT",
}
_FIELDS = ("method", "path", "status", "size", "reason")


class AccessLog:
    """Access log in the log of the process, at INFO: in its format, with its time, and with fields."""

    @property
    def is_read(self) -> bool:
        """Whether anybody reads it."""
        return _requests.isEnabledFor(logging.INFO)

    def __call__(self, protocol: str, action: str, details: dict[str, Any]) -> None:
        """Log one request, or one step of a socket."""
        line, names = '%s "%s %s"', ["path"]
        if protocol == "http":
            if action != "complete":
                return
            line, names = '%s "%s %s" %s %s', ["path", "status", "size"]
        elif action == "rejected":
            line, names = '%s "%s %s" %s - "%s"', ["path", "status", "reason"]
        elif action not in _STEPS:
            return
        what = details["method"] if protocol == "http" else _STEPS[action]
        fields = {name: details[name] for name in _FIELDS if details.get(name) is not None}
        if "time_taken" in details:
            fields["seconds"] = round(details["time_taken"], 6)
        fields["address"] = details["client"]
        _requests.info(line, details["client"], what, *(details[name] for name in names), extra=fields)


class AccessFile(AccessLogGenerator):  # type: ignore[misc]
    """Access log in a file of its own, or on standard output, in something like NCSA's format; each line at once."""

    stream: Any

    def __call__(self, protocol: str, action: str, details: dict[str, Any]) -> None:
        """Write the line of one request, or of one step of a socket."""
        if protocol == "websocket" and action == "rejected":
            self.stream.write(
                f'{details["client"]} - - [{_ncsa_time()}] "WSREJECT {details["path"]}" {details["status"]} - '
                f'"{details["reason"]}"\n'
            )
        else:
            super().__call__(protocol, action, details)
        self.stream.flush()  # or it waits, in a pipe, for 8 kB more

    def write_entry(
        self,
        host: str,
        date: datetime.datetime,
        request: str,
        status: int | None = None,
        length: int | None = None,
        ident: str | None = None,
        user: str | None = None,
    ) -> None:
        """Write one line, with the offset of its time, which daphne leaves out."""
        self.stream.write(
            f'{host} {ident or "-"} {user or "-"} [{_ncsa_time(date)}] "{request}" {status or "-"} {length or "-"}\n'
        )


def _ncsa_time(date: datetime.datetime | None = None) -> str:
    return _ncsa_second((date or datetime.datetime.now()).replace(microsecond=0))


@lru_cache(maxsize=4)
def _ncsa_second(date: datetime.datetime) -> str:
    return date.astimezone().strftime("%d/%b/%Y:%H:%M:%S %z")


def log_denied_handshake(details: dict[str, Any]) -> None:
    """Log a handshake that was denied, as ``runserver`` does, with the reason."""
    _console.info("WebSocket REJECT %(path)s %(status)s %(reason)s [%(client)s]", details)


def denial_details(answer: tuple[int, list[tuple[bytes, bytes]], bytes] | None) -> dict[str, Any]:
    """Status and reason of an answer to a handshake, for one line of a log: the answer's text if it has any."""
    status, headers, body = answer or (403, [], b"")
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Denied"
    is_text = any(name == b"content-type" and value.startswith(b"text/plain") for name, value in headers)
    text = body[: 4 * _LONGEST].decode("utf-8", "replace") if is_text else ""
    text = "".join(char if char.isprintable() and char != '"' else " " for char in text[:_LONGEST]).strip()
    if text and not text.startswith(phrase):
        text = f"{phrase}: {text}"
    return {"status": status, "reason": text or phrase}


def shown_client(client: str | None) -> str:
    """Address of the client in daphne's details: without a port that nobody has told; of a Unix socket a hyphen."""
    return "-" if client is None else client.removesuffix(":0")


def shown(details: dict[str, Any]) -> dict[str, Any]:
    """Daphne's details as they may be logged: method and target are printable words without quotes or secrets."""
    words: dict[str, Any] = {name: _word(details[name]) for name in ("method", "path") if name in details}
    return {**details, **words, "client": shown_client(details["client"])}


def _word(text: object) -> str:
    return _NO_WORD.sub(lambda found: quote(found[0], safe=""), mask_path(text))
