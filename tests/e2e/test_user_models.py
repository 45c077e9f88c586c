"""disconnect(), log-outs and deactivation in projects with users of their own, several databases, or no users."""

import textwrap

import pytest

from tests.support.subprocesses import Project

pytestmark = pytest.mark.slow

SETTINGS = """
INSTALLED_APPS = ["channels", "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions",
                  "people", "django_fastws"]
AUTH_USER_MODEL = "people.Person"
MIDDLEWARE = ["django.contrib.sessions.middleware.SessionMiddleware",
              "django.contrib.auth.middleware.AuthenticationMiddleware"]
DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE / "default.sqlite3"},
    "people": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE / "people.sqlite3"},
}
DATABASE_ROUTERS = ["people.routers.Router"]
LOGGING = {"version": 1, "disable_existing_loggers": False, "loggers": {"django_fastws": {"level": "ERROR"}}}
"""
FILES = {
    "people/__init__.py": "",
    "people/routers.py": """
        class Router:
            def db_for_read(self, model, **hints):
                return "people" if model._meta.app_label == "people" else None

            db_for_write = db_for_read

            def allow_migrate(self, db, app_label, **hints):
                return db == ("people" if app_label == "people" else "default")
    """,
    "people/models.py": """
        import uuid

        from django.contrib.auth.models import AbstractBaseUser, BaseUserManager
        from django.db import models

        class Person(AbstractBaseUser):
            id = models.UUIDField(primary_key=True, default=uuid.uuid4)
            name = models.CharField(max_length=50, unique=True)
            state = models.CharField(max_length=50, default="in")
            objects = BaseUserManager()
            USERNAME_FIELD = "name"

            @property
            def is_active(self):
                return self.state == "in"

        class Boss(Person):
            car = models.CharField(max_length=50, default="")

        class Visitor(Person):
            class Meta:
                proxy = True
    """,
    "people/consumers.py": """
        from django_fastws import FastWS

        app = FastWS()

        @app.websocket("/x", login_required=True, max_connections_per_user=2)
        async def handler(ws):
            await ws.accept()
            async for _ in ws:
                pass
    """,
}
HEAD = """
import asyncio
import uuid
import django
django.setup()
from asgiref.sync import sync_to_async
from django.core.management import call_command
from django.db import connections, transaction
from django.test import AsyncClient
from django_fastws import adisconnect, disconnect
from django_fastws.testing import HandshakeDenied, connect
for alias in ("default", "people"):
    call_command("migrate", database=alias, run_syncdb=True, verbosity=0)
from people.models import Boss, Person, Visitor

async def closed(ws):
    return await ws.wait_closed(), ws.close_reason
"""


@pytest.fixture
def run(tmp_path):
    """Run code in a project whose users are in a database of their own, and have UUIDs; returns what it prints."""

    def run_code(code):
        settings = f"from pathlib import Path\nBASE = Path({str(tmp_path)!r})\n" + SETTINGS
        project = Project(tmp_path, settings, FILES)
        body = textwrap.indent(textwrap.dedent(code), "    ")
        # The connections of this thread, and of asgiref's: nobody else's are left open.
        end = "    await sync_to_async(connections.close_all)()"
        done = project.run(f"{HEAD}\nasync def main():\n{body}\n{end}\nasyncio.run(main())\nconnections.close_all()")
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.splitlines()

    return run_code


def test_users_with_a_uuid(run):
    assert run("""
        ada = await Person.objects.acreate(name="ada")
        bob = await Person.objects.acreate(name="bob")
        for user in (ada, ada.pk, str(ada.pk), ada.pk.hex, str(ada.pk).upper()):
            async with connect("/x", user=ada) as ws, connect("/x", user=bob) as other:
                await adisconnect(user=user, reason="bye")
                print(*await closed(ws), await other.receive_nothing())
        try:
            await adisconnect(user="ada")
        except ValueError as error:
            print(error)
    """) == ["4401 bye True"] * 5 + ["disconnect(user='ada'): that is no primary key of people.Person"]


