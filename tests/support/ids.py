"""Names of cases that are the same in every process, so that the tests can be shared out."""

from __future__ import annotations

import re

__all__ = ["shown"]


def shown(value: object) -> str:
    """``repr`` without addresses in memory."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))
