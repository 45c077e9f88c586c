"""Checks of the project: its settings, Django's system checks, and the browser client among the static files."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured

from ..checks import deploy_checks
from ..conf import SETTINGS, check_settings
from ..routing import registry
from .guarded import in_thread
from .result import CheckResult, failed, ok, skipped, warning

__all__ = [
    "CLIENT_MODULE",
    "client_bytes",
    "client_url",
    "look_at_checks",
    "look_at_client_module",
    "look_at_settings",
]

#: The browser client, as a static file.
CLIENT_MODULE = "django_fastws/fastws.js"

_COLLECT = "Run manage.py collectstatic, and serve STATIC_ROOT at STATIC_URL."


async def look_at_settings() -> Sequence[CheckResult]:
    """The values of the FASTWS_* settings."""
    return [_settings()]


async def look_at_checks() -> Sequence[CheckResult]:
    """What the system checks say, those that ask other servers among them."""
    return await in_thread(_system_checks)


def _settings() -> CheckResult:
    try:
        check_settings()
    except ImproperlyConfigured as error:
        return failed(
            "settings", f"{error}.", "Correct the setting; docs/reference/settings.md lists what each takes."
        )
    own = sorted(name for name in SETTINGS if hasattr(settings, name))
    return ok(
        "settings", f"{', '.join(own)} as they should be." if own else "All FASTWS_* settings are the defaults."
    )


def _system_checks() -> list[CheckResult]:
    found: list[CheckResult] = []
    for check in (checks.run_checks, *deploy_checks):  # the latter ask other servers, which may be away
        try:
            messages = [message for message in check() if _concerns_us(message)]
        except Exception as error:  # whatever a check, or what it imports or asks, raises
            what = f"{getattr(check, '__name__', 'A check')} has raised {type(error).__name__}: {str(error)[:500]}"
            found.append(failed("checks", what, "Correct what the error names: code that is imported, or a server."))
        else:
            found += [_of_message(message) for message in messages if not message.is_silenced()]
    return found or [ok("checks", "The system checks have found nothing.")]


def _concerns_us(message: checks.CheckMessage) -> bool:
    """Ours from a warning on; of others, what keeps the project from running."""
    is_ours = str(message.id or "").startswith("fastws.")
    return message.level >= (checks.WARNING if is_ours else checks.ERROR)


def _of_message(message: checks.CheckMessage) -> CheckResult:
    detail = f"{message.id}: {message.msg}" if message.id else str(message.msg)
    hint = str(message.hint or "See the documentation of the check.")
    return (failed if message.is_serious() else warning)("checks", detail, hint)


# The browser client


async def look_at_client_module() -> Sequence[CheckResult]:
    """Whether pages can load the browser client."""
    return await in_thread(_client_module)


def client_bytes() -> bytes:
    """The browser client of the installed release."""
    return (Path(__file__).resolve().parent.parent / "static" / CLIENT_MODULE).read_bytes()


def client_url() -> str:
    """The URL of the browser client, as ``{% static %}`` has it.

    Raises:
        ValueError, ImproperlyConfigured: there is none.
    """
    from django.templatetags.static import static

    return static(CLIENT_MODULE)


def _client_module() -> list[CheckResult]:
    check = "client module"
    try:
        source = client_bytes()
    except OSError:
        return [failed(check, f"The package lacks static/{CLIENT_MODULE}.", "Install django-fastws again.")]
    if not apps.is_installed("django.contrib.staticfiles"):
        return [
            skipped(
                check,
                "'django.contrib.staticfiles' is not in INSTALLED_APPS.",
                "Add it, or copy the client where pages load it from; sockets without live rooms need none.",
            )
        ]
    from django.contrib.staticfiles import finders

    found = finders.find(CLIENT_MODULE)
    if not found:
        return [
            failed(
                check,
                f"No finder of static files finds {CLIENT_MODULE}.",
                "Have django.contrib.staticfiles.finders.AppDirectoriesFinder in STATICFILES_FINDERS, and "
                "'django_fastws' in INSTALLED_APPS.",
            )
        ]
    if _digest(Path(str(found)).read_bytes()) != _digest(source):
        return [
            warning(
                check,
                f"{found} takes the place of the client, and is another than that of the installed release.",
                "Remove that file, or bring it up to date.",
            )
        ]
    try:
        url = client_url()
    except (ValueError, ImproperlyConfigured) as error:
        return [_missing(check, f"It has no URL: {error}", _COLLECT)]
    if settings.DEBUG:
        return [ok(check, f"{url}, from {found} (DEBUG).")]
    return [_collected(check, url, source)]


def _collected(check: str, url: str, source: bytes) -> CheckResult:
    from django.contrib.staticfiles.storage import staticfiles_storage as default_storage

    storage: Any = default_storage
    try:
        if not storage.exists(CLIENT_MODULE):
            return _missing(check, f"{url} is not among the collected static files.", _COLLECT)
        with storage.open(CLIENT_MODULE) as file:
            stored = file.read()
    except ImproperlyConfigured as error:
        return _missing(check, f"{url} cannot be served: {error}", "Set STATIC_ROOT. " + _COLLECT)
    except NotImplementedError:  # a storage that only writes
        return skipped(check, f"The storage of static files does not say whether it has {url}.", "Use --url.")
    if _digest(stored) != _digest(source):
        return warning(check, f"{url} was collected from another release.", _COLLECT)
    return ok(check, f"{url}, as it was collected.")


def _missing(check: str, detail: str, hint: str) -> CheckResult:
    """Pages with live rooms need the client; a project without any may well do without it."""
    if registry.rooms:
        return failed(check, detail, hint)
    return warning(check, f"{detail} No live room is declared, so pages may do without it.", hint)


def _digest(data: bytes | str) -> bytes:
    return sha256(data.encode() if isinstance(data, str) else data).digest()
