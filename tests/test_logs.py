"""The log has one format, of text or JSON: of all commands, of the reference, and of the example project."""

from __future__ import annotations

import datetime
import json
import logging
import re
import sys
from contextlib import contextmanager
from typing import Any

import pytest
from django.utils.log import RequireDebugTrue

from django_fastws.logs import LOG_FORMAT, JsonFormatter, TextFormatter, configure_log, log_to_stderr
from example_project.settings import LOGGING
from tests.support.processes import ROOT

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d"


def test_the_reference_and_the_example_have_it():
    page = (ROOT / "docs" / "reference" / "logging.md").read_text("utf-8")
    shown = re.search(r"^LOGGING = \{.*?^\}", page, re.MULTILINE | re.DOTALL)
    assert shown is not None
    namespace: dict[str, Any] = {}
    exec(shown[0], namespace)
    assert namespace["LOGGING"] == LOGGING


@contextmanager
def process_without_logging():
    """The loggers as they are on a project without LOGGING: within the test, where pytest adds handlers."""
    root, package, django = (logging.getLogger(name) for name in (None, "django_fastws", "django"))
    levels = [(logger, logger.level) for logger in (root, package)]
    with pytest.MonkeyPatch.context() as patch:
        for logger in (root, package, django):
            patch.setattr(logger, "handlers", [])
        patch.setattr(package, "propagate", True)
        package.setLevel(logging.NOTSET)
        root.setLevel(logging.WARNING)
        yield root, package
        for logger, level in levels:
            logger.setLevel(level)


def test_it_is_what_is_written_where_the_project_says_nothing(capsys):
    with process_without_logging():
        log_to_stderr()
        log_to_stderr()
        logging.getLogger("django_fastws.clients").info("Done in %d s", 3)
        logging.getLogger("another").info("not said")
        logging.getLogger("another").warning("said")
    first, second = capsys.readouterr().err.splitlines()
    assert re.fullmatch(TIME + r" \| INFO    \| django_fastws\.clients \| Done in 3 s", first)
    assert re.fullmatch(TIME + r" \| WARNING \| another \| said", second)


def test_the_setting_makes_it_json(capsys, settings):
    settings.FASTWS_LOG_FORMAT = "json"
    with process_without_logging():
        log_to_stderr()
        logging.getLogger("django_fastws.clients").info("Done", extra={"route": "/a"})
    line = json.loads(capsys.readouterr().err)
    assert (line["message"], line["route"], line["level"]) == ("Done", "/a", "INFO")


def test_a_format_of_the_command_line_has_the_last_word(capsys, settings):
    settings.FASTWS_LOG_FORMAT = "json"
    with process_without_logging():
        configure_log(logging.INFO, fmt="%(asctime)s %(message)s")
        logging.getLogger("anything").info("mine")
    assert re.fullmatch(TIME + " mine\n", capsys.readouterr().err)


def test_what_the_project_has_for_all_logs_stays():
    mine = logging.NullHandler()
    with process_without_logging() as (root, package):
        root.addHandler(mine)
        root.setLevel(logging.ERROR)
        log_to_stderr()
        assert (root.handlers, root.level, package.level) == ([mine], logging.ERROR, logging.NOTSET)


def test_what_it_has_for_the_package_alone_stays_and_nothing_is_said_twice(capsys):
    mine = logging.NullHandler()
    with process_without_logging() as (_, package):
        package.addHandler(mine)
        package.setLevel(logging.ERROR)
        log_to_stderr()
        assert (package.handlers, package.level) == ([mine], logging.ERROR)
        logging.getLogger("django_fastws.clients").error("once")
        logging.getLogger("another").warning("said")
    assert "once" not in (said := capsys.readouterr().err)
    assert "said" in said


def test_what_django_says_in_debug_is_said_once(capsys):
    with process_without_logging():
        console = logging.StreamHandler()
        console.addFilter(RequireDebugTrue())
        logging.getLogger("django").addHandler(console)
        log_to_stderr()
        assert logging.getLogger("django").handlers == []


# The formatters


def record(message: Any = "Hello", *args: Any, **extra: Any) -> logging.LogRecord:
    return logging.getLogger("some.where").makeRecord(
        "some.where", logging.WARNING, __file__, 1, message, args, None, extra=extra
    )


def as_json(made: logging.LogRecord) -> dict[str, Any]:
    line = JsonFormatter().format(made)
    assert "\n" not in line
    found: dict[str, Any] = json.loads(line)
    return found


