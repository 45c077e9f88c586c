"""Autodiscovery, in projects of their own."""

import json

import pytest

from django_fastws import apps as our_apps
from tests.support.subprocesses import Project

pytestmark = pytest.mark.slow

ROUTE = """
from django_fastws import FastWS

app = FastWS()

@app.websocket("/{path}")
async def handler(ws): ...
"""
BAD = """
from django_fastws import FastWS

app = FastWS()

@app.websocket("/{path}")
def {name}(ws): ...
"""


def route(path):
    return ROUTE.replace("{path}", path)


def routes(project):
    """The paths of a project's routes; the process must have ended well."""
    done = project.manage("ws_routes", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    return [row["path"] for row in json.loads(done.stdout)]


def test_consumers_of_every_installed_app_are_found_in_their_order(tmp_path):
    project = Project(
        tmp_path,
        "INSTALLED_APPS = ['two', 'channels', 'django_fastws', 'three.apps.Three', 'none', 'one', 'nested.app']",
        {
            "one/__init__.py": "",
            "one/consumers.py": route("one"),
            "two/__init__.py": "",
            "two/consumers/__init__.py": route("two"),
            "three/__init__.py": "",
            "three/apps.py": """
                from django.apps import AppConfig

                class Three(AppConfig):
                    name = "three"
                    label = "another"
            """,
            "three/consumers.py": "from .sockets import app",
            "three/sockets.py": route("three"),
            "none/__init__.py": "",
            "nested/__init__.py": "",
            "nested/app/__init__.py": "",
            "nested/app/consumers.py": route("nested"),
            "uninstalled/__init__.py": "",
            "uninstalled/consumers.py": route("uninstalled"),
        },
    )
    assert routes(project) == ["/two", "/three", "/one", "/nested"]


@pytest.mark.parametrize(("module", "path"), [("sockets", "chat/sockets.py"), ("ws.handlers", "chat/ws/handlers.py")])
def test_the_modules_name_is_a_setting(tmp_path, module, path):
    project = Project(
        tmp_path,
        f"INSTALLED_APPS += ['chat', 'other']\nFASTWS_CONSUMERS_MODULE = {module!r}",
        {
            "chat/__init__.py": "",
            "chat/consumers.py": "raise AssertionError('not to be imported')",
            "chat/ws/__init__.py": "",
            path: route("chat"),
            "other/__init__.py": "",
        },
    )
    assert routes(project) == ["/chat"]


def test_consumers_may_import_models_and_are_imported_once(tmp_path):
    project = Project(
        tmp_path,
        "INSTALLED_APPS += ['django.contrib.contenttypes', 'django.contrib.auth', 'chat']",
        {
            "chat/__init__.py": "",
            "chat/consumers.py": "from django.contrib.auth.models import User\nprint('imported')\n" + route("chat"),
        },
    )
    done = project.run("import django; django.setup(); django.setup(); import chat.consumers")
    assert (done.stdout, done.stderr) == ("imported\n", "")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("raise TypeError('of its own')", "TypeError: of its own"),
    ],
)
def test_an_error_of_a_module_is_raised_with_its_traceback(tmp_path, text, error):
    project = Project(tmp_path, "INSTALLED_APPS += ['chat']", {"chat/__init__.py": "", "chat/consumers.py": text})
    done = project.run("import django; django.setup()")
    assert done.returncode != 0
    assert error in done.stderr
    assert "consumers.py" in done.stderr


@pytest.fixture
def mistaken(tmp_path):
    """A project with a mistake in the routes of two apps, and a good third."""
    return Project(
        tmp_path,
        "INSTALLED_APPS += ['one', 'two', 'good']",
        {
            "one/__init__.py": "",
            "one/consumers.py": BAD.replace("{path}", "one").replace("{name}", "sync"),
            "two/__init__.py": "",
            "two/consumers.py": BAD.replace("{path}", "{two")
            .replace("{name}", "broken")
            .replace("def ", "async def "),
            "good/__init__.py": "",
            "good/consumers.py": route("good"),
        },
    )


def test_mistakes_in_routes_are_all_told_by_check(mistaken):
    done = mistaken.manage("check", "--tag", "fastws")
    assert done.returncode == 1
    assert "(fastws.E011) one.consumers: one.consumers.sync() is not async" in done.stderr
    assert "async def sync(ws, ...)" in done.stderr
    assert "(fastws.E014) two.consumers: two.consumers.broken: path '/{two' has a stray '{'" in done.stderr
    assert "Traceback" not in done.stderr


def test_mistakes_in_routes_do_not_stop_other_commands(mistaken):
    done = mistaken.manage("ws_routes", "--json")
    assert done.returncode == 0
    assert [row["path"] for row in json.loads(done.stdout)] == ["/good"]
    assert "one.consumers was not loaded" in done.stderr
    assert "two.consumers was not loaded" in done.stderr


def test_duplicates_in_two_apps_are_told_by_check_with_both_places(tmp_path):
    project = Project(
        tmp_path,
        "INSTALLED_APPS += ['one', 'two']",
        {
            "one/__init__.py": "",
            "one/consumers.py": route("same"),
            "two/__init__.py": "",
            "two/consumers.py": route("same"),
        },
    )
    done = project.manage("check", "--tag", "fastws")
    assert done.returncode == 1
    assert "fastws.E010" in done.stderr
    assert f"one.consumers.handler ({tmp_path / 'one/consumers.py'}:6)" in done.stderr
    assert f"two.consumers.handler ({tmp_path / 'two/consumers.py'}:6)" in done.stderr


def test_the_app_has_its_name():
    assert our_apps.FastWSConfig.name == "django_fastws"
    assert our_apps.FastWSConfig.verbose_name == "Real-time"
