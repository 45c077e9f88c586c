"""What there is to see, and where its code and its documentation are: for the index and for the head of each page."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from django.conf import settings
from django.http import HttpRequest


class Page(NamedTuple):
    """One app of the example.

    Attributes:
        url: the name of its first page.
        shows: of the package, in a few words.
        rooms: the names of its live rooms, as the docs page has them.
        docs: pages of the documentation, with what they are about.
        others: files outside of the app that are worth reading with it.
    """

    title: str
    url: str
    summary: str
    shows: list[str]
    rooms: list[str]
    docs: dict[str, str]
    others: list[str]
    is_showcase: bool = False


BAR, TALK, PEOPLE = (f"example_project/{path}" for path in ("static/bar.js", "static/conversation.js", "people.py"))

PAGES = {
    "desk": Page(
        "Desk",
        "desk:tickets",
        "A support desk: tickets that say who is there, who is typing and what is unread, "
        "and an agent who can take people out.",
        ["history in the database", "resume from the page", "presence", "relay", "kick"],
        ["tickets", "desk"],
        {
            "docs/howto/database-history.md": "Keep a history in the database",
            "docs/howto/presence.md": "Show who is here",
        },
        [TALK, BAR, PEOPLE],
        is_showcase=True,
    ),
    "market": Page(
        "Market",
        "market:prices",
        "Prices that four sockets bring in from elsewhere, many times a second, and that no page gets too many of.",
        ["keyed room", "outbound sockets", "rate by key"],
        ["market"],
        {
            "docs/howto/keyed-rooms.md": "Send the newest value of each key",
            "docs/howto/outbound.md": "Connect out",
        },
        ["example_project/feed_server.py", BAR],
        is_showcase=True,
    ),
    "board": Page(
        "Board",
        "board:board",
        "A board with notes for everybody, and the cursor of everybody else, live.",
        ["relay", "history", "shared state", "presence"],
        ["board"],
        {
            "docs/howto/progress.md": "Show progress, and what others do",
            "docs/howto/history.md": "Keep a history",
        },
        [BAR, PEOPLE],
        is_showcase=True,
    ),
    "chat": Page(
        "Chat",
        "chat:lobby",
        "Rooms that are there as soon as someone goes in, under any name and for guests, too.",
        ["rooms by name", "calls that wait for the connection", "who comes and goes"],
        ["chat"],
        {"docs/tutorial/2-a-live-room.md": "The tutorial", "docs/reference/live-rooms.md": "Live rooms"},
        [TALK, BAR, PEOPLE],
    ),
    "tables": Page(
        "Tables",
        "tables:plan",
        "A form that is answered over the socket, each problem beside its field.",
        ["validated calls", "errors by field", "done once"],
        ["tables"],
        {"docs/reference/live-rooms.md": "Live rooms"},
        [BAR],
    ),
    "news": Page(
        "News",
        "news:feed",
        "What a Django view or the admin announces shows up here without a reload.",
        ["broadcast from sync code", "after the commit"],
        ["news"],
        {"docs/howto/broadcast.md": "Broadcast from anywhere"},
        ["example_project/news/admin.py", BAR],
    ),
}

#: What is worth reading of an app, in this order.
KINDS = ["consumers.py", "models.py", "views.py", "*.js", "*.html"]


def sources_of(app: str) -> list[str]:
    """The files of an app that its page links to, as paths from the root of the repository; those that are here."""
    folder = settings.BASE_DIR / app
    own = [path for kind in KINDS for path in sorted(folder.rglob(kind))]
    paths = [path.relative_to(settings.ROOT_DIR).as_posix() for path in own]
    return [path for path in [*paths, *PAGES[app].others, *PAGES[app].docs] if (settings.ROOT_DIR / path).is_file()]


def source_of(path: str) -> str | None:
    """The text of one of these files; None of any other, or if it is not here."""
    if not any(path in sources_of(app) for app in PAGES):
        return None
    return Path(settings.ROOT_DIR / path).read_text(encoding="utf-8")


def pages(request: HttpRequest) -> dict[str, Any]:
    """For every template: all pages, and the one that this is."""
    here = request.resolver_match.app_name if request.resolver_match else ""
    return {"pages": PAGES, "here": here, "page": PAGES.get(here), "is_debug": settings.DEBUG}
