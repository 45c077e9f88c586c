"""The page of the feed, and the form's target: plain sync views."""

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from . import consumers
from .consumers import LATEST, news
from .forms import AnnouncementForm
from .models import Announcement


def feed(request: HttpRequest) -> HttpResponse:
    """What was announced so far, and the form."""
    return _feed(request, AnnouncementForm())


@require_POST
def announce(request: HttpRequest) -> HttpResponse:
    """Save an announcement and push it to every open page."""
    form = AnnouncementForm(request.POST)
    if not form.is_valid():
        return _feed(request, form, status=422)
    form.instance.author = request.user.get_username()
    with transaction.atomic():
        announcement = form.save()
        consumers.announce(announcement)  # goes out after the commit
    return redirect("news:feed")


def _feed(request: HttpRequest, form: AnnouncementForm, status: int = 200) -> HttpResponse:
    context = {"form": form, "announcements": Announcement.objects.all()[:LATEST], "live_room": news().name}
    return render(request, "news/feed.html", context, status=status)
