"""The example project in processes of its own: its settings are not those of the tests."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.support import interpreter
from tests.support.once import made_once
from tests.support.processes import HOST, ASGIServer

APP = "example_project.asgi:application"
ELSEWHERE = "chat.test"  # another host that the example answers to; it has no address
USER, PASSWORD = "ada", "correct horse"


def environment(database: Path, redis_url: str = "") -> dict[str, str]:
    """What a process of the example needs; whatever the machine sets is overruled."""
    return {
        "DJANGO_SETTINGS_MODULE": "example_project.settings",
        "DJANGO_DEBUG": "1",
        "DJANGO_ALLOWED_HOSTS": f"{HOST},{ELSEWHERE}",
        "DATABASE_PATH": str(database),
        "REDIS_URL": redis_url,
    }


def manage(*arguments: str, variables: dict[str, str]) -> str:
    """Run ``manage.py`` with warnings as errors, and return what it prints."""
    command = ["-W", "error", "manage.py", *arguments]
    done = interpreter.run(command, {**os.environ, **variables}, is_merged=True)
    assert done.returncode == 0, done.stdout
    return done.stdout


def make_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new database with one superuser: a copy of one that is migrated once in a run."""
    made = made_once(tmp_path_factory, "migrated-example", lambda path: _migrate(path / "db.sqlite3"))
    path = tmp_path_factory.mktemp("example") / "db.sqlite3"
    shutil.copy(made / path.name, path)
    return path


def _migrate(path: Path) -> None:
    variables = {**environment(path), "DJANGO_SUPERUSER_PASSWORD": PASSWORD}
    manage("migrate", "--verbosity", "0", variables=variables)
    manage("createsuperuser", "--noinput", "--username", USER, "--email", "", variables=variables)


def daphne(database: Path, redis_url: str = "") -> ASGIServer:
    """The example on daphne; start it in a ``with`` block."""
    return ASGIServer("daphne", app=APP, environment=environment(database, redis_url))


def runws_server(database: Path, redis_url: str = "") -> ASGIServer:
    """The example on the server that lets handlers end when it is stopped; start it in a ``with`` block."""
    return ASGIServer("runws_server", app=APP, environment=environment(database, redis_url))
