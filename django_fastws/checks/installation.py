"""System checks of INSTALLED_APPS and ASGI_APPLICATION."""

from __future__ import annotations

from collections.abc import Iterator

from channels.routing import ProtocolTypeRouter
from django.apps import AppConfig, apps
from django.conf import settings
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.checks import CheckMessage, Error, Warning
from django.core.handlers.asgi import ASGIHandler
from django.core.management import find_commands, load_command_class
from django.utils.module_loading import import_string

from ..routing import registry
from .registering import system_check

__all__ = ["check_asgi_application", "check_installed_apps"]


@system_check
def check_installed_apps() -> Iterator[CheckMessage]:
    """W001 channels missing, W002 daphne missing, E003 daphne too late for runserver, W004 the order."""
    order = [app.name for app in apps.get_app_configs()]
    if "channels" not in order:
        yield Warning(
            "'channels' is not in INSTALLED_APPS.",
            hint="Add 'channels' before 'django_fastws'.",
            id="fastws.W001",
        )
    if "daphne" not in order:
        yield Warning(
            "'daphne' is not in INSTALLED_APPS: runserver is Django's own and serves no WebSockets.",
            hint="Add 'daphne' at the top of INSTALLED_APPS, or silence this if you only run another ASGI server.",
            id="fastws.W002",
        )
        return
    first = next(app for app in apps.get_app_configs() if "runserver" in find_commands(f"{app.path}/management"))
    if not _serves_websockets(first):
        yield Error(
            f"'daphne' comes after {first.name!r} in INSTALLED_APPS, whose runserver serves no WebSockets.",
            hint="Move 'daphne' to the top of INSTALLED_APPS.",
            id="fastws.E003",
        )
    wanted = [name for name in ("daphne", "channels", "django_fastws") if name in order]
    if sorted(wanted, key=order.index) != wanted:
        yield Warning(
            f"INSTALLED_APPS has {', '.join(map(repr, sorted(wanted, key=order.index)))} in an order that may break: "
            "daphne has to set up Twisted before anything else imports it.",
            hint="List 'daphne' at the top, and 'channels' before 'django_fastws'.",
            id="fastws.W004",
        )


def _serves_websockets(app: AppConfig) -> bool:
    """Whether the runserver of an app is daphne's, or made from it, as whitenoise's is."""
    try:
        command = load_command_class(app.name, "runserver")
    except Exception:  # it cannot be loaded, which its own users will be told
        return False
    return isinstance(command, import_string("daphne.management.commands.runserver.Command"))


@system_check
def check_asgi_application() -> Iterator[CheckMessage]:
    """E005: no ASGI_APPLICATION. W009: it is one that does not serve WebSockets."""
    path = getattr(settings, "ASGI_APPLICATION", None)
    if not path:
        yield Error(
            "ASGI_APPLICATION is not set, and runserver needs it.",
            hint='Set ASGI_APPLICATION = "project.asgi.application", and in project/asgi.py '
            "application = django_fastws.asgi.get_asgi_application().",
            id="fastws.E005",
        )
    elif registry.routes and (what := _no_websockets(path)):
        yield Warning(
            f"ASGI_APPLICATION = {path!r} is {what}, which serves no WebSockets: no route can be reached.",
            hint="Import get_asgi_application from django_fastws.asgi instead of django.core.asgi; or silence this "
            "if another application serves the routes.",
            id="fastws.W009",
        )


def _no_websockets(path: str) -> str:
    """Description of an application without WebSockets; empty for any other, and for one that fails to load."""
    try:
        application = import_string(path)
    except Exception:  # whatever the project's module raises; the servers tell
        return ""
    if isinstance(application, ASGIStaticFilesHandler):  # which stands around another
        application = application.application
    # A class made from it may serve WebSockets in a __call__ of its own.
    if isinstance(application, ASGIHandler) and type(application).__call__ is ASGIHandler.__call__:
        return "Django's own application"
    if isinstance(application, ProtocolTypeRouter) and "websocket" not in application.application_mapping:
        return "a ProtocolTypeRouter without 'websocket'"
    return ""
