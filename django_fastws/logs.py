"""Log of the commands and of the server: its formats, text and JSON, and Python's warnings, which Twisted hides."""

from __future__ import annotations

import datetime
import logging
import sys
import warnings
from typing import Any, TextIO

import orjson
from django.conf import settings
from django.utils.log import RequireDebugTrue

from .conf import conf
from .masking import mask_path

__all__ = ["LOG_FORMAT", "JsonFormatter", "TextFormatter", "configure_log", "log_to_stderr", "reveal_warnings"]

LOG_FORMAT = "%(asctime)s | %(levelname)-7s | %(name)s | %(message)s"

#: Where ``logging.captureWarnings()`` puts them, too.
_warnings = logging.getLogger("py.warnings")
_package = logging.getLogger("django_fastws")


class TextFormatter(logging.Formatter):
    """Formatter of the commands' log, for people: one line for each record, with a time of ISO 8601.

    Args:
        fmt: as ``logging.Formatter`` takes it.
        datefmt: as ``logging.Formatter`` takes it; None for ``2026-11-30T20:25:37.123+00:00``, in local time.
    """

    def __init__(self, fmt: str = LOG_FORMAT, datefmt: str | None = None) -> None:
        super().__init__(fmt, datefmt)

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        """The time of a record."""
        return _iso_time(record) if datefmt is None else super().formatTime(record, datefmt)


class JsonFormatter(logging.Formatter):
    """Formatter for programs that read the log: one JSON object in one line for each record.

    Its keys are ``time`` (ISO 8601, with milliseconds and the offset), ``level``, ``logger``, ``message`` and
    ``process``; whatever ``extra=``, a filter or a record factory has given the record, under its own name; and
    ``exception`` and ``stack``, each one text, where there are such. ``trace_id`` and ``span_id`` are those of the
    record, else those that OpenTelemetry's instrumentation of logging has put there.

    It never fails: a value without a JSON form is its ``repr()``, with secrets in paths masked as
    ``FASTWS_LOG_MASKED_PARAMETERS`` says. What the message itself says is not masked.
    """

    def __init__(self) -> None:
        super().__init__()

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record, without a line break in it."""
        line: dict[str, Any] = {
            "time": _iso_time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": _message(record),
            "process": record.process,
        }
        taken = {*line, "exception", "stack"}
        for name, value in vars(record).items():
            if name in _OF_EVERY_RECORD:
                continue
            if name in _OF_OPENTELEMETRY:
                if value in (None, "", "0") or hasattr(record, _OF_OPENTELEMETRY[name]):
                    continue
                name = _OF_OPENTELEMETRY[name]
            line[f"extra_{name}" if name in taken else name] = value
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = self.formatException(record.exc_info)
        elif record.exc_text:
            line["exception"] = record.exc_text
        if record.stack_info:
            line["stack"] = self.formatStack(record.stack_info)
        try:
            return _json(line)
        except (TypeError, ValueError):  # some value is to blame
            return _json({_clean(name): _jsonable(value) for name, value in line.items()})


#: Attributes that every record has: what else it has, somebody has given it.
_OF_EVERY_RECORD = frozenset(
    {*vars(logging.LogRecord("", 0, "", 0, "", None, None)), "asctime", "message", "taskName"}
)
_OF_OPENTELEMETRY = {"otelTraceID": "trace_id", "otelSpanID": "span_id"}
_OPTIONS = orjson.OPT_NON_STR_KEYS


def _iso_time(record: logging.LogRecord) -> str:
    return datetime.datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds")


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # the arguments do not fit the text, or it is an object that cannot be shown
        text = _shown(record.msg)
        return f"{text} {_shown(record.args)}" if record.args else text


def _json(value: Any) -> str:
    return orjson.dumps(value, default=_shown, option=_OPTIONS).decode()


def _jsonable(value: Any) -> Any:
    try:
        _json(value)
    except (TypeError, ValueError):  # too large an int, half of a surrogate pair, a list in itself
        return _shown(value)
    return value


def _shown(value: Any) -> str:
    try:
        text = value if isinstance(value, str) else mask_path(repr(value))
    except Exception as error:
        text = f"<{type(value).__name__}, whose repr() raised {type(error).__name__}>"
    return _clean(text)


def _clean(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


# Where it goes


def configure_log(
    level: int = logging.WARNING, *, fmt: str | None = None, package_level: int = logging.NOTSET
) -> None:
    """Write the log of this process to standard error, in the format of ``FASTWS_LOG_FORMAT``.

    A project whose LOGGING has a handler for the root logger has the last word: then nothing is changed. If it has
    one for the package alone, that gets what the package says, and this the rest.

    Args:
        level: of the root logger.
        fmt: a format of text, in place of both.
        package_level: of the package's logger, where the project says nothing of it; NOTSET for the root's.
    """
    root = logging.getLogger()
    if root.handlers:
        return
    handler = logging.StreamHandler()
    handler.setFormatter(_formatter() if fmt is None else TextFormatter(fmt))
    root.addHandler(handler)
    root.setLevel(level)
    if _package.handlers:
        _package.propagate = False
    elif _package.level == logging.NOTSET:
        _package.setLevel(package_level)
    project: Any = settings.LOGGING
    if "django" not in (project.get("loggers") or {}):
        _take_console()


def log_to_stderr() -> None:
    """Show what the package logs from INFO on, and of all others warnings, unless LOGGING says where it goes."""
    configure_log(package_level=logging.INFO)


def _formatter() -> logging.Formatter:
    return JsonFormatter() if conf.log_format == "json" else TextFormatter()


def _take_console() -> None:
    """Take away the handler that Django gives its own log in DEBUG: the root logger's says the same."""
    logger = logging.getLogger("django")
    for handler in list(logger.handlers):
        is_of_debug = any(isinstance(one, RequireDebugTrue) for one in handler.filters)
        if is_of_debug and type(handler) is logging.StreamHandler:
            logger.removeHandler(handler)


def reveal_warnings() -> None:
    """Take the warnings back from Twisted's log, which daphne sends nowhere; and what daphne prints goes out at once.

    Python itself says a warning once for each place. Nothing happens on other servers.
    """
    owner: Any = getattr(warnings.showwarning, "__self__", None)
    if owner is None or not type(owner).__module__.startswith("twisted."):
        return
    former = warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if file is None:
            _warnings.warning("%s", warnings.formatwarning(message, category, filename, lineno, line).rstrip())
        else:
            former(message, category, filename, lineno, file, line)

    warnings.showwarning = show
    # daphne's access log: in a pipe, what is printed waits for 8 kB more.
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(line_buffering=True)
