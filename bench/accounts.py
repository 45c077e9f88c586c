"""Users who are logged in: a database with them and their sessions, for the sites of handshakes.

Run as a module, with the settings of a site in its environment, it makes the tables, and says the keys of sessions.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.support.processes import ROOT

__all__ = ["database_settings", "make_accounts"]

_USERS = 100


def database_settings(path: Path) -> dict[str, object]:
    """The settings of a site with a database in a file, which all of its threads share."""
    return {"DATABASES": {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(path)}}}


def make_accounts(environment: Mapping[str, str]) -> list[str]:
    """Make the database of a site, in a process of its own.

    Args:
        environment: of the site.
    Returns:
        The keys of as many sessions as there are users.
    """
    done = subprocess.run(
        [sys.executable, "-m", "bench.accounts"],
        cwd=ROOT,
        env={**os.environ, **environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the database could not be made:\n{done.stderr}")
    keys: list[str] = json.loads(done.stdout.splitlines()[-1])
    return keys


def _main() -> None:
    import django

    django.setup()

    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
    from django.contrib.sessions.backends.db import SessionStore
    from django.core.management import call_command
    from django.db import transaction

    call_command("migrate", verbosity=0)
    keys = []
    with transaction.atomic():
        for number in range(_USERS):
            user = get_user_model().objects.create(username=f"visitor-{number}", password=f"!unusable-{number}")
            session = SessionStore()
            session[SESSION_KEY] = str(user.pk)
            session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
            session[HASH_SESSION_KEY] = user.get_session_auth_hash()
            session.create()
            keys.append(session.session_key)
    print(json.dumps(keys))


if __name__ == "__main__":
    _main()
