"""Checks of the machine: file descriptors, the backlog of the kernel, room for temporary files."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ..conf import conf
from ..processes import descriptor_facts
from .guarded import in_thread
from .result import CheckResult, failed, ok, skipped, warning

__all__ = ["judge_descriptors", "look_at_machine"]

_FEW, _SOME = 512, 4096  # descriptors: too few to serve anybody; enough for a start
_SPARE = 100  # of each process: files, the database, the layer
_RAISE = "Raise it: LimitNOFILE=65536 in the unit of systemd, --ulimit nofile=65536 of a container, or ulimit -n."

_SOMAXCONN = Path("/proc/sys/net/core/somaxconn")
_LEAST_BACKLOG = 1024
_LEAST_FREE = 256 * 1024 * 1024  # bytes


async def look_at_machine() -> Sequence[CheckResult]:
    """The limits of this machine, under which servers that are started here stand."""
    facts = descriptor_facts()
    return [
        judge_descriptors("descriptors", "This process", facts["open"], facts["limit"], conf.max_connections),
        _backlog(),
        await in_thread(_temporary),
    ]


def judge_descriptors(
    check: str, whose: str, opened: int | None, limit: int | None, most_connections: int | None
) -> CheckResult:
    """Whether a limit of file descriptors, one of which each socket takes, is enough.

    Args:
        whose: they are, to begin a sentence.
        opened: how many are open; None where that is not known.
        limit: None for none.
        most_connections: the setting; None for any number.
    """
    if limit is None:
        return ok(check, f"{whose} may open any number of files.")
    detail = f"{whose} may open {limit} files and sockets" + (f", and has {opened}" if opened is not None else "")
    if most_connections is not None and limit < most_connections + _SPARE:
        more = f"{detail}: fewer than FASTWS_MAX_CONNECTIONS = {most_connections} need."
        return failed(check, more, _RAISE)
    if limit < _FEW:
        return failed(check, f"{detail}: no more clients can be connected than that.", _RAISE)
    if opened is not None and opened > 0.8 * limit:
        return failed(check, f"{detail}: it is about to deny whoever comes next.", _RAISE)
    if limit < _SOME and most_connections is None:
        return warning(check, f"{detail}: no more clients can be connected than that.", _RAISE)
    return ok(check, f"{detail}.")


def _backlog() -> CheckResult:
    check = "backlog"
    try:
        most = int(_SOMAXCONN.read_text())
    except (OSError, ValueError):
        return skipped(check, "This system does not say how many connections may wait to be accepted.")
    if most < _LEAST_BACKLOG:
        return warning(
            check,
            f"{most} connections may wait to be accepted: after a restart, all clients come back at once.",
            "Set net.core.somaxconn to 4096 with sysctl.",
        )
    return ok(check, f"{most} connections may wait to be accepted.")


def _temporary() -> CheckResult:
    check = "temporary files"
    try:
        directory = tempfile.gettempdir()
        with tempfile.TemporaryFile() as file:
            file.write(b"fastws")
        free = shutil.disk_usage(directory).free
    except OSError as error:
        return failed(
            check, f"No temporary file can be written: {error}.", "Make TMPDIR a directory that the server may write."
        )
    detail = f"{free // (1024 * 1024)} MiB are free in {directory}, where the bodies of requests are kept."
    if free < _LEAST_FREE:
        return warning(check, detail, "Make room there, set TMPDIR, or bound bodies by FASTWS_MAX_SPOOL_BYTES.")
    return ok(check, detail)
