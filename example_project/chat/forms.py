"""What a room may be called."""

import unicodedata

from django import forms
from django.core.exceptions import ValidationError

MAX_ROOM = 60  # characters


class RoomForm(forms.Form):
    """The name of a room, as it can stand in a URL."""

    room = forms.CharField(max_length=MAX_ROOM, label="Room")

    def clean_room(self) -> str:
        # "é" may be one character or two, depending on the keyboard; it is one room.
        name = unicodedata.normalize("NFC", self.cleaned_data["room"])
        if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in name):
            raise ValidationError("A room's name is one line, without control characters.")
        if any(part in (".", "..") for part in name.split("/")):
            # Browsers resolve these, even percent-encoded.
            raise ValidationError('A room cannot be called "." or "..", nor have one between slashes.')
        return name
