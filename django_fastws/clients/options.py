"""Values of outbound options at each attempt: those that are callables, sync or async, are called anew.

Which options there are, with their defaults and checks, ``routing/outbound_options.py`` says.
"""

from __future__ import annotations

import inspect
from typing import Any

from asgiref.sync import sync_to_async

__all__ = ["resolve"]


async def resolve(option: Any) -> Any:
    """Resolve an option: call it if it is a callable. A sync one runs in a thread, where it may use the ORM."""
    if not callable(option):
        return option
    if inspect.iscoroutinefunction(option) or inspect.iscoroutinefunction(option.__call__):
        return await option()
    value = await sync_to_async(option)()
    return await value if inspect.isawaitable(value) else value
