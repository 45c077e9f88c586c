"""Messages of the system checks in a project whose settings are right but for what a test sets."""

from django.core import checks
from django.test import override_settings

REDIS = {"BACKEND": "django_fastws.layer.RedisChannelLayer", "CONFIG": {"hosts": ["redis://redis.example"]}}
RIGHT = {
    "DEBUG": False,
    "ALLOWED_HOSTS": ["testserver"],
    "ASGI_APPLICATION": "tests.site.asgi.application",
    "CHANNEL_LAYERS": {"default": REDIS},
}


def found(**settings):
    """The ids and the messages of every check of ours, with these settings."""
    with override_settings(**{**RIGHT, **settings}):
        messages = checks.run_checks(tags=["fastws"])
    assert all(message.id.startswith("fastws.") for message in messages)
    assert all(message.hint for message in messages)
    assert all(message.level == (checks.ERROR if ".E" in message.id else checks.WARNING) for message in messages)
    return {message.id: message for message in messages}


def core(**host):
    address = host.pop("address", "redis://redis.example")
    hosts = [{"address": address, **host}] if host else [address]
    return {"default": {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": hosts}}}


async def one(ws, room="", other=""): ...


async def two(ws, room="", other=""): ...
