"""Announcements in the admin, which pushes as the form does."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from .consumers import announce
from .models import Announcement


@admin.register(Announcement)
class AnnouncementAdmin(admin.ModelAdmin):
    """Announcements: a new one is broadcast, an old one on demand."""

    list_display = ["__str__", "author", "created_at"]
    search_fields = ["text", "author"]
    readonly_fields = ["author", "created_at"]
    actions = ["broadcast_again"]

    def save_model(self, request: HttpRequest, obj: Announcement, form: Any, change: Any) -> None:
        if not change:
            obj.author = request.user.get_username()
        super().save_model(request, obj, form, change)
        announce(obj)  # the admin saves inside a transaction: this waits for its end

    @admin.action(description="Broadcast again")
    def broadcast_again(self, request: HttpRequest, queryset: QuerySet[Announcement]) -> None:
        """Push the chosen announcements once more."""
        for announcement in queryset.order_by("pk"):
            announce(announcement, again=True)
        self.message_user(request, f"Broadcast again: {queryset.count()}.", messages.SUCCESS)
