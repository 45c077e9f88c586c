"""Tickets, what was said in them, and how far everybody has read."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import models

MAX_SUBJECT, MAX_TEXT, EXCERPT = 120, 2000, 120  # characters


class Ticket(models.Model):
    """One ticket, with what the list shows of it."""

    subject = models.CharField(max_length=MAX_SUBJECT)
    count = models.PositiveIntegerField(default=0, help_text="Of its messages: the number of the newest.")
    last_key = models.CharField(max_length=64, blank=True)
    last_name = models.CharField(max_length=150, blank=True)
    last_text = models.CharField(max_length=EXCERPT, blank=True)
    changed_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return self.subject


class Message(models.Model):
    """One message. In its ticket, the numbers have no gaps, so that counting what is unread is a subtraction."""

    ticket = models.ForeignKey(Ticket, models.CASCADE, related_name="messages")
    number = models.PositiveIntegerField()
    author = models.ForeignKey(User, models.CASCADE, related_name="+")
    text = models.TextField(max_length=MAX_TEXT)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["number"]
        constraints = [models.UniqueConstraint(fields=["ticket", "number"], name="one_message_of_a_number")]

    def __str__(self) -> str:
        return f"{self.number}: {self.text}"


class Seat(models.Model):
    """What a ticket knows of one user: how far they have read, and until when they have to stay out."""

    ticket = models.ForeignKey(Ticket, models.CASCADE, related_name="seats")
    user = models.ForeignKey(User, models.CASCADE, related_name="+")
    read = models.PositiveIntegerField(default=0, help_text="The number of a message.")
    out_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["ticket", "user"], name="one_seat_of_a_user")]

    def __str__(self) -> str:
        return f"{self.user} has read up to {self.read}"
