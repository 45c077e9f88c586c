#!/usr/bin/env python
"""Parts of the pages that are made from tables of the package, settings, limits, metrics, traces, and pyproject.toml.

Of ``docs/reference/settings.md`` it writes the table, and the first paragraph of every section of a setting; what
stands below that paragraph is written by hand. Of the pages that list the rest it writes the tables.
``make format`` runs this, ``make check`` runs it with ``--check``, and so does a test.
"""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
import tomllib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from django_fastws.conf import SETTINGS, Setting
from django_fastws.limits import LIMITS, OPTIONS, Limit
from django_fastws.log_fields import FIELDS
from django_fastws.metrics import Metric, all_metrics
from django_fastws.tracing import ATTRIBUTES, KINDS, Attribute, WorkKind

__all__ = ["PAGES", "main", "settings_page"]

DOCS = Path(__file__).resolve().parent
_COLUMNS = 120
_SECTION = re.compile(r"^## (FASTWS_\w+)\n+(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)


def settings_page(text: str) -> str:
    """The page of the settings, with the table and the first paragraphs as the table of settings has them."""
    settings = [SETTINGS[name] for name in sorted(SETTINGS)]
    text = _with_table(text, "| Setting | Default | Takes |", (_setting_cells(setting) for setting in settings))
    by_hand = {match[1]: match[2].partition("\n\n")[2].strip("\n") for match in _SECTION.finditer(text)}
    sections = "".join(_section(setting, by_hand.get(setting.name, "")) for setting in settings)
    first, *_, last = _SECTION.finditer(text)
    return text[: first.start()] + sections + text[last.end() :]


def _setting_cells(setting: Setting[Any]) -> tuple[str, ...]:
    return f"[`{setting.name}`](#{setting.name.lower()})", f"`{_shown(setting.default)}`", setting.kind.wanted


def _shown(default: Any) -> str:
    return repr(default).replace("'", '"')


def _section(setting: Setting[Any], by_hand: str) -> str:
    wording = "\n".join(textwrap.wrap(_wording(setting), _COLUMNS, break_long_words=False, break_on_hyphens=False))
    return f"## {setting.name}\n\n{wording}\n\n" + (f"{by_hand}\n\n" if by_hand else "")


def _wording(setting: Setting[Any]) -> str:
    codes = [str(limit.code) for limit in LIMITS if limit.setting is setting]
    return setting.wording.replace("{code}", codes[0]) if codes else setting.wording


def limits_page(text: str) -> str:
    """The reference of the limits, with all of them."""
    return _with_table(text, "| Argument | Setting | Of | Per | Over it |", map(_limit_cells, LIMITS))


def _limit_cells(limit: Limit[Any]) -> tuple[str, ...]:
    argument = f"`{limit.name}`" if limit.is_option else ""
    name = limit.setting.name if limit.setting is not None else ""
    setting = f"[`{name}`](settings.md#{name.lower()})" if name else ""
    return argument, setting, limit.wording, limit.scope, f"{limit.code} `{limit.reason.replace('{limit}', '...')}`"


def decorator_page(text: str) -> str:
    """The reference of the decorator, or how to use it, with the limits that are its options."""
    rows = ((f"`{limit.name}`", limit.wording, limit.scope, str(limit.code)) for limit in OPTIONS.values())
    return _with_table(text, "| Limit | Of | Per | Over it |", rows)


def logging_page(text: str) -> str:
    """The page of the log, with the fields of its records."""
    return _with_table(text, "| Field | What it is |", ((f"`{name}`", wording) for name, wording in FIELDS.items()))


def metrics_page(text: str) -> str:
    """The page of the metrics, with all of them."""
    return _with_table(text, "| Name | Kind | Labels | Unit | What it counts |", map(_metric_cells, all_metrics()))


def _metric_cells(metric: Metric) -> tuple[str, ...]:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"`{metric.exposed}`", metric.kind, labels, metric.unit, metric.meaning


def traces_page(text: str) -> str:
    """The page of the traces, with all kinds of spans and their attributes."""
    text = _with_table(text, "| Name | Kind | Part of | From when to when |", map(_kind_cells, _SPANS))
    return _with_table(text, "| Attribute | Of | What it has |", map(_attribute_cells, ATTRIBUTES))


_SPANS = [kind for kind in KINDS if kind.side]
_PARENTS = {
    "headers": "`traceparent` of the handshake",
    "current": "the current span",
    "publisher": "the broadcast",
    "none": "",
}
#: What stands in names for the route, or the pattern of the room.
_SUBJECTS = {"http.route": "{route}", "fastws.route": "{route}", "": ""}


def _kind_cells(kind: WorkKind) -> tuple[str, ...]:
    name = kind.name(_SUBJECTS.get(kind.subject, "{pattern}"), "{event}")
    return f"`{name}`", kind.side, _PARENTS[kind.parent], kind.meaning


def _attribute_cells(attribute: Attribute) -> tuple[str, ...]:
    of = "all" if len(attribute.kinds) == len(_SPANS) else ", ".join(f"`{kind.word}`" for kind in attribute.kinds)
    return f"`{attribute.name}`", of, attribute.meaning


def versions_page(text: str) -> str:
    """The page of the versions, with what pyproject.toml says of them."""
    project = tomllib.loads((DOCS.parent / "pyproject.toml").read_text("utf-8"))["project"]
    return _with_table(text, "| Needs | Releases |", _version_cells(project))


def _version_cells(project: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, classifier in (("Python", "Programming Language :: Python"), ("Django", "Framework :: Django")):
        told = re.compile(rf"{classifier} :: (\d+\.\d+)")
        yield name, ", ".join(match[1] for text in project["classifiers"] if (match := told.fullmatch(text)))
    for requirement in project["dependencies"]:
        if not requirement.startswith("django>"):
            yield _requirement_cells(requirement)
    for extra, requirements in project["optional-dependencies"].items():
        for requirement in requirements:
            name, releases = _requirement_cells(requirement)
            yield f"{name}, of the extra `{extra}`", releases


def _requirement_cells(requirement: str) -> tuple[str, str]:
    name, _, lowest = requirement.partition(">=")
    return f"`{name}`", f"{lowest} or newer"


def _with_table(text: str, header: str, rows: Iterable[tuple[str, ...]]) -> str:
    """A page whose table with this header has these rows.

    Raises:
        ValueError: the page has no such table.
    """
    before, found, behind = text.partition(f"{header}\n")
    if not found:
        raise ValueError(f"there is no table {header!r}")
    rule = "|---" * (header.count("|") - 1) + "|\n"
    behind = re.sub(r"\A(?:\|.*\n)*", "", behind)
    return before + found + rule + "".join(f"| {' | '.join(cells)} |\n" for cells in rows) + behind


#: What makes each page.
PAGES: dict[str, Callable[[str], str]] = {
    "howto/limits.md": decorator_page,
    "reference/fastws.md": decorator_page,
    "reference/limits.md": limits_page,
    "reference/logging.md": logging_page,
    "reference/metrics.md": metrics_page,
    "reference/settings.md": settings_page,
    "reference/tracing.md": traces_page,
    "reference/versions.md": versions_page,
}


def main(arguments: list[str] | None = None) -> int:
    """Write the pages, or check them. Returns the exit status."""
    parser = argparse.ArgumentParser(description="Write the tables of the package into the reference.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a page is not up to date")
    options = parser.parse_args(arguments)
    failed = False
    for name, made in PAGES.items():
        path = DOCS / name
        text = path.read_text("utf-8")
        if (wanted := made(text)) == text:
            continue
        if options.check:
            failed = True
            sys.stderr.write(f"docs/{name} is not what the package's table says: run `make format`.\n")
        else:
            path.write_text(wanted, "utf-8")
            sys.stderr.write(f"docs/{name}: written\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
