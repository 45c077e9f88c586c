"""Console in Django's admin: processes, sockets, rooms and outbound routes, over all processes.

Where ``django.contrib.admin`` is installed it is registered on the default site by itself. A site of one's own has it
with ``register_console(site)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.apps import apps

if TYPE_CHECKING:
    from django.contrib.admin import AdminSite

__all__ = ["register_console"]


def register_console(site: AdminSite) -> None:
    """Register the console on a site of the admin: four models, "Real-time".

    Args:
        site: which has none of them yet.
    Raises:
        django.contrib.admin.exceptions.AlreadyRegistered: it has.
    """
    from ..models import OutboundRoute, Process, Room, Socket
    from .outbound_admin import OutboundRouteAdmin
    from .process_admin import ProcessAdmin
    from .room_admin import RoomAdmin
    from .socket_admin import SocketAdmin

    site.register(Process, ProcessAdmin)
    site.register(Socket, SocketAdmin)
    site.register(Room, RoomAdmin)
    site.register(OutboundRoute, OutboundRouteAdmin)


if apps.is_installed("django.contrib.admin"):
    from django.contrib.admin import site as default_site

    register_console(default_site)
