"""The examples of the documentation, loaded as modules of their own."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

from tests.docs.blocks import EXAMPLES

__all__ = ["load", "names"]


def names() -> set[str]:
    """The names of all examples."""
    return {path.stem for path in EXAMPLES.glob("*.py")}


def load(name: str) -> ModuleType:
    """Execute an example anew. Its routes go to the registry: isolate that with the fixture ``routes``."""
    path = EXAMPLES / f"{name}.py"
    module_name = f"docs.examples.{name}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    spec.loader.exec_module(module)
    return module
