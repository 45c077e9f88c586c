"""Checks from outside, at a URL: handshake, origin, what is forwarded, how long a silent socket lives, the client."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address
from typing import Any
from urllib.parse import urljoin

import httpx2
from django.conf import settings
from websockets.exceptions import ConnectionClosed

from .._core.close_codes import INTERNAL_ERROR
from ..conf import conf
from ..exceptions import WebSocketConnectionError
from ..processes import PASS_HEADER, PASSES_TOPIC, ask_processes, hash_of_pass
from ..routing import registry
from .dialing import Dialed, dial
from .forwarded_checks import SPOOFED, judge_address, judge_host, judge_scheme, judge_spoofed
from .guarded import in_thread
from .project import client_bytes, client_url
from .result import CheckResult, failed, ok, skipped, warning
from .target import Target, TargetError, parse_target

__all__ = ["look_from_outside"]

_PASSES = 8
_PASS_SECONDS = 100.0
_ASKED, _ASK_PAUSE_SECONDS = 3, 0.2  # one that has got its first socket just now is about to hear questions
_TOLD_SECONDS = 5.0  # for what the server has seen to arrive
_FOREIGN = "https://fastws-doctor.invalid"  # a name that nobody can have (RFC 2606)
_HTTP_SECONDS = 10.0
_AT_ONCE_SECONDS = 0.3  # within which a handler that cannot serve anybody closes

_FORWARDED = ("forwarded address", "forged address", "forwarded scheme", "forwarded host")
_NO_SOCKET = "No socket can be opened."
_NO_PASS = (
    "The server does not know the doctor: it is not reached by the layer of this process, runs an older release, or "
    "its application is composed without OriginCheck."
)
_SAME_LAYER = "Run ws_doctor where the servers run, with their settings; see the result of processes."


async def look_from_outside(
    url: str, idle_seconds: float | None, *, is_layer_usable: bool, report: Callable[[CheckResult], None]
) -> None:
    """Look at the installation through its proxy, as a browser does.

    Args:
        idle_seconds: how long a silent socket is watched; None does not.
        is_layer_usable: whether processes can be told that the doctor comes.
        report: is called with each result.
    """
    try:
        target = parse_target(url, conf.live_path if registry.rooms else None)
    except TargetError as error:
        report(failed("url", str(error), error.hint))
        for check in ("handshake", "origin", *_FORWARDED, "idle"):
            report(skipped(check, "There is no URL to look at."))
        return
    if target.was_http:
        report(warning("url", f"{url} is taken for {target.url}.", "Pages connect with ws:// or wss://: write that."))
    await _Outside(target, idle_seconds, report).run(is_layer_usable=is_layer_usable)


class _Outside:
    """Checks at one URL."""

    def __init__(self, target: Target, idle_seconds: float | None, report: Callable[[CheckResult], None]) -> None:
        self._target = target
        self._idle_seconds = idle_seconds
        self._report = report
        self._passes: list[str] = []

    async def run(self, *, is_layer_usable: bool) -> None:
        target = self._target
        plain = await dial(target, origin=target.site)
        try:
            # While it is open: a server without lifespan hears questions as long as it has sockets.
            if is_layer_usable and (plain.is_open or plain.status is not None):
                await self._get_passes()
            ended = await _ended_at_once(plain)
        finally:
            await plain.close()
        if not plain.is_open and plain.status is None:
            self._report(failed("handshake", plain.detail, plain.hint))
            for check in ("origin", *_FORWARDED, "idle", "client module from outside"):
                self._report(skipped(check, "The server cannot be reached."))
            return
        known, seen, local = await self._ask()
        self._report(_judge_ended(self._target.url, ended) if ended else self._judge_handshake(plain, known))
        self._report(await self._origin(plain, is_known=seen is not None))
        await self._forwarded(seen, local, reaches=plain.is_open)
        if plain.is_open or seen is not None:
            self._report(await self._idle())
        else:
            self._report(skipped("idle", _NO_SOCKET))
        self._report(await self._client_module())

    # Being known

    async def _get_passes(self) -> None:
        """Tell the processes that the doctor comes: each of the passes is good for one handshake in each process."""
        passes = [secrets.token_urlsafe(32) for _ in range(_PASSES)]
        arguments = {"hashes": [hash_of_pass(one) for one in passes], "seconds": _PASS_SECONDS}
        for _ in range(_ASKED):
            try:
                survey = await ask_processes(PASSES_TOPIC, arguments)
            except WebSocketConnectionError:  # which the checks of the layer have said
                return
            if any(not answer.error for answer in survey.answers.values()):
                self._passes = passes
                return
            await asyncio.sleep(_ASK_PAUSE_SECONDS)

    def _pass(self) -> list[tuple[str, str]]:
        return [(PASS_HEADER.decode(), self._passes.pop())] if self._passes else []

    async def _dial_known(self, *, origin: str | None, headers: Sequence[tuple[str, str]] = ()) -> Dialed:
        return await dial(self._target, origin=origin, headers=[*self._pass(), *headers])

    async def _ask(self, *headers: tuple[str, str]) -> tuple[Dialed, Mapping[str, Any] | None, tuple[str, int]]:
        """Dial with a pass: what became of it, what the server has seen, and the address of the end here."""
        if not self._passes:
            return Dialed(), None, ("", 0)
        dialed = await self._dial_known(origin=self._target.site, headers=headers)
        if dialed.connection is None:
            return dialed, None, ("", 0)
        local = dialed.connection.local_address
        try:
            async with asyncio.timeout(_TOLD_SECONDS):
                seen = json.loads(await dialed.connection.recv())
        except (TimeoutError, ConnectionClosed, ValueError):
            seen = None  # it is not ours that has answered
        await dialed.close()
        is_ours = isinstance(seen, Mapping) and "scheme" in seen and "process" in seen
        return dialed, seen if is_ours else None, (str(local[0]), int(local[1]))

    # What is judged

    def _judge_handshake(self, plain: Dialed, known: Dialed) -> CheckResult:
        check, url = "handshake", self._target.url
        if plain.is_open:
            return ok(check, f"{url} is open after {1000 * plain.seconds:.0f} ms.")
        if not known.is_open:
            return failed(check, plain.detail, plain.hint)
        through = f"A WebSocket comes through to the server; the application denies {url} with {plain.status}"
        through += f": {plain.body}." if plain.body else "."
        if plain.status == 404:
            if not self._target.has_path:
                return ok(check, f"A WebSocket comes through to the server, which has no route at {url}.")
            return failed(check, through, "Give the path of a route: see manage.py ws_routes.")
        return warning(check, through, "That is right where the route asks who is logged in: the doctor is nobody.")

    async def _origin(self, plain: Dialed, *, is_known: bool) -> CheckResult:
        """Whether pages of this site are let in, and those of another are not."""
        check, site = "origin", self._target.site
        if not (plain.is_open or is_known):
            if plain.status != 403:
                return skipped(check, "The handshake is denied whatever the origin is.")
            without = await self._dial_known(origin=None)
            await without.close()
            if without.is_open:
                return failed(
                    check,
                    f"Pages of {site} are denied with 403; without an origin, the handshake comes about.",
                    "Have the proxy pass the Host on; list the site in ALLOWED_HOSTS, or in FASTWS_ALLOWED_ORIGINS.",
                )
            return skipped(check, "The handshake is denied with 403 whatever the origin is.")
        foreign = await self._dial_known(origin=_FOREIGN) if is_known else await dial(self._target, origin=_FOREIGN)
        await foreign.close()
        if not foreign.is_open:
            if foreign.status is None:
                return failed(check, f"Another origin is not denied, but: {foreign.detail}", foreign.hint)
            return ok(check, f"Pages of {site} are let in, those of another site are denied with {foreign.status}.")
        hint = "Set ALLOWED_HOSTS or FASTWS_ALLOWED_ORIGINS to your sites, and have OriginCheck in the application."
        what = f"A page of any other site is let in ({_FOREIGN}), with the cookies of its visitors."
        if conf.allowed_origins is not None and "*" in conf.allowed_origins:
            return warning(check, f"{what} FASTWS_ALLOWED_ORIGINS has '*'.", hint)
        return failed(check, what, hint)

    async def _forwarded(self, seen: Mapping[str, Any] | None, local: tuple[str, int], *, reaches: bool) -> None:
        """What the server has seen of the client.

        Args:
            reaches: whether anybody reaches a server at all.
        """
        if seen is None:
            for check in _FORWARDED:
                self._report(skipped(check, _NO_PASS, _SAME_LAYER) if reaches else skipped(check, _NO_SOCKET))
            return
        self._report(judge_address(seen, local))
        _, forged, _ = await self._ask(("X-Forwarded-For", SPOOFED))
        if forged is None:
            self._report(skipped("forged address", "The server was asked again, and did not know the doctor."))
        else:
            is_direct = seen.get("client") == [*local]
            self._report(judge_spoofed(forged, is_beside=is_direct and ip_address(local[0]).is_loopback))
        self._report(judge_scheme(seen, self._target))
        self._report(judge_host(seen, self._target, uses_forwarded_host=settings.USE_X_FORWARDED_HOST))

    async def _idle(self) -> CheckResult:
        """How long a silent socket lives."""
        check, seconds = "idle", self._idle_seconds
        if seconds is None:
            return skipped(check, "It was not asked for.", "Add --idle 90 to see how long a silent socket lives.")
        dialed = await self._dial_known(origin=self._target.site)
        if dialed.connection is None:
            dialed = await dial(self._target, origin=self._target.site)
        connection = dialed.connection
        if connection is None:
            return failed(check, dialed.detail, dialed.hint)
        loop = asyncio.get_running_loop()
        began = heard_at = loop.time()
        try:
            async with asyncio.timeout(seconds):
                while True:
                    await connection.recv()
                    heard_at = loop.time()
        except TimeoutError:
            return ok(check, f"A silent socket has lived for {seconds:g} seconds, when it was closed here.")
        except ConnectionClosed as closed:
            now = loop.time()
            return _judge_idle(check, now - began, now - heard_at, closed)
        finally:
            await dialed.close()

    async def _client_module(self) -> CheckResult:
        """Whether pages get the browser client, as JavaScript."""
        check = "client module from outside"
        try:
            url = urljoin(f"{self._target.site}/", await in_thread(client_url))
        except Exception as error:
            return skipped(check, f"It has no URL here: {error}")
        if url.startswith("ws"):
            return skipped(check, "It has no URL here.")
        try:
            async with httpx2.AsyncClient(timeout=_HTTP_SECONDS, trust_env=False) as client:
                response = await client.get(url)
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            return failed(check, f"{url} cannot be loaded: {str(error) or type(error).__name__}", "See the proxy.")
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if response.status_code != 200 or not kind.endswith(("javascript", "ecmascript")):
            how = f"is answered with {response.status_code}" if response.status_code != 200 else f"comes as {kind}"
            return _not_served(check, f"{url} {how}, and no browser takes it.")
        if response.content != client_bytes():
            return warning(
                check, f"{url} is that of another release.", "Run manage.py collectstatic, and see caches."
            )
        return ok(check, f"{url} is that of the installed release, as {kind}.")


async def _ended_at_once(dialed: Dialed) -> ConnectionClosed | None:
    """How the server has ended a socket that it has just opened; None where it has not."""
    if dialed.connection is None:
        return None
    try:
        async with asyncio.timeout(_AT_ONCE_SECONDS):
            while True:
                await dialed.connection.recv()
    except TimeoutError:
        return None
    except ConnectionClosed as closed:
        return closed


def _judge_ended(url: str, closed: ConnectionClosed) -> CheckResult:
    check, opened = "handshake", f"{url} opens, and is closed again at once"
    if closed.rcvd is None:
        hint = "See the log of the server and of the proxy: one of them has failed, or ends sockets on purpose."
        return failed(check, f"{opened}, without a close frame.", hint)
    code, reason = closed.rcvd.code, closed.rcvd.reason
    detail = f"{opened}, with {code} {reason}".rstrip() + "."
    if code == INTERNAL_ERROR[0]:
        return failed(check, detail, "The handler has failed: see the traceback in the log of the server.")
    return warning(check, detail, "That is right if the handler does so, as with one who is nobody to it.")


def _not_served(check: str, detail: str) -> CheckResult:
    hint = "Run manage.py collectstatic, and have the proxy, or WhiteNoise, serve STATIC_ROOT at STATIC_URL."
    return warning(check, detail, f"{hint} Pages without live rooms do without it.")


def _judge_idle(check: str, lived: float, silent: float, closed: ConnectionClosed) -> CheckResult:
    """What it means that a silent socket has ended.

    Args:
        lived: for so many seconds.
        silent: for so many of them, at its end.
    """
    if closed.rcvd is not None:
        code, reason = closed.rcvd.code, closed.rcvd.reason
        return warning(
            check,
            f"The server has closed a silent socket after {lived:.1f} seconds, with {code} {reason}".rstrip() + ".",
            "See FASTWS_IDLE_TIMEOUT and FASTWS_MAX_LIFETIME, and what the handler does.",
        )
    heartbeat = conf.live_ping_seconds
    detail = f"A silent socket was cut after {lived:.1f} seconds, without a close frame, by a proxy or the network."
    more = "nginx: proxy_read_timeout; haproxy: timeout tunnel; load balancers of clouds: the idle timeout."
    if silent < heartbeat * 1.1:
        return failed(
            check,
            f"{detail} That is sooner than live sockets are sent a ping (FASTWS_LIVE_PING_SECONDS = {heartbeat:g}).",
            f"Raise the timeout of the proxy to 60 seconds or more. {more}",
        )
    return warning(check, detail, f"Sockets that are sent nothing for so long end: raise the timeout. {more}")
