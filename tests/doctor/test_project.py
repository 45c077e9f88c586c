"""What is said of settings, system checks and the browser client."""

import pytest
from django.core import checks
from django.core.management import call_command

from django_fastws import FastWS
from django_fastws.doctor import project
from django_fastws.doctor.project import CLIENT_MODULE, look_at_checks, look_at_client_module, look_at_settings


async def client(settings):
    (result,) = await look_at_client_module()
    assert result.check == "client module"
    return result


@pytest.fixture
def static(settings, tmp_path, routes):
    """A project with static files, and a live room."""
    settings.STATIC_URL, settings.STATIC_ROOT, settings.DEBUG = "/static/", str(tmp_path / "static"), False
    FastWS().room("tickets/{pk:int}")
    return tmp_path / "static"


async def test_a_setting_that_cannot_be_is_said(settings):
    settings.FASTWS_IDLE_TIMEOUT = "soon"
    results = await look_at_settings()
    assert (results[0].check, results[0].status) == ("settings", "failed")
    assert "FASTWS_IDLE_TIMEOUT" in results[0].detail


async def test_system_checks_are_passed_on(settings, monkeypatch):
    found = [
        checks.Warning("rooms end here", hint="use Redis", id="fastws.W006"),
        checks.Error("no table", hint="migrate", id="models.E001"),
        checks.Warning("of others", id="models.W001"),
        checks.Warning("silent", id="fastws.W008"),
    ]
    settings.SILENCED_SYSTEM_CHECKS = ["fastws.W008"]
    monkeypatch.setattr(checks, "run_checks", lambda: found)
    monkeypatch.setattr(project, "deploy_checks", [])
    results = await look_at_checks()
    assert [(result.status, result.detail, result.hint) for result in results] == [
        ("warning", "fastws.W006: rooms end here", "use Redis"),
        ("failed", "models.E001: no table", "migrate"),
    ]


async def test_a_check_that_raises_does_not_hide_the_others(monkeypatch):
    def raises():
        raise OSError("the database is away")

    found = [checks.Error("no table", hint="migrate", id="models.E001")]
    monkeypatch.setattr(checks, "run_checks", raises)
    monkeypatch.setattr(project, "deploy_checks", [lambda: found])
    details = [result.detail for result in await look_at_checks()]
    assert len(details) == 2
    assert "the database is away" in details[0]
    assert "no table" in details[1]


async def test_a_client_that_was_not_collected(static, settings):
    result = await client(settings)
    assert result.status == "failed"
    assert "collectstatic" in result.hint


async def test_a_client_that_was_collected(static, settings):
    call_command("collectstatic", interactive=False, verbosity=0)
    result = await client(settings)
    assert result.status == "ok"
    assert f"/static/{CLIENT_MODULE}" in result.detail


async def test_a_client_of_another_release(static, settings):
    call_command("collectstatic", interactive=False, verbosity=0)
    (static / CLIENT_MODULE).write_text("export const version = 0;")
    assert (await client(settings)).status == "warning"


async def test_a_client_that_no_manifest_has(static, settings):
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"},
    }
    result = await client(settings)
    assert result.status == "failed"
    assert "collectstatic" in result.hint


async def test_a_client_that_no_finder_finds(static, settings):
    settings.STATICFILES_FINDERS = ["django.contrib.staticfiles.finders.FileSystemFinder"]
    result = await client(settings)
    assert result.status == "failed"
    assert "AppDirectoriesFinder" in result.hint


async def test_a_client_without_a_root(static, settings):
    settings.STATIC_ROOT = None
    assert (await client(settings)).status == "failed"


async def test_while_developing_the_source_is_served(static, settings):
    settings.DEBUG = True
    assert (await client(settings)).status == "ok"


async def test_without_live_rooms_nobody_may_need_it(settings, tmp_path, routes):
    settings.STATIC_URL, settings.STATIC_ROOT, settings.DEBUG = "/static/", str(tmp_path / "static"), False
    assert (await client(settings)).status == "warning"


async def test_without_static_files_it_is_the_projects(settings):
    settings.INSTALLED_APPS = [name for name in settings.INSTALLED_APPS if "staticfiles" not in name]
    assert (await client(settings)).status == "skipped"
