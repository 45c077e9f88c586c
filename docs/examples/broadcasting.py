"""Broadcasts from wherever something happens."""

from django.contrib import admin
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models.signals import post_save
from django.dispatch import receiver
from django.http import HttpResponse
from django.views.decorators.http import require_POST
from django_fastws import FastWS, Room, WebSocket, WebSocketConnectionError

app = FastWS(prefix="/ws")


@app.websocket("/news/{room}")
async def news(ws: WebSocket, room: str):
    await ws.accept()
    await ws.join(room)
    await ws.send({"type": "joined", "id": ws.id})
    async for _ in ws:
        pass


# A view


@require_POST
def publish(request):
    Room("news").broadcast({"type": "news", "text": request.POST["text"]})
    return HttpResponse(status=204)


# An async view


async def apublish(request):
    await Room("news").abroadcast({"type": "news", "text": request.POST["text"]})
    return HttpResponse(status=204)


# A signal


@receiver(post_save, sender=User)
def tell_staff(sender, instance, created, **kwargs):
    if created:
        Room("staff").broadcast({"type": "user_created", "username": instance.username})


# An admin action


@admin.action(description="Tell these users to reload")
def tell_to_reload(modeladmin, request, queryset):
    for user in queryset:
        Room(f"user-{user.pk}").broadcast({"type": "reload"})


# A task


def finish_report(report_id):
    """With Celery, @shared_task goes above this function; nothing else changes."""
    url = f"/reports/{report_id}.pdf"  # the work goes here
    Room(f"report-{report_id}").broadcast({"type": "ready", "url": url})


# Before the commit


def import_users(names):
    with transaction.atomic():
        for number, name in enumerate(names, 1):
            User.objects.create(username=name)
            Room("imports").broadcast({"done": number, "of": len(names)}, on_commit=False)
        Room("imports").broadcast({"type": "finished"})


# Everyone but the sender


@require_POST
def publish_to_others(request):
    Room("news").broadcast({"type": "news", "text": request.POST["text"]}, exclude=request.POST["socket"])
    return HttpResponse(status=204)


# When Redis is down


@require_POST
def publish_if_possible(request):
    try:
        Room("news").broadcast({"type": "news", "text": request.POST["text"]})
    except WebSocketConnectionError:
        return HttpResponse("Saved, but not sent.", status=202)
    return HttpResponse(status=204)
