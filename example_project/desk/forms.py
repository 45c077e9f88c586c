"""The form that opens a ticket."""

from django import forms

from .models import MAX_SUBJECT, MAX_TEXT


class TicketForm(forms.Form):
    """What a ticket is about, and its first message."""

    subject = forms.CharField(max_length=MAX_SUBJECT, label="Subject")
    text = forms.CharField(
        max_length=MAX_TEXT, label="What is wrong?", widget=forms.Textarea(attrs={"rows": 3, "dir": "auto"})
    )
