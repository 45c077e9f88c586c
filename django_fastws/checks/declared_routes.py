"""System checks of routes: paths, names, parameters, outbound options, users and permissions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from django.apps import apps
from django.core.checks import CheckMessage, Error, Warning

from ..clients import library
from ..layer import has_redis
from ..limits import MAX_CONNECTIONS_PER_USER
from ..routing import OutboundRoute, registry
from .registering import system_check

__all__ = ["check_access", "check_outbound_routes", "check_routes", "outbound_messages"]


@system_check
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


@system_check
def check_outbound_routes() -> Iterator[CheckMessage]:
    """W030: reconnect without retries. E031: a lease without a Redis. E032: routes that would share a lease.

    E033: FASTWS_CLIENT_LIBRARY cannot be had.
    """
    yield from outbound_messages(registry.outbound)


def outbound_messages(routes: Sequence[OutboundRoute]) -> Iterator[CheckMessage]:
    """Yield the messages of ``check_outbound_routes`` about some routes."""
    for obstacle in library.obstacles(routes):
        yield Error(
            f"{obstacle}.",
            hint="pip install 'django-fastws[picows]', or leave FASTWS_CLIENT_LIBRARY out.",
            id="fastws.E033",
        )
    keys = [route.key for route in routes if route.lease]
    for key in sorted({key for key in keys if keys.count(key) > 1}):
        yield Error(
            f"{keys.count(key)} outbound routes with lease=True are all called {key!r}: only one of them would run.",
            hint="Give each a name= of its own.",
            id="fastws.E032",
        )
    for route in routes:
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


@system_check
def check_access() -> Iterator[CheckMessage]:
    """E040: a route or a live room that asks for users where there are none.

    W041: a permission of an app that is not installed.
    """
    labels = {config.label for config in apps.get_app_configs()}
    guarded = [(route.place, route.admission.access, route.admission.limits) for route in registry]
    guarded += [(room.place, room.access, room.limits) for room in registry.rooms]
    for place, access, limits in guarded:
        counts = limits.own(MAX_CONNECTIONS_PER_USER) is not None
        if (access.login_required or access.names or counts) and not apps.is_installed("django.contrib.auth"):
            yield Error(
                f"{place} asks who is logged in, and 'django.contrib.auth' is not in INSTALLED_APPS.",
                hint="Add 'django.contrib.auth' and 'django.contrib.sessions' to INSTALLED_APPS; or silence this if "
                "middleware of your own sets the user.",
                id="fastws.E040",
            )
        for name in access.names:
            if name.partition(".")[0] not in labels:
                yield Warning(
                    f"{place} asks for the permission {name!r}, and no installed app has that label.",
                    hint=f"The labels are {', '.join(sorted(labels))}. Nobody but superusers has such a permission.",
                    id="fastws.W041",
                )
