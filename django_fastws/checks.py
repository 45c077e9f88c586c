"""System checks: mistakes in the settings and in the routes, each with an id and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from difflib import SequenceMatcher
from typing import Any
from urllib.parse import parse_qs, urlsplit

import redis
from channels.routing import ProtocolTypeRouter
from channels_redis.utils import decode_hosts
from django.apps import AppConfig, apps
from django.conf import settings
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.checks import CheckMessage, Error, Warning
from django.core.handlers.asgi import ASGIHandler
from django.core.management import find_commands, load_command_class
from django.utils.module_loading import import_string

from .clients import library
from .conf import SETTINGS, conf
from .layer import evicting_policy, has_redis
from .limits import MAX_CONNECTIONS_PER_USER
from .routing import did_you_mean, registry

__all__ = ["all_checks", "deploy_checks"]

Check = Callable[..., list[CheckMessage]]

all_checks: list[Check] = []


def _check(function: Callable[[], Iterator[CheckMessage]]) -> Check:
    def check(app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
        return list(function())

    check.__name__, check.__doc__ = function.__name__, function.__doc__
    all_checks.append(check)
    return check


@_check
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


@_check
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
    """What an application is that serves no WebSockets; empty for any other, and for one that cannot be had now."""
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


@_check
def check_channel_layer() -> Iterator[CheckMessage]:
    """W006: rooms that end at the process. E007, W007: the core Redis layer with redis-py 8's defaults."""
    layer = (getattr(settings, "CHANNEL_LAYERS", None) or {}).get("default")
    backend = layer.get("BACKEND", "") if layer else None
    if not settings.DEBUG and backend in (None, "channels.layers.InMemoryChannelLayer"):
        yield Warning(
            "Rooms reach only their own process: CHANNEL_LAYERS has "
            + ("no default layer." if backend is None else "the in-memory layer."),
            hint='Set CHANNEL_LAYERS = {"default": {"BACKEND": "django_fastws.layer.RedisChannelLayer", '
            '"CONFIG": {"hosts": ["redis://..."]}}}.',
            id="fastws.W006",
        )
    if backend == "channels_redis.core.RedisChannelLayer" and _redis_major() >= 8:
        unsafe = [host for host in _hosts(layer) if _is_cut_short(host)]
        if unsafe:
            yield _cut_short(is_fatal=_has_consumers())


def _has_consumers() -> bool:
    """Whether a route is a consumer class: its own reading of the layer fails, where that of our rooms goes on."""
    return any(route.signature is None for route in registry)


def _cut_short(*, is_fatal: bool) -> CheckMessage:
    what = (
        "The core Redis layer ends idle consumers with redis-py 8"
        if is_fatal
        else "The core Redis layer would end idle consumers of Channels with redis-py 8, and reads anew for our rooms"
    )
    return (Error if is_fatal else Warning)(
        f"{what}: its reads time out after 5 seconds, just when the layer's own waiting ends.",
        hint='Give every host "socket_timeout": None (and "max_connections"), or use '
        "django_fastws.layer.RedisChannelLayer.",
        id="fastws.E007" if is_fatal else "fastws.W007",
    )


def _redis_major() -> int:
    return int(str(redis.__version__).split(".", 1)[0])


def _hosts(layer: Any) -> list[dict[str, Any]]:
    try:
        return list(decode_hosts((layer.get("CONFIG") or {}).get("hosts")))
    except (AttributeError, ValueError):
        return []


def _is_cut_short(host: dict[str, Any]) -> bool:
    """Whether redis-py's time limit for a read is not longer than the layer waits for a message."""
    in_url = parse_qs(urlsplit(str(host.get("address", ""))).query).get("socket_timeout")
    try:
        timeout = float(in_url[-1] if in_url else host.get("socket_timeout", _WAITING_SECONDS) or "inf")
    except (TypeError, ValueError):
        return False
    return timeout <= _WAITING_SECONDS


_WAITING_SECONDS = 5  # channels_redis.core.RedisChannelLayer.brpop_timeout, and redis-py 8's default time limit


@_check
def check_origins() -> Iterator[CheckMessage]:
    """W008: ALLOWED_HOSTS allows every host, so that the origin check has nothing to go by."""
    if "*" in settings.ALLOWED_HOSTS and conf.allowed_origins is None:
        yield Warning(
            "ALLOWED_HOSTS contains '*', so the origin of a WebSocket can only be compared with the Host header.",
            hint="List your hosts in ALLOWED_HOSTS, or your sites in FASTWS_ALLOWED_ORIGINS.",
            id="fastws.W008",
        )


