"""Checks of the channel layer: that it answers, that what is published arrives, and the limits of its Redis."""

from __future__ import annotations

import asyncio
import statistics
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from .._core.envelope import Envelope
from ..exceptions import WebSocketConnectionError
from ..layer import get_broker, is_local, layer_status, redis_client
from .guarded import sentence
from .result import CheckResult, failed, ok, skipped, warning

__all__ = ["OLDEST_REDIS", "LayerFindings", "look_at_layer"]

_ANSWER_SECONDS = 3.0
_REDIS_SECONDS = 3.0
_TIMES = 5  # that something is published and waited for
_SLOW_SECONDS = 0.25
#: The oldest Redis that has what histories, keyed rooms and presence need.
OLDEST_REDIS = (6, 2)

_REDIS_LAYER = (
    'Set CHANNEL_LAYERS = {"default": {"BACKEND": "django_fastws.layer.RedisChannelLayer", '
    '"CONFIG": {"hosts": ["redis://..."]}}}.'
)
#: What stands in an error of a layer, and what to do then.
_REMEDIES = (
    (
        ("wrongpass", "noauth", "auth", "username-password", "password"),
        "Correct the user and the password in its URL.",
    ),
    (("noperm", "no permissions"), "Give the user of Redis what docs/howto/channel-layer.md lists."),
    (("name or service", "nodename", "resolution", "getaddrinfo", "gaierror"), "Correct the name of its host."),
    (("certificate", "ssl", "tls"), "Correct its certificate, or ssl_ca_certs of the host in CHANNEL_LAYERS."),
    (("is no redis", "protocol"), "Correct the port: something else listens there."),
    (("db index", "out of range"), "Correct the number of the database in its URL."),
    (("replica", "readonly"), "Name its master in CHANNEL_LAYERS, or the Sentinels."),
    (("loading",), "Wait until it has read its data."),
    (("cluster", "moved"), "Name it in cluster of CHANNEL_LAYERS, not in hosts."),
    (
        ("refused", "connect call failed", "connecting to"),
        "Start Redis there, or correct host and port in CHANNEL_LAYERS.",
    ),
    (("not answer", "timed out", "timeout"), "See whether it hangs, and whether a firewall drops the packets."),
)


@dataclass(frozen=True, slots=True)
class LayerFindings:
    """What is known of the layer.

    Attributes:
        results: of the checks.
        is_usable: whether what needs it can be looked at.
        is_shared: whether it reaches other processes.
        clock_skew: how far the clock of its Redis is ahead of the one here, in seconds; None where it has none, or
            does not tell.
    """

    results: Sequence[CheckResult]
    is_usable: bool
    is_shared: bool
    clock_skew: float | None = None


async def look_at_layer() -> LayerFindings:
    """Whether the layer answers, what a message takes, and how its Redis is."""
    name = _backend()
    try:
        broker = get_broker()
    except Exception as error:  # whatever the constructor of a layer raises
        detail = f"The channel layer {name} cannot be made: {type(error).__name__}: {str(error)[:300]}"
        return LayerFindings([failed("layer", detail, "Correct CHANNEL_LAYERS.")], is_usable=False, is_shared=False)
    is_shared = not is_local()
    problem = await _problem(broker)
    if problem:
        detail = f"{name} cannot be reached: {sentence(problem)}"
        result = failed("layer", detail, _remedy(problem))
        return LayerFindings([result], is_usable=False, is_shared=is_shared)
    if is_shared:
        first = ok("layer", f"{name} answers.")
    else:
        first = warning("layer", f"{name} ends at each process: rooms reach nobody in another one.", _REDIS_LAYER)
    results = [first, await _round_trip()]
    redis_results, skew = await _redis(needs_scripts=broker.has_history) if is_shared else ([], None)
    return LayerFindings([*results, *redis_results], results[1].status != "failed", is_shared, skew)


def _backend() -> str:
    layers = getattr(settings, "CHANNEL_LAYERS", None) or {}
    default = layers.get("default") if isinstance(layers, Mapping) else None
    return (
        str(default.get("BACKEND", "without BACKEND")) if isinstance(default, Mapping) else "no layer (the default)"
    )


