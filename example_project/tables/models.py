"""Who sits where."""

from django.db import models

TIMES = ["18:00", "19:30", "21:00"]
SEATS = {1: 2, 2: 2, 3: 4, 4: 4, 5: 6, 6: 8}  # by the number of the table


class Booking(models.Model):
    """One table at one time of this evening."""

    time = models.CharField(max_length=5, choices=[(time, time) for time in TIMES])
    table = models.PositiveSmallIntegerField(choices=[(table, f"Table {table}") for table in SEATS])
    guests = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=60)
    key = models.CharField(max_length=64, help_text="Of the person who may cancel it.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["time", "table"], name="one_booking_of_a_table")]

    def __str__(self) -> str:
        return f"{self.time}, table {self.table}: {self.name}"
