"""Tables of histories that are kept in the database."""

import uuid
from typing import Any

import django.db.models.deletion
from django.db import migrations, models


def make_seed(apps: Any, schema_editor: Any) -> None:
    """The row of which the epochs of rooms are made that have none of their own."""
    rooms = apps.get_model("django_fastws", "HistoryRoom").objects.using(schema_editor.connection.alias)
    rooms.create(group="seed", name="seed", epoch=uuid.uuid4().hex[:12], offset=0, size=0, changed_ms=0)


class Migration(migrations.Migration):
    initial = True
    dependencies = []

    operations = [
        migrations.CreateModel(
            name="HistoryRoom",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("group", models.CharField(max_length=100, unique=True)),
                ("name", models.TextField()),
                ("epoch", models.CharField(max_length=32)),
                ("offset", models.BigIntegerField()),
                ("size", models.BigIntegerField()),
                ("changed_ms", models.BigIntegerField()),
            ],
            options={"default_permissions": ()},
        ),
        migrations.CreateModel(
            name="HistoryEvent",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                (
                    "room",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="events",
                        to="django_fastws.historyroom",
                    ),
                ),
                ("offset", models.BigIntegerField()),
                ("stored_ms", models.BigIntegerField()),
                ("size", models.IntegerField()),
                ("data", models.BinaryField()),
            ],
            options={
                "default_permissions": (),
                "constraints": [models.UniqueConstraint(fields=("room", "offset"), name="fastws_event_of_room")],
            },
        ),
        migrations.CreateModel(
            name="HistoryKey",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                (
                    "room",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="keys",
                        to="django_fastws.historyroom",
                    ),
                ),
                ("digest", models.CharField(max_length=64)),
                ("position", models.CharField(max_length=64)),
                ("expires_ms", models.BigIntegerField()),
            ],
            options={
                "default_permissions": (),
                "indexes": [models.Index(fields=["room", "expires_ms"], name="fastws_key_expiry")],
                "constraints": [models.UniqueConstraint(fields=("room", "digest"), name="fastws_key_of_room")],
            },
        ),
        migrations.RunPython(make_seed, migrations.RunPython.noop),
    ]
