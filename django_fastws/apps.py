"""App config: discovers the routes of every installed app and registers the system checks."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from django.apps import AppConfig, apps
from django.core import checks
from django.utils.module_loading import import_string, module_has_submodule

from .checks import all_checks, deploy_checks
from .conf import conf
from .exceptions import RouteError
from .routing import Problem, registry
from .users import receivers

__all__ = ["FastWSConfig", "autodiscover"]


class FastWSConfig(AppConfig):
    """App config of django_fastws."""

    name = "django_fastws"
    verbose_name = "Real-time"  # as the admin has it
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        autodiscover()
        for check in all_checks:
            checks.register(check, "fastws")
        for check in deploy_checks:
            checks.register(check, "fastws", deploy=True)
        receivers.connect()
        if apps.is_installed("django.contrib.admin"):
            registry.hidden_rooms.append(_tail_room)
        if apps.is_installed("daphne"):
            serve_development()


def _tail_room() -> Any:
    # Imported when the first live room is joined: it needs what live rooms need.
    return import_string("django_fastws.admin.room_tail.tail_room")()


def serve_development() -> None:
    """Have daphne's ``runserver`` use our server.

    Which ``runserver`` wins is decided by the order of INSTALLED_APPS, where daphne stands first. So it is not
    replaced but told of another server, and a project's own subclass that names a server of its own keeps it.
    """
    command: Any = import_string("daphne.management.commands.runserver.Command")
    if command.server_cls is import_string("daphne.server.Server"):
        command.server_cls = staticmethod(_development_server)


def _development_server(*args: Any, **options: Any) -> Any:
    # Imported when it is needed: it takes a while, and every command comes by here.
    return import_string("django_fastws.server.DevelopmentServer")(*args, **options)


def autodiscover() -> None:
    """Import ``consumers.py`` (``FASTWS_CONSUMERS_MODULE``) of every installed app, in their order.

    A mistake in a route does not stop Django here, where it would be a traceback of every command: the system checks
    report it, and the application is not built with it. Any other error of such a module is raised.
    """
    name = conf.consumers_module
    for app in apps.get_app_configs():
        if app.module is not None and module_has_submodule(app.module, name):
            module = f"{app.name}.{name}"
            try:
                import_module(module)
            except RouteError as error:
                registry.problems.append(Problem(module, error))
                registry.changed()
