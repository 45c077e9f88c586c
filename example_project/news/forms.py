"""The form that announces."""

from django import forms

from .models import Announcement


class AnnouncementForm(forms.ModelForm):
    """The text of an announcement."""

    class Meta:
        model = Announcement
        fields = ["text"]
        widgets = {"text": forms.Textarea(attrs={"rows": 2, "placeholder": "What should everyone know?"})}
