"""Doctor: proves an installation, check by check, and says what is wrong and what to do; ``manage.py ws_doctor``.

Each module looks at one subject, and returns results; each of them has a deadline, and none raises for what is wrong
with the installation.
"""

from __future__ import annotations

from .examination import examine
from .result import CheckResult, exit_status, summary

__all__ = ["CheckResult", "examine", "exit_status", "summary"]
