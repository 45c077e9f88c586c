"""Groups whose history is kept in the database, and what is told of them in the transaction that changes them."""

from __future__ import annotations

from django.contrib.auth.models import Group
from django.db import transaction
from django_fastws import Event, FastWS, History, Position

app = FastWS()


class Renamed(Event):
    name: str


groups = app.room("groups/{pk:int}", history=History(messages=500, seconds=86_400, database=True), sends=[Renamed])


def rename(pk: int, name: str) -> Position | None:
    with transaction.atomic():
        Group.objects.filter(pk=pk).update(name=name)
        return groups(pk=pk).broadcast(Renamed(name=name))
