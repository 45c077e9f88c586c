"""Models: the tables of histories that are kept in the database; and what the console shows, which has no tables.

The tables have rooms, their events, and their idempotency keys. They are read and written by ``rooms.history_rows``
only. Times are milliseconds since 1970, by the clock of the process that has stored the row.

The others are there for the permissions, the content types and the log of Django's admin. Their rows are in no
database: ``objects`` is always empty, also for those who ask every model, such as ``dumpdata``.
"""

from __future__ import annotations

from django.db import models

__all__ = ["HistoryEvent", "HistoryKey", "HistoryRoom", "OutboundRoute", "Process", "Room", "Socket"]


class HistoryRoom(models.Model):
    """Room with a history: the counter of its offsets, whose row lock gives them the order of commits.

    Attributes:
        group: of the room, by which it is found; "seed" in one row, whose epoch is that of others.
        name: of the room, by which its declaration is found; as JSON behind "json:" where it is not printable.
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


class NoRows(models.Manager[models.Model]):
    """Manager of a model without a table."""

    def get_queryset(self) -> models.QuerySet[models.Model]:
        """No rows, and no query for them."""
        return super().get_queryset().none()


class WithoutTable(models.Model):
    """What the console shows, for the permissions and the log of Django's admin."""

    objects = NoRows()

    class Meta:
        abstract = True
        managed = False
        base_manager_name = "objects"
        default_permissions = ()


class Process(WithoutTable):
    """Process that serves, or runs outbound routes, by its name."""

    name = models.CharField(max_length=255, primary_key=True)

    class Meta(WithoutTable.Meta):
        verbose_name_plural = "processes"
        permissions = (("view_process", "Can view processes"), ("drain_process", "Can drain processes"))

    def __str__(self) -> str:
        return self.name


class Socket(WithoutTable):
    """WebSocket that came in, by its id."""

    id = models.CharField(max_length=255, primary_key=True)

    class Meta(WithoutTable.Meta):
        permissions = (("view_socket", "Can view sockets"), ("close_socket", "Can close sockets"))

    def __str__(self) -> str:
        return self.id


class Room(WithoutTable):
    """Room, by its name, as the URLs of the admin have it."""

    name = models.CharField(max_length=255, primary_key=True)

    class Meta(WithoutTable.Meta):
        permissions = (
            ("view_room", "Can view rooms and who is in them"),
            ("read_room", "Can read what is said in rooms"),
            ("kick_room", "Can kick members from rooms"),
            ("publish_room", "Can broadcast to rooms"),
            ("clear_room", "Can clear the history of rooms"),
        )

    def __str__(self) -> str:
        return self.name


class OutboundRoute(WithoutTable):
    """Outbound route in one process, by both."""

    name = models.CharField(max_length=255, primary_key=True)

    class Meta(WithoutTable.Meta):
        permissions = (
            ("view_outboundroute", "Can view outbound routes"),
            ("restart_outboundroute", "Can restart outbound routes"),
        )

    def __str__(self) -> str:
        return self.name
