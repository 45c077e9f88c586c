"""What there is to see at first: a few tickets and notes, for an empty database."""

from __future__ import annotations

from django.contrib.auth.models import User

from .board.models import Note
from .desk.consumers import post
from .desk.models import Ticket
from .people import actor

CONVERSATIONS = {
    "The lamp flickers": [
        ("Noah", "The desk lamp flickers as soon as the kettle is on. Is that the lamp, or the kettle?"),
        ("Iris", "Probably neither. Could you try another socket, and tell me whether it still does?"),
    ],
    "Where is order 1042?": [
        ("Maya", "Hello! My order should have been here on Tuesday."),
        ("Iris", "Good morning, Maya. It left us on Monday; let me ask the carrier."),
        ("Maya", "Thank you. I am at home until five."),
    ],
}
NOTES = [
    ("Noah", "Tea at four?", 0.08, 0.12),
    ("Maya", "Drag me. Somebody else sees it while it happens.", 0.42, 0.3),
    ("Iris", "Whoever is cut off gets the moves that were missed.", 0.76, 0.62),
]


def fill() -> None:
    """Add them, where there is none of their kind."""
    if not Ticket.objects.exists():
        for subject, messages in CONVERSATIONS.items():
            ticket = Ticket.objects.create(subject=subject)
            for name, text in messages:
                post(ticket.pk, actor(name), text)
    if not Note.objects.exists():
        for name, text, x, y in NOTES:
            author: User = actor(name)
            Note.objects.create(key=str(author.pk), name=name, text=text, x=x, y=y)
