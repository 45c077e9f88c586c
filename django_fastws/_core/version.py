"""Version of this package. It stands here alone: what is built takes it from here, and tests compare the rest."""

from __future__ import annotations

__all__ = ["__version__"]

#: As PyPI writes versions. That of the package for npm is the same, as npm writes versions.
__version__ = "0.1.0"
