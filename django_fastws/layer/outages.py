"""Outages of a channel layer, as this process has seen them: logged and signalled once when they begin and end."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from .. import metrics
from .._core.forks import reset_in_child
from ..signals import layer_lost, layer_restored
from .announcements import announce
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
                metrics.layer_outages.add()
                what = (
                    "Fell behind the channel layer"
                    if isinstance(error, OutputBufferLimitError)
                    else "Lost the channel layer"
                )
                logger.warning("%s, and keep trying: %s", what, error)
        if begins:
            announce(layer_lost, self._sender, error=error)

    def _end_for(self, name: str, users: tuple[Hashable, ...], *, is_back: bool) -> None:
        with self._lock:
            for user in users:
                self._lost.pop((name, user), None)
            if self._lost or self._error is None:
                return
            seconds, error, self._error = time.monotonic() - self._began, self._error, None
            metrics.layer_outage_seconds.add(seconds)
            if is_back:
                logger.warning("The channel layer is back after %.1f seconds", seconds)
            else:
                logger.debug("Nobody here needs the channel layer any more, which was lost for %.1f seconds", seconds)
        announce(layer_restored, self._sender, error=error, seconds=seconds)

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
        """These users can reach it."""
        if self._outage._lost:
            self._outage._end_for(self.name, users, is_back=True)

    def give_up(self, *users: Hashable) -> None:
        """These users do not need it any more, whether it is back or not."""
        if self._outage._lost:
            self._outage._end_for(self.name, users, is_back=False)


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

    @property
    def seconds(self) -> float:
        """How long the layers are lost that are lost now, all together."""
        with self._lock:
            every = list(self._of_layers.values())
        return sum(outage.status.seconds for outage in every)


_outages = _Outages()
metrics.layer_outage_seconds.read_also(lambda: [((), _outages.seconds)])


def outage_of(layer: Any) -> Outage:
    """Outage tracker of a layer."""
    return _outages.of(layer)