async def _problem(broker: Any) -> str:
    """Why the layer cannot be reached; empty if it can."""
    try:
        async with asyncio.timeout(_ANSWER_SECONDS + 1):
            await broker.check(_ANSWER_SECONDS)
    except (TimeoutError, WebSocketConnectionError) as error:
        return layer_status().error or str(error) or "it does not answer"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def _remedy(problem: str) -> str:
    text = problem.lower()
    for words, remedy in _REMEDIES:
        if any(word in text for word in words):
            return remedy
    return "Start it, or correct CHANNEL_LAYERS."


async def _round_trip() -> CheckResult:
    """Publish to a group of our own, and wait until it arrives here."""
    check, group = "round trip", f"fastws.c.doctor.{uuid.uuid4().hex}"
    heard: asyncio.Queue[str] = asyncio.Queue()
    broker = get_broker()
    client = broker.client(lambda envelope: heard.put_nowait(str(envelope.fields.get("number"))))
    loop, times = asyncio.get_running_loop(), []
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            await client.subscribe(group)
            for number in range(_TIMES):
                began = loop.time()
                await broker.apublish(Envelope.control(group, {"do": "doctor", "number": str(number)}))
                while await heard.get() != str(number):
                    pass
                times.append(loop.time() - began)
    except TimeoutError:
        return failed(
            check,
            f"A message that was published did not arrive within {_ANSWER_SECONDS:g} seconds.",
            "See whether it is one Redis, not several behind one address, and whether its user may use channels.",
        )
    except WebSocketConnectionError as error:
        return failed(check, sentence(error), _remedy(str(error)))
    finally:
        await _give_back(client, group)
    median = statistics.median(times)
    detail = f"A message through the layer takes {1000 * median:.1f} ms ({_TIMES} times, at most "
    detail += f"{1000 * max(times):.1f} ms)."
    if median > _SLOW_SECONDS:
        return warning(check, detail, "Have a Redis near the servers, which does nothing that blocks it for long.")
    return ok(check, detail)


async def _give_back(client: Any, group: str) -> None:
    try:
        async with asyncio.timeout(1):
            await client.unsubscribe(group)
            await client.close()
    except (TimeoutError, WebSocketConnectionError):
        return  # the layer forgets it by itself


async def _redis(*, needs_scripts: bool) -> tuple[list[CheckResult], float | None]:
    """The version, the limits and the clock of the layer's first Redis."""
    check = "redis"
    try:
        client = redis_client()
    except Exception as error:
        return [skipped(check, f"The layer does not say where it is: {error}")], None
    if client is None:
        return [], None
    try:
        async with asyncio.timeout(_REDIS_SECONDS):
            await client.time()  # which connects
            began, before = time.time(), time.monotonic()
            seconds, micros = _one(await client.time())
            skew = seconds + micros / 1e6 - began - (time.monotonic() - before) / 2
            info = _one(await client.info())
    except Exception as error:  # of redis-py, or of a user who may not ask that
        return [skipped(check, f"It does not tell how it is: {sentence(error)}")], None
    finally:
        await client.aclose(close_connection_pool=True)
    return [_judge_redis(check, info, needs_scripts=needs_scripts)], skew


def _one(reply: Any) -> Any:
    """The reply of one node, where a cluster has answered with those of several, by their names."""
    if isinstance(reply, dict) and reply and all(isinstance(value, (dict, tuple)) for value in reply.values()):
        return next(iter(reply.values()))
    return reply


def _judge_redis(check: str, info: Mapping[str, Any], *, needs_scripts: bool) -> CheckResult:
    version = str(info.get("redis_version", "?"))
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    connected, most = int(info.get("connected_clients", 0)), int(info.get("maxclients", 0))
    memory, limit = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    policy = str(info.get("maxmemory_policy", "noeviction"))
    detail = f"Version {version}, {connected} of {most or '?'} clients, {memory // (1024 * 1024)} MiB"
    detail += f" of {limit // (1024 * 1024)} MiB." if limit else "."
    if needs_scripts and numbers and numbers < OLDEST_REDIS:
        return warning(check, detail, "Histories and presence need Redis 6.2 or newer, or Valkey.")
    if most and connected > 0.9 * most:
        return warning(check, detail, "Raise maxclients of Redis: each process has two connections to it.")
    if limit and memory > 0.9 * limit:
        return warning(check, detail, "Raise maxmemory of Redis, or keep shorter histories.")
    if limit and policy != "noeviction":
        return warning(
            check,
            f"{detail} In want of memory it forgets keys ({policy}): histories, presence and leases.",
            "Set maxmemory-policy to noeviction, or use a Redis of its own for the channel layer.",
        )
    return ok(check, detail)
