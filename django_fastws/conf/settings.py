"""Table of settings. One row is a setting's name, kind, default and wording.

The typed properties of ``conf``, the system checks and the page ``docs/reference/settings.md`` are made from it.
"""

from __future__ import annotations

from typing import Any

from .._core.backlog import SLOW_CONSUMER_POLICIES
from .._core.redaction import MASKED_PARAMETERS
from . import kinds
from .descriptor import Setting

__all__ = ["SETTINGS", "Conf", "check_settings", "conf"]

_MIB = 1024 * 1024


class Conf:
    """The settings as the package reads them, one property each."""

    __slots__ = ()

    # Routes

    consumers_module = Setting(
        kinds.MODULE,
        "consumers",
        "The module that is imported from every installed app at start-up, relative to the app.",
    )
    allowed_origins = Setting(
        kinds.ORIGINS, None, "From which sites a browser may open a socket: `None`, or a list of patterns."
    )
    close_on_logout = Setting(
        kinds.CLOSE_ON_LOGOUT,
        True,
        "Whether sockets close when their user logs out, is deactivated or deleted, changes the password, or the "
        "session ends otherwise.",
    )
    session_check_seconds = Setting(
        kinds.TIMEOUT_OR_NONE,
        60,
        "How often each process looks again at the sessions and users of its open sockets, in seconds.",
    )

    # Limits

    max_connections = Setting(
        kinds.CONNECTIONS_OR_NONE,
        None,
        "How many WebSockets a process serves at a time. More are denied with {code}, before sessions and users are "
        "looked up.",
    )
    max_connections_per_address = Setting(
        kinds.CONNECTIONS_OR_NONE,
        None,
        "How many sockets of one client address a process serves at a time; more are denied with {code}.",
    )
    max_connections_per_user = Setting(
        kinds.CONNECTIONS_OR_NONE,
        None,
        "How many sockets of one user who is logged in a process serves at a time; more are denied with {code}.",
    )
    handshake_rate = Setting(
        kinds.RATE_OR_NONE,
        None,
        'How many handshakes a process takes up, as a rate: `"200/s burst 1000"`. What comes sooner is denied with '
        "{code}, before sessions and users are looked up.",
    )
    handshake_rate_per_address = Setting(
        kinds.RATE_OR_NONE, None, "How many handshakes of one client address a process takes up, as a rate."
    )
    message_rate = Setting(
        kinds.RATE_OR_NONE,
        None,
        'How many messages a client may send on one socket, as a rate: `"50/s burst 200"`. Over it, the socket '
        "closes with {code}.",
    )
    idle_timeout = Setting(
        kinds.TIMEOUT_OR_NONE,
        None,
        "After how many seconds without a message from its client a socket closes with {code}. Pings are not "
        "messages.",
    )
    max_lifetime = Setting(
        kinds.TIMEOUT_OR_NONE, None, "After how many seconds a socket closes with {code}, whatever it does."
    )

    # Messages and rooms

    max_message_bytes = Setting(
        kinds.count_of("bytes"),
        _MIB,
        "The largest message that `send*()` and `broadcast()` take, in bytes as it is encoded. More raises "
        "`MessageTooBig`.",
    )
    send_buffer_bytes = Setting(
        kinds.count_of("bytes"), _MIB, "How many bytes may wait for one client to read. A single message always fits."
    )
    slow_consumer = Setting(
        kinds.choice(*SLOW_CONSUMER_POLICIES),
        "disconnect",
        "What a broadcast does with a client whose buffer is full.",
    )
    publish_timeout_seconds = Setting(
        kinds.SECONDS,
        10,
        "How long a broadcast or a join waits for the answer of the channel layer before it raises "
        "`WebSocketConnectionError`.",
    )
    publish_retry_seconds = Setting(
        kinds.DURATION,
        10,
        "How long a broadcast, or a join, waits for a Redis of `RedisChannelLayer` that is known to be away, before "
        "it raises `WebSocketConnectionError`. With 0 it raises at once.",
    )
    publish_retry_bytes = Setting(
        kinds.count_of("bytes"),
        16 * _MIB,
        "How many bytes of broadcasts may wait for one Redis of `RedisChannelLayer`: in each event loop, and in all "
        "other threads of a process together.",
    )

    # Live rooms

    live_path = Setting(
        kinds.URL_PATH,
        "/ws/live",
        "The path at which clients reach every live room, over one socket. There is a route for it if a live room is "
        "declared. `None` serves none.",
    )
    live_max_bytes = Setting(
        kinds.count_of("bytes"),
        64 * 1024,
        "The largest frame that a client may send on a live socket. More is answered with the error `too_big`.",
    )
    live_pending = Setting(
        kinds.count_of("events"),
        64,
        "How many events, joins and leaves of one live socket may be under way or waiting. Then the socket is not "
        "read until some have ended.",
    )
    history_check_seconds = Setting(
        kinds.SECONDS,
        20,
        "How often each process looks whether rooms with history have events that did not arrive, in seconds.",
    )
    live_max_rooms = Setting(
        kinds.count_of("rooms"),
        100,
        "How many rooms one live socket may be in. A join of more is answered with the error `forbidden`, and the "
        "socket stays in those that it is in.",
    )
    live_ping_seconds = Setting(
        kinds.SECONDS,
        25,
        'After how many seconds without a frame of its own a live socket is sent `{"ping":1}`, so that its client '
        "notices a connection that is dead.",
    )
    live_authenticate = Setting(
        kinds.FUNCTION_OF_TOKENS,
        None,
        "The dotted path of an async function that takes a token and the scope, and returns the user: for clients "
        "without cookies, which send the token in their `hello`.",
    )

    presence_grace_seconds = Setting(
        kinds.FINITE_DURATION,
        10,
        "How long somebody whose last connection to a room ended stays present there, in seconds: a reload, or a "
        "short loss of the network, is not seen.",
    )
    presence_lease_seconds = Setting(
        kinds.FINITE_SECONDS,
        30,
        "After how many seconds a process that has died without a word is noticed, and who was present there by it "
        "alone is not any more. Each process says three times in this time that it lives.",
    )
    presence_return_seconds = Setting(
        kinds.FINITE_DURATION,
        60,
        "How long those who were connected to a process that stops in order stay present, in seconds: so a deploy is "
        "not seen.",
    )
    presence_diff_seconds = Setting(
        kinds.FINITE_DURATION,
        0.25,
        "How long changes of who is present are collected before they are sent to the members of a room, in seconds. "
        "With 0 each is sent at once.",
    )

    # HTTP publish

    publish_keys = Setting(
        kinds.PUBLISH_KEYS,
        {},
        "The keys of [HTTP publish](http-publish.md), by their ids: with which secrets a request may be signed, and "
        "to which rooms it may publish then.",
    )

    # The server

    drain_seconds = Setting(
        kinds.DURATION,
        20,
        "How long an orderly stop of `manage.py runws_server` or `manage.py runws_clients` may take. 0 stops at "
        "once, in the same order.",
    )
    reconnect_rate = Setting(
        kinds.RATE_OR_NONE,
        "125/s",
        "How fast the clients of a server that stops shall reconnect, all together, as a rate. `None` announces "
        "nothing to them.",
    )
    receive_buffer_messages = Setting(
        kinds.count_of("messages"),
        64,
        "How many messages of one client may wait for its handler, on `manage.py runws_server` and `runserver`; on "
        "uvicorn, what came in one read besides.",
    )
    receive_buffer_bytes = Setting(
        kinds.count_of("bytes"),
        _MIB,
        "How many bytes of one client may wait for its handler, on `manage.py runws_server` and `runserver`; on "
        "uvicorn, what came in one read besides.",
    )
    deflate_least_bytes = Setting(
        kinds.count_of("bytes"),
        256,
        "The shortest message that is compressed for clients with which compression was agreed on: on `manage.py "
        "runws_server --ws-per-message-deflate`, and on uvicorn.",
    )
    deflate_level = Setting(
        kinds.whole_number(1, 9), 6, "How hard messages are compressed: from 1, which is fast, to 9, which is small."
    )
    deflate_window_bits = Setting(
        kinds.whole_number(9, 15),
        12,
        "How far back a compressed message may refer: 2 to the power of this bytes. So many are held for each socket "
        "that has sent something compressed.",
    )
    deflate_memory_level = Setting(
        kinds.whole_number(1, 9),
        8,
        "How much memory there is for finding repetitions: 2 to the power of this and 9 bytes, once for all sockets "
        "of a process.",
    )
    deflate_client_context = Setting(
        kinds.FLAG,
        True,
        "Whether the compressed messages of a client may refer to those before: they are smaller then, and each "
        "socket takes some 12 kB more. On `manage.py runws_server`.",
    )
    request_timeout = Setting(
        kinds.TIMEOUT_OR_NONE,
        60,
        "How long the head of an HTTP request, or of a handshake, may take from its first byte, in seconds, and how "
        "long a connection may be open before that; `None` for ever.",
    )
    max_body_bytes = Setting(
        kinds.BYTES_OR_NONE,
        None,
        "The largest body of an HTTP request that `manage.py runws_server` and `runserver` take, in bytes; `None` "
        "for any.",
    )
    max_spool_bytes = Setting(
        kinds.BYTES_OR_NONE,
        None,
        "What the bodies of HTTP requests may take together, in memory and in temporary files, in bytes; `None` for "
        "half of what is free where temporary files are.",
    )
    max_pending_per_address = Setting(
        kinds.CONNECTIONS_OR_NONE,
        256,
        "How many connections of one client address may be open on which a request, or the handshake of a socket, "
        "has not come in whole; `None` for any number.",
    )
    health_path = Setting(
        kinds.URL_PATH,
        "/healthz",
        "The path at which `manage.py runws_server` and `runserver` answer 200 as long as they live, before Django. "
        "`None` leaves it to the project.",
    )
    ready_path = Setting(
        kinds.URL_PATH,
        "/readyz",
        "The path at which `manage.py runws_server` and `runserver` say, before Django, whether they should be given "
        "connections. `None` leaves it to the project.",
    )
    metrics_path = Setting(
        kinds.URL_PATH,
        None,
        "The path at which `manage.py runws_server` and `runserver` answer Prometheus with the metrics of the "
        'process, before Django: `"/metrics"`. `None` answers nothing.',
    )
    log_format = Setting(
        kinds.choice("text", "json"),
        "text",
        "How the commands write their log, on a project without LOGGING of its own: a line of text with a time, or "
        "one object of JSON in each line.",
    )
    log_masked_parameters = Setting(
        kinds.WORDS,
        MASKED_PARAMETERS,
        "Which parameters of a query the access log does not show the values of, for requests and sockets alike: a "
        "list of words in their names.",
    )

    slow_callback_seconds = Setting(
        kinds.SECONDS_IN_DEBUG,
        kinds.InDebug(0.1),
        "How long a handler may block the event loop, in seconds, before the log says where in the code that is. "
        "`None` does not look.",
    )

    gc_freeze_objects = Setting(
        kinds.OBJECTS_OR_NONE,
        25_000,
        "How many objects a full run of Python's garbage collector may leave, in a process that serves, before they "
        "are frozen, so that no later one looks at them again and stops the event loop meanwhile. `None` leaves the "
        "collector alone.",
    )
    gc_thaw_objects = Setting(
        kinds.count_of("objects"),
        250_000,
        "How many of the objects that are frozen may be garbage, before the garbage collector looks at all of them.",
    )

    # Sync code of handlers

    db_threads = Setting(
        kinds.count_of("threads"),
        4,
        "How many threads the sync code of handlers shares, in each process; above all the ORM's.",
    )
    db_setup = Setting(
        kinds.FUNCTION,
        None,
        "The dotted path of a sync function, which is called with the scope before each piece of a socket's sync "
        "code, in the thread that runs it: to set the tenant, the schema, a variable of row-level security.",
    )
    db_reset = Setting(
        kinds.DB_RESET,
        None,
        "What happens to the database connections after each piece of a socket's sync code, so that nothing that it "
        "has set is seen by another socket.",
    )

    # Outbound routes

    client_library = Setting(
        kinds.choice("websockets", "picows"),
        "websockets",
        'The library that connects outbound routes: `"websockets"`, or `"picows"`, which the extra '
        "`django-fastws[picows]` installs.",
    )
    client_http_handler_seconds = Setting(
        kinds.SECONDS,
        30,
        "How long the sockets wait for the handler of an outbound HTTP request once it is answered.",
    )
    client_backoff_base = Setting(
        kinds.NUMBER,
        2,
        "How long an outbound route waits before it connects again: before attempt `n` at most this to the power of "
        "`n`, in seconds.",
    )
    client_backoff_cap = Setting(kinds.SECONDS, 30, "The longest such delay, in seconds.")
    client_backoff_jitter = Setting(
        kinds.FRACTION,
        0.5,
        "The part of the delay that is left to chance, from 0 to 1: with 0.5, it is between half and all of it.",
    )
    client_stable_seconds = Setting(
        kinds.SECONDS,
        60,
        "An outbound connection that stayed up for so long is a success: attempts are counted from zero again.",
    )
    client_lease_seconds = Setting(
        kinds.SECONDS,
        15,
        "How long a process that holds a route with `lease=True` may be silent before another takes the route over.",
    )


conf = Conf()

#: Every setting, by its name in the project's settings.
SETTINGS: dict[str, Setting[Any]] = {row.name: row for row in vars(Conf).values() if isinstance(row, Setting)}


def check_settings() -> None:
    """Read every setting, so that one that means nothing stops the process that starts, and no connection later.

    Raises:
        ImproperlyConfigured: a setting cannot be what it is.
    """
    for name in sorted(SETTINGS):
        getattr(conf, SETTINGS[name].attribute)