def test_log_outs_deactivation_and_deletion_of_users_in_another_database(run):
    assert run("""
        from django.conf import settings

        settings.FASTWS_CLOSE_ON_LOGOUT = "session"
        ada = await Person.objects.acreate(name="ada")
        client, elsewhere = AsyncClient(), AsyncClient()
        await client.aforce_login(ada)
        await elsewhere.aforce_login(ada)
        async with connect("/x", cookies=client.cookies) as one, connect("/x", cookies=elsewhere.cookies) as two:
            await client.alogout()
            print(*await closed(one), await two.receive_nothing())
            ada.state = "out"
            await ada.asave()
            print(*await closed(two))
        ada.state = "in"
        await ada.asave()
        async with connect("/x", cookies=elsewhere.cookies) as two:
            def delete():
                with transaction.atomic(using="people"), transaction.atomic(using="default"):
                    ada.delete()
            await sync_to_async(delete)()
            print(*await closed(two))
    """) == ["4401 logged out True", "4401 the account is not active", "4401 the account is deleted"]


def test_what_is_rolled_back_in_the_users_database_closes_nothing(run):
    assert run("""
        ada = await Person.objects.acreate(name="ada")

        def deactivate(using, rolls_back):
            ada.state = "out"
            with transaction.atomic(using=using):
                ada.save()
                if rolls_back:
                    transaction.set_rollback(True, using=using)

        async with connect("/x", user=Person(pk=ada.pk)) as ws:
            await sync_to_async(deactivate)("people", True)
            print(await ws.receive_nothing())
            await sync_to_async(deactivate)("default", True)  # which is not where users are
            print(*await closed(ws))
    """) == ["True", "4401 the account is not active"]


def test_children_and_proxies_of_the_user_model_are_the_user(run):
    assert run("""
        boss = await sync_to_async(Boss.objects.create)(name="boss")
        person = await Person.objects.aget(pk=boss.pk)
        visitor = await Visitor.objects.aget(pk=boss.pk)
        for socket in (boss, person, visitor):
            for user in (boss, person, visitor, boss.pk):
                async with connect("/x", user=socket) as ws:
                    await adisconnect(user=user, reason="bye")
                    print(*await closed(ws))
        async with connect("/x", user=boss), connect("/x", user=person):
            try:
                async with connect("/x", user=visitor):
                    pass
            except HandshakeDenied as denied:
                print(denied)
        for user in (boss, visitor):
            await Person.objects.filter(pk=boss.pk).aupdate(state="in")
            user.state = "out"
            async with connect("/x", user=Person(pk=boss.pk)) as ws:
                await user.asave()
                print(*await closed(ws))
        async with connect("/x", user=Person(pk=boss.pk)) as ws:
            await boss.adelete()
            print(*await closed(ws))
    """) == [
        *["4401 bye"] * 12,
        "the handshake was denied with 429 too many connections of this user",
        *["4401 the account is not active"] * 2,
        "4401 the account is deleted",
    ]


def test_a_project_without_users(tmp_path):
    project = Project(tmp_path, "", {"project/consumers.py": FILES["people/consumers.py"]})
    done = project.run("""
        import asyncio
        import django
        django.setup()
        import project.consumers
        from django.core.exceptions import ImproperlyConfigured
        from django_fastws import disconnect
        from django_fastws.testing import HandshakeDenied, connect

        try:
            disconnect(user=5)
        except ImproperlyConfigured as error:
            print(error)

        async def main():
            try:
                async with connect("/x"):
                    pass
            except HandshakeDenied as denied:
                print(denied)

        asyncio.run(main())
    """)
    assert done.stdout.splitlines()[-1] == "the handshake was denied with 401 log in first"
    assert "INSTALLED_APPS" in done.stdout.splitlines()[0]
    assert "there is no user in the scope" in done.stderr
