"""What was said."""

from django.db import models


class Message(models.Model):
    """One message, under the name that its author had."""

    room = models.CharField(max_length=60)
    key = models.CharField(max_length=64)
    name = models.CharField(max_length=150)
    is_signed_in = models.BooleanField()
    text = models.TextField()
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["room", "-id"], name="chat_message_newest")]

    def __str__(self) -> str:
        return f"{self.room}: {self.text}"
