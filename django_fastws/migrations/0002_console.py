"""Permissions of the console in Django's admin: models without tables."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("django_fastws", "0001_histories")]

    operations = [
        migrations.CreateModel(
            name="Process",
            fields=[("name", models.CharField(max_length=255, primary_key=True, serialize=False))],
            options={
                "managed": False,
                "base_manager_name": "objects",
                "verbose_name_plural": "processes",
                "default_permissions": (),
                "permissions": (("view_process", "Can view processes"), ("drain_process", "Can drain processes")),
            },
        ),
        migrations.CreateModel(
            name="Socket",
            fields=[("id", models.CharField(max_length=255, primary_key=True, serialize=False))],
            options={
                "managed": False,
                "base_manager_name": "objects",
                "default_permissions": (),
                "permissions": (("view_socket", "Can view sockets"), ("close_socket", "Can close sockets")),
            },
        ),
        migrations.CreateModel(
            name="Room",
            fields=[("name", models.CharField(max_length=255, primary_key=True, serialize=False))],
            options={
                "managed": False,
                "base_manager_name": "objects",
                "default_permissions": (),
                "permissions": (
                    ("view_room", "Can view rooms and who is in them"),
                    ("read_room", "Can read what is said in rooms"),
                    ("kick_room", "Can kick members from rooms"),
                    ("publish_room", "Can broadcast to rooms"),
                    ("clear_room", "Can clear the history of rooms"),
                ),
            },
        ),
        migrations.CreateModel(
            name="OutboundRoute",
            fields=[("name", models.CharField(max_length=255, primary_key=True, serialize=False))],
            options={
                "managed": False,
                "base_manager_name": "objects",
                "default_permissions": (),
                "permissions": (
                    ("view_outboundroute", "Can view outbound routes"),
                    ("restart_outboundroute", "Can restart outbound routes"),
                ),
            },
        ),
    ]
