"""Whether a channel layer can be reached, as this process has seen it: said once when it is lost, once when back."""

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
from .errors import CutOff

__all__ = ["LayerStatus", "Outage", "Server", "outage_of"]

logger = logging.getLogger("django_fastws.layer")


@dataclass(frozen=True, slots=True)
class LayerStatus:
    """What this process knows of its channel layer.

    Attributes:
        is_reachable: whether nothing is known to be wrong. It may be wrong all the same: nobody was asked.
        seconds: how long it has been out of reach; 0.0 if it is not.
        error: why it is out of reach, in words; empty if it is not.
    """

    is_reachable: bool
    seconds: float = 0.0
    error: str = ""


class Outage:
    """What is wrong with one layer in this process, in all its threads and event loops.

    An outage begins with the first that misses one of the layer's servers, and ends when nobody does any more.

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
        self._missing: dict[tuple[str, Hashable], BaseException] = {}
        self._error: BaseException | None = None
        self._began = 0.0
        self._count = 0

    @property
    def status(self) -> LayerStatus:
        """What is known."""
        with self._lock:
            if not self._missing:
                return LayerStatus(is_reachable=True)
            return LayerStatus(is_reachable=False, seconds=time.monotonic() - self._began, error=str(self._error))

    def server(self, name: str = "") -> Server:
        """One of the layer's servers."""
        return Server(self, name)

    def _lost(self, name: str, who: Hashable, error: BaseException) -> None:
        with self._lock:
            begins = not self._missing
            self._missing[name, who] = error
            if begins:
                self._error, self._began = error, time.monotonic()
                self._count += 1
                metrics.outages.add()
                what = "Fell behind the channel layer" if isinstance(error, CutOff) else "Lost the channel layer"
                logger.warning("%s, and keep trying: %s", what, error)
        if begins:
            _announce(layer_lost, self._sender, error=error)

    def _back(self, name: str, *who: Hashable) -> None:
        with self._lock:
            for one in who:
                self._missing.pop((name, one), None)
            if self._missing or self._error is None:
                return
            seconds, error, self._error = time.monotonic() - self._began, self._error, None
            metrics.outage_seconds.add(seconds)
            logger.warning("The channel layer is back after %.1f seconds", seconds)
        _announce(layer_restored, self._sender, error=error, seconds=seconds)

    def _errors(self, name: str) -> list[BaseException]:
        with self._lock:
            return [error for (server, _), error in self._missing.items() if server == name]


class Server:
    """One of the servers of a layer, as this process sees it.

    Whoever uses it says when it is lost and when it is back: a connection of an event loop as itself; threads, of
    which the next may notice what the last has lost, together, as None.
    """

    __slots__ = ("_outage", "name")

    def __init__(self, outage: Outage, name: str) -> None:
        self._outage = outage
        self.name = name

    @property
    def is_lost(self) -> bool:
        """Whether somebody misses it."""
        return bool(self._outage._missing) and bool(self._outage._errors(self.name))

    @property
    def error(self) -> BaseException | None:
        """Why it is lost, as the first who noticed says."""
        errors = self._outage._errors(self.name)
        return errors[0] if errors else None

    @property
    def outages(self) -> int:
        """How many outages of the layer there have been."""
        return self._outage._count

    def is_missed_by(self, who: Hashable) -> bool:
        """Whether this one misses it."""
        return (self.name, who) in self._outage._missing

    def lost(self, who: Hashable, error: BaseException) -> None:
        """It cannot be reached, or still cannot."""
        self._outage._lost(self.name, who, error)

    def back(self, *who: Hashable) -> None:
        """It can be reached, or these do not need it any more."""
        if self._outage._missing:
            self._outage._back(self.name, *who)


_announcements = BackgroundTasks(logger)


def _announce(signal: Signal, sender: type, **arguments: Any) -> None:
    """Tell the receivers: soon, if this thread runs an event loop, which must not be held up; else at once."""
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
    """What is known of a layer."""
    return _outages.of(layer)
