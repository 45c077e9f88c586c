"""Outages of a channel layer, as this process has seen them: logged and signalled once when they begin and end."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from django.dispatch import Signal

from .. import metrics
from .._core.forks import reset_in_child
from ..loops import running_loop
from ..signals import layer_lost, layer_restored
from ..tasks import BackgroundTasks
from .errors import OutputBufferLimitError

__all__ = ["LayerStatus", "Outage", "LayerServer", "outage_of"]

logger = logging.getLogger("django_fastws.layer")


@dataclass(frozen=True, slots=True)
class LayerStatus:
    """State of the channel layer, as far as this process knows it.

    Attributes:
        is_reachable: whether nothing is known to be wrong. It may be wrong all the same: nobody was asked.
        seconds: how long it has been out of reach; 0.0 if it is not.
        error: why it is out of reach, in words; empty if it is not.
    """

    is_reachable: bool
    seconds: float = 0.0
    error: str = ""


class Outage:
    """Outage tracker of one layer in this process, for all its threads and event loops.

    An outage begins with the first user who loses one of the layer's servers, and ends when all have it back.

    Args:
        sender: of the signals.
    """

    def __init__(self, sender: type) -> None:
        self._sender = sender
        self.reset()
        reset_in_child(self)

    def reset(self) -> None:
        """Begin anew in a forked child: its parent's connections, and their troubles, are not its own."""
        self._lock = threading.RLock()
        self._lost: dict[tuple[str, Hashable], BaseException] = {}
        self._error: BaseException | None = None
        self._began = 0.0
        self._count = 0

    @property
    def status(self) -> LayerStatus:
        """State of the layer, as far as this process knows it."""
        with self._lock:
            if not self._lost:
                return LayerStatus(is_reachable=True)
            return LayerStatus(is_reachable=False, seconds=time.monotonic() - self._began, error=str(self._error))

    def server(self, name: str = "") -> LayerServer:
        """One of the layer's servers."""
        return LayerServer(self, name)

    def _report_lost(self, name: str, user: Hashable, error: BaseException) -> None:
        with self._lock:
            begins = not self._lost
            self._lost[name, user] = error
            if begins:
                self._error, self._began = error, time.monotonic()
                self._count += 1
                metrics.outages.add()
                what = (
                    "Fell behind the channel layer"
                    if isinstance(error, OutputBufferLimitError)
                    else "Lost the channel layer"
                )
                logger.warning("%s, and keep trying: %s", what, error)
        if begins:
            _announce(layer_lost, self._sender, error=error)

    def _report_restored(self, name: str, *users: Hashable) -> None:
        with self._lock:
            for user in users:
                self._lost.pop((name, user), None)
            if self._lost or self._error is None:
                return
            seconds, error, self._error = time.monotonic() - self._began, self._error, None
            metrics.outage_seconds.add(seconds)
            logger.warning("The channel layer is back after %.1f seconds", seconds)
        _announce(layer_restored, self._sender, error=error, seconds=seconds)

    def _errors(self, name: str) -> list[BaseException]:
        with self._lock:
            return [error for (server, _), error in self._lost.items() if server == name]


class LayerServer:
    """State of one server of a layer, as its users in this process report it.

    Users are the connections of event loops, each for itself, and the threads together, as None: one thread may
    notice what another has lost.
    """

    __slots__ = ("_outage", "name")

    def __init__(self, outage: Outage, name: str) -> None:
        self._outage = outage
        self.name = name

    @property
    def is_lost(self) -> bool:
        """Whether it is lost for any of its users."""
        return bool(self._outage._lost) and bool(self._outage._errors(self.name))

    @property
    def error(self) -> BaseException | None:
        """Why it is lost, as the first user to notice says."""
        errors = self._outage._errors(self.name)
        return errors[0] if errors else None

    @property
    def outages(self) -> int:
        """Number of outages of the layer so far."""
        return self._outage._count

    def is_lost_for(self, user: Hashable) -> bool:
        """Whether it is lost for this user."""
        return (self.name, user) in self._outage._lost

    def report_lost(self, user: Hashable, error: BaseException) -> None:
        """A user cannot reach it, or still cannot."""
        self._outage._report_lost(self.name, user, error)

    def report_restored(self, *users: Hashable) -> None:
        """These users can reach it, or do not need it any more."""
        if self._outage._lost:
            self._outage._report_restored(self.name, *users)


_announcements = BackgroundTasks(logger)


def _announce(signal: Signal, sender: type, **arguments: Any) -> None:
    """Call the receivers of a signal: soon if this thread runs an event loop, which must not be blocked; else now."""
    if not signal.has_listeners(sender):
        return
    loop = running_loop()
    if loop is None:
        signal.send_robust(sender, **arguments)  # Django logs the errors of receivers
        return
    earlier = [task for task in _announcements if task.get_loop() is loop]

    async def tell() -> None:
        if earlier:
            await asyncio.wait(earlier)
        await signal.asend_robust(sender, **arguments)

    _announcements.start(tell())


class _Outages:
    """Outages of all layers of this process."""

    def __init__(self) -> None:
        self._of_layers: WeakKeyDictionary[Any, Outage] = WeakKeyDictionary()
        self.reset()
        reset_in_child(self)

    def reset(self) -> None:
        """Begin anew in a forked child."""
        self._lock = threading.Lock()

    def of(self, layer: Any) -> Outage:
        """The outage of a layer."""
        with self._lock:
            found = self._of_layers.get(layer)
            if found is None:
                found = self._of_layers[layer] = Outage(type(layer))
            return found


_outages = _Outages()


def outage_of(layer: Any) -> Outage:
    """Outage tracker of a layer."""
    return _outages.of(layer)
