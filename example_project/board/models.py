"""The notes on the board."""

from django.db import models

MAX_TEXT = 140  # characters


class Note(models.Model):
    """A note, and where it is: between 0 and 1, from the left and from the top, of what is free beside it."""

    text = models.CharField(max_length=MAX_TEXT, blank=True)
    x = models.FloatField()
    y = models.FloatField()
    key = models.CharField(max_length=64, help_text="Of the person who has put it there: its colour.")
    name = models.CharField(max_length=150)

    def __str__(self) -> str:
        return self.text