@_check
def check_routes() -> Iterator[CheckMessage]:
    """E010 duplicate paths, E011 not async, E012 a path's parameter not taken, E013 duplicate names, E014 others."""
    for group in registry.duplicates():
        yield Error(
            f"Several handlers on the path {group[0].path!r}: {' and '.join(route.place for route in group)}.",
            hint="Give each handler a path of its own.",
            id="fastws.E010",
        )
    for problem in registry.problems:
        is_sync = problem.error.kind == "not-async"
        yield Error(
            f"{problem.module}: {problem.error}",
            hint="Write the handler as `async def`." if is_sync else "Correct the route; the module was not loaded.",
            id="fastws.E011" if is_sync else "fastws.E014",
        )
    for route in registry:
        for name in route.missing_parameters:
            yield Error(
                f"{route.place} does not take {name!r}, which its path {route.path!r} has.",
                hint=f"Add the parameter: `async def {route.handler.__name__}(ws, {name}: str)`.",
                id="fastws.E012",
            )
    for named in registry.duplicate_names():
        yield Error(
            f"Several routes are named {named[0].name!r}: {' and '.join(route.place for route in named)}.",
            hint="Give each a name of its own.",
            id="fastws.E013",
        )


@_check
def check_outbound_routes() -> Iterator[CheckMessage]:
    """W030: reconnect without retries. E031: a lease without a Redis. E032: routes that would share a lease.

    E033: FASTWS_CLIENT_LIBRARY cannot be had.
    """
    for obstacle in library.obstacles(registry.outbound):
        yield Error(
            f"{obstacle}.",
            hint="pip install 'django-fastws[picows]', or leave FASTWS_CLIENT_LIBRARY out.",
            id="fastws.E033",
        )
    keys = [route.key for route in registry.outbound if route.lease]
    for key in sorted({key for key in keys if keys.count(key) > 1}):
        yield Error(
            f"{keys.count(key)} outbound routes with lease=True are all called {key!r}: only one of them would run.",
            hint="Give each a name= of its own.",
            id="fastws.E032",
        )
    for route in registry.outbound:
        if route.reconnect and route.max_retries == 0:
            yield Warning(
                f"{route.place} has reconnect=True and max_retries=0, and never connects again.",
                hint="Give it max_retries=-1 (without end) or a number, or leave reconnect out.",
                id="fastws.W030",
            )
        if route.lease and not has_redis():
            yield Error(
                f"{route.place} has lease=True, and there is no Redis to hold the lease.",
                hint="Configure a Redis channel layer in CHANNEL_LAYERS, or leave lease out.",
                id="fastws.E031",
            )


def check_eviction(app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """E034: a Redis that may forget leases. It asks Redis, so only ``check --deploy`` runs it."""
    policy = evicting_policy() if any(route.lease for route in registry.outbound) else None
    if policy is None:
        return []
    return [
        Error(
            f"The Redis of the channel layer has maxmemory-policy {policy}: in want of memory it forgets leases, "
            "and two processes may run one outbound route.",
            hint="Set maxmemory-policy to noeviction, or use a Redis of its own for the channel layer.",
            id="fastws.E034",
        )
    ]


#: Checks that ask other servers.
deploy_checks: list[Check] = [check_eviction]


@_check
def check_access() -> Iterator[CheckMessage]:
    """E040: a route that asks for users where there are none. W041: a permission of an app that is not installed."""
    for route in registry:
        access, limits = route.admission.access, route.admission.limits
        counts = limits.is_own(MAX_CONNECTIONS_PER_USER) and limits.get(MAX_CONNECTIONS_PER_USER) is not None
        if (access.login_required or access.names or counts) and not apps.is_installed("django.contrib.auth"):
            yield Error(
                f"{route.place} asks who is logged in, and 'django.contrib.auth' is not in INSTALLED_APPS.",
                hint="Add 'django.contrib.auth' and 'django.contrib.sessions' to INSTALLED_APPS; or silence this if "
                "middleware of your own sets the user.",
                id="fastws.E040",
            )
        labels = {config.label for config in apps.get_app_configs()}
        for name in access.names:
            if name.partition(".")[0] not in labels:
                yield Warning(
                    f"{route.place} asks for the permission {name!r}, and no installed app has that label.",
                    hint=f"The labels are {', '.join(sorted(labels))}. Nobody but superusers has such a permission.",
                    id="fastws.W041",
                )


@_check
def check_settings() -> Iterator[CheckMessage]:
    """E020: a setting of the wrong kind. W021: a setting that does not exist."""
    for name, setting in SETTINGS.items():
        if hasattr(settings, name) and not setting.kind.is_right(getattr(settings, name)):
            yield Error(
                f"{name} = {getattr(settings, name)!r} is not {setting.kind.wanted}.",
                hint=f"Set {name} to {setting.kind.wanted}, or remove it.",
                id="fastws.E020",
            )
    for name in dir(settings):
        if _looks_like_ours(name) and name not in SETTINGS:
            meant = did_you_mean(name, SETTINGS)
            yield Warning(
                f"There is no setting {name}." + (f" Did you mean {meant}?" if meant else ""),
                hint=f"Rename it to {meant}." if meant else f"The settings are {', '.join(sorted(SETTINGS))}.",
                id="fastws.W021",
            )


def _looks_like_ours(name: str) -> bool:
    """Whether a setting can only be one of ours: by its prefix, or by one that is nearly that."""
    if name.startswith("FASTWS"):
        return True
    prefix = name.removeprefix("DJANGO_").partition("WS_")[0]
    return "WS_" in name and SequenceMatcher(None, prefix, "FAST").ratio() > 0.7
