"""Client ids that are in use in this process, and whose they are."""

from __future__ import annotations

import threading

from .._core.forks import reset_in_child

__all__ = ["ClientIds", "client_ids"]


class ClientIds:
    """Client ids that live sockets have, each with its owner: a user, else a session, else nobody in particular.

    An id is public, so whoever sends it may be another than the page that has made it. What it stands for counts only
    together with the owner; and two owners cannot have the same one at the same time. Several sockets of one owner
    can: a page that comes back does before the end of its former connection is noticed. Threads may share it.
    """

    def __init__(self) -> None:
        self._uses: dict[str, tuple[str, int]] = {}
        self._lock = threading.Lock()
        reset_in_child(self)

    def take(self, client_id: str, owner: str) -> bool:
        """Use an id until it is given back; False if another owner has it."""
        with self._lock:
            former, count = self._uses.get(client_id, (owner, 0))
            if former != owner:
                return False
            self._uses[client_id] = (owner, count + 1)
            return True

    def give(self, client_id: str) -> None:
        """Give back what was taken."""
        with self._lock:
            owner, count = self._uses[client_id]
            if count == 1:
                del self._uses[client_id]
            else:
                self._uses[client_id] = (owner, count - 1)

    def reset(self) -> None:
        """Forget them: a forked child has none of the sockets."""
        self._uses, self._lock = {}, threading.Lock()

    def __len__(self) -> int:
        """Number of ids in use."""
        return len(self._uses)


#: Those of the process.
client_ids = ClientIds()
