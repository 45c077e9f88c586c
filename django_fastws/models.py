"""Tables of histories that are kept in the database: rooms, their events, and their idempotency keys.

They are read and written by ``rooms.history_rows`` only. Times are milliseconds since 1970, by the clock of the
process that has stored the row.
"""

from __future__ import annotations

from django.db import models

__all__ = ["HistoryEvent", "HistoryKey", "HistoryRoom"]


class HistoryRoom(models.Model):
    """Room with a history: the counter of its offsets, whose row lock gives them the order of commits.

    Attributes:
        group: of the room, by which it is found; "seed" in one row, whose epoch is that of others.
        name: of the room, by which its declaration is found.
        offset: of the newest event.
        size: how many bytes of events are kept.
    """

    id = models.BigAutoField(primary_key=True)
    group = models.CharField(max_length=100, unique=True)
    name = models.TextField()
    epoch = models.CharField(max_length=32)
    offset = models.BigIntegerField()
    size = models.BigIntegerField()
    changed_ms = models.BigIntegerField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.name} at {self.epoch}:{self.offset}"


class HistoryEvent(models.Model):
    """Event of a room.

    Attributes:
        data: the envelope, as JSON.
        size: its bytes.
    """

    id = models.BigAutoField(primary_key=True)
    room = models.ForeignKey(HistoryRoom, on_delete=models.CASCADE, related_name="events", db_index=False)
    offset = models.BigIntegerField()
    stored_ms = models.BigIntegerField()
    size = models.IntegerField()
    data = models.BinaryField()

    class Meta:
        default_permissions = ()
        constraints = (models.UniqueConstraint(fields=("room", "offset"), name="fastws_event_of_room"),)

    def __str__(self) -> str:
        return f"event {self.offset}"


class HistoryKey(models.Model):
    """Idempotency key of a room.

    Attributes:
        digest: of the key.
        position: of the event that was stored with it.
    """

    id = models.BigAutoField(primary_key=True)
    room = models.ForeignKey(HistoryRoom, on_delete=models.CASCADE, related_name="keys", db_index=False)
    digest = models.CharField(max_length=64)
    position = models.CharField(max_length=64)
    expires_ms = models.BigIntegerField()

    class Meta:
        default_permissions = ()
        constraints = (models.UniqueConstraint(fields=("room", "digest"), name="fastws_key_of_room"),)
        indexes = (models.Index(fields=("room", "expires_ms"), name="fastws_key_expiry"),)

    def __str__(self) -> str:
        return f"{self.digest} at {self.position}"
