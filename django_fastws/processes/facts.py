"""Facts that a process tells of itself: who it is, its versions, its clock, its file descriptors."""

from __future__ import annotations

import os
import platform
import socket
import time
from typing import Any

import django

from .._core.version import __version__
from .responder import Responder, topics

resource: Any
try:
    import resource
except ImportError:  # not a POSIX system
    resource = None

__all__ = ["PROCESS_TOPIC", "descriptor_facts", "process_facts"]

PROCESS_TOPIC = "process"

_started = time.time()


def process_facts(responder: Responder, arguments: Any = None) -> dict[str, Any]:
    """What a process answers to whoever asks about it."""
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "kind": responder.kind,
        "time": time.time(),
        "started": _started,
        "draining": responder.is_draining,
        "versions": {
            "django_fastws": __version__,
            "django": django.get_version(),
            "python": platform.python_version(),
        },
        "descriptors": descriptor_facts(),
    }


def descriptor_facts() -> dict[str, int | None]:
    """How many file descriptors this process has open, and its limit; None where there is none, or nobody tells."""
    limit = None if resource is None else resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    is_bound = limit is not None and limit != resource.RLIM_INFINITY
    return {"open": _open_descriptors(), "limit": limit if is_bound else None}


def _open_descriptors() -> int | None:
    for path in ("/proc/self/fd", "/dev/fd"):
        try:
            return len(os.listdir(path))
        except OSError:
            continue
    return None


topics[PROCESS_TOPIC] = process_facts