def test_a_line_of_text_has_the_offset_of_its_time():
    made = record()
    time, level, name, message = TextFormatter().format(made).split(" | ")
    assert datetime.datetime.fromisoformat(time).timestamp() == pytest.approx(made.created, abs=0.001)
    assert re.fullmatch(TIME, time)
    assert (level, name, message) == ("WARNING", "some.where", "Hello")
    assert "%(asctime)s" in LOG_FORMAT


def test_a_format_of_times_is_that_of_logging():
    assert re.fullmatch(r"\d{4} Hello", TextFormatter("%(asctime)s %(message)s", "%Y").format(record()))


def test_a_line_of_json_has_what_a_record_has():
    made = record("It is %s", "here", connection_id="abc", user=None, code=1011)
    line = as_json(made)
    assert datetime.datetime.fromisoformat(line.pop("time")).timestamp() == pytest.approx(made.created, abs=0.001)
    assert line == {
        "level": "WARNING",
        "logger": "some.where",
        "message": "It is here",
        "process": made.process,
        "connection_id": "abc",
        "user": None,
        "code": 1011,
    }


def test_an_exception_and_a_stack_are_in_the_line():
    made = record()
    try:
        raise ValueError("wrong")
    except ValueError:
        made.exc_info = sys.exc_info()
    made.stack_info = "Stack (most recent call last):\n  here"
    line = as_json(made)
    assert line["exception"].startswith("Traceback")
    assert line["exception"].endswith("ValueError: wrong")
    assert line["stack"].endswith("here")


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError("no")


class Request:
    def __repr__(self) -> str:
        return "<Request: GET '/ws/chat?token=S3CRET&page=2'>"


IN_ITSELF: list[Any] = []
IN_ITSELF.append(IN_ITSELF)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (datetime.date(2026, 1, 2), "2026-01-02"),
        ({1: "a"}, {"1": "a"}),
        ({(1, 2): "a"}, "{(1, 2): 'a'}"),
        (float("nan"), None),
        (2**80, str(2**80)),
        ("\ud800", "\\ud800"),
        (IN_ITSELF, "[[...]]"),
        ({"a"}, "{'a'}"),
        (Broken(), "<Broken, whose repr() raised RuntimeError>"),
        ([Broken()], ["<Broken, whose repr() raised RuntimeError>"]),
        (Request(), "<Request: GET '/ws/chat?token=***&page=2'>"),
        ("two\nlines", "two\nlines"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_no_value_is_too_much(value: Any, shown: Any):
    assert as_json(record(value=value))["value"] == shown


def test_arguments_that_do_not_fit_are_shown():
    assert as_json(record("%d apples", "no"))["message"] == "%d apples ('no',)"
    assert as_json(record("\ud800"))["message"] == "\\ud800"
    assert as_json(record(Broken()))["message"] == "<Broken, whose repr() raised RuntimeError>"


def test_a_name_of_the_line_itself_is_not_lost():
    line = as_json(record(level=7, time="noon", exception="none"))
    assert (line["level"], line["extra_level"], line["extra_time"]) == ("WARNING", 7, "noon")
    assert line["extra_exception"] == "none"


def test_ids_of_traces_have_one_name_whoever_gives_them():
    theirs = {"otelTraceID": "a" * 32, "otelSpanID": "b" * 16, "otelServiceName": "shop"}
    line = as_json(record(**theirs))
    assert (line["trace_id"], line["span_id"], line["otelServiceName"]) == ("a" * 32, "b" * 16, "shop")
    assert not {"otelTraceID", "otelSpanID"} & line.keys()
    assert "trace_id" not in as_json(record(otelTraceID="0", otelSpanID="0"))
    assert as_json(record(trace_id="c" * 32, **theirs))["trace_id"] == "c" * 32


def test_the_example_of_the_reference_makes_lines_of_json(capsys):
    import logging.config

    page = (ROOT / "docs" / "reference" / "logging.md").read_text("utf-8")
    (shown,) = re.findall(r"```python\n(LOGGING = (?:(?!```).)*JsonFormatter.*?)```", page, re.DOTALL)
    namespace: dict[str, Any] = {}
    exec(shown, namespace)
    with process_without_logging():
        logging.config.dictConfig(namespace["LOGGING"])
        logging.getLogger("django_fastws.handlers").error("It failed", extra={"route": "/ws/chat/{room}"})
    line = json.loads(capsys.readouterr().err)
    assert (line["message"], line["route"]) == ("It failed", "/ws/chat/{room}")
