"""What the feed is made of."""

from django.db import models

MAX_TEXT = 500  # characters


class Announcement(models.Model):
    """One announcement."""

    text = models.CharField(max_length=MAX_TEXT)
    author = models.CharField(max_length=150, blank=True, help_text="Empty if whoever wrote it was not logged in.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return self.text if len(self.text) <= 60 else f"{self.text[:59]}…"
