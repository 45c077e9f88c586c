"""The lowest versions that pyproject.toml allows, as constraints of pip: ``python -m tests.support.lowest``."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

__all__ = ["constraints"]

_PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?\s*>=\s*([0-9][0-9.]*)\s*(?:;.*)?")


def constraints() -> list[str]:
    """A line for each dependency of the package, the optional ones included.

    Raises:
        ValueError: a dependency has no lowest version.
    """
    project = tomllib.loads(_PYPROJECT.read_text(encoding="utf-8"))["project"]
    optional = [requirement for extra in project["optional-dependencies"].values() for requirement in extra]
    lines = []
    for requirement in [*project["dependencies"], *optional]:
        match = _REQUIREMENT.fullmatch(requirement)
        if match is None:
            raise ValueError(f"pyproject.toml: {requirement!r} is not of the form name>=version")
        lines.append(f"{match[1]}=={match[2]}")
    return lines


if __name__ == "__main__":
    print("\n".join(constraints()))
