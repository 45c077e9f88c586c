"""System checks: mistakes in the settings, the routes and the live rooms, each with an id and what to do about it."""

from __future__ import annotations

from .channel_layer import check_channel_layer, check_eviction
from .database_histories import check_database_histories, check_tables, problem_of_histories
from .declared_routes import check_access, check_outbound_routes, check_routes, outbound_messages
from .installation import check_asgi_application, check_installed_apps
from .live_rooms import check_live_rooms
from .metrics_checks import check_metrics
from .presence_checks import check_presence, check_presence_settings
from .registering import Check, all_checks
from .setting_values import check_origins, check_publish_keys, check_settings

__all__ = [
    "all_checks",
    "check_access",
    "check_asgi_application",
    "check_channel_layer",
    "check_database_histories",
    "check_eviction",
    "check_installed_apps",
    "check_live_rooms",
    "check_metrics",
    "check_origins",
    "check_outbound_routes",
    "check_presence",
    "check_presence_settings",
    "check_publish_keys",
    "check_routes",
    "check_settings",
    "check_tables",
    "deploy_checks",
    "outbound_messages",
    "problem_of_histories",
]


#: Checks that ask other servers.
deploy_checks: list[Check] = [check_eviction, check_tables]
