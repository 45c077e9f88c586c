"""Admin of rooms: those that have members, in all processes; one of them; kicking, broadcasting and clearing."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString

from ..console import RoomDetail, RoomRow, RowPage, SocketRow, kick, read_busiest_rooms, read_room, read_rooms
from ..exceptions import HistoryUnavailable, LiveError, WebSocketConnectionError
from ..models import Process, Socket
from ..rooms import Room
from .change_list import Column, ConsoleQuery, column_headers, row_cells
from .console_actions import BroadcastForm, ConsoleAction, KickForm, Report, result_report
from .console_admin import SECONDS, ConsoleAdmin, ask
from .console_notes import answers_note
from .console_text import NOTHING, counted, name_text, number, pretty, printable
from .object_keys import fits_a_url, name_of, object_key
from .room_pages import events_page, tail_page
from .socket_admin import chosen_sockets, socket_columns

__all__ = ["RoomAdmin"]

_PER_PAGE = 100
_MEMBERS = 50
_MOST_EVENTS = 10  # on the room's page
_MOST_PRESENT = 100

_BUSIEST = "-members"

KICK = ConsoleAction(
    "kick",
    "kick_room",
    "Kick the selected members",
    "Kick members",
    "Kick",
    "These members are taken out of the room: live clients are told, raw sockets are closed.",
    "Yes, kick",
    KickForm,
)
BROADCAST = ConsoleAction(
    "broadcast",
    "publish_room",
    "Broadcast to the selected rooms",
    "Broadcast",
    "Broadcast",
    "All members of the room get this, in every process. It looks as if the server had said it.",
    "Broadcast",
    BroadcastForm,
    is_dangerous=False,
)
CLEAR = ConsoleAction(
    "clear",
    "clear_room",
    "Clear the history of the selected rooms",
    "Clear the history",
    "Clear the history",
    "All that the history of the room keeps is forgotten, for good. Members start anew, from the state.",
    "Yes, clear",
)


class RoomAdmin(ConsoleAdmin):
    """Admin of rooms."""

    console_actions = (BROADCAST, CLEAR, KICK)

    def object_urls(self) -> list[URLPattern]:
        """What was said in a room, and what is said now."""
        view = self.admin_site.admin_view
        return [
            path("<path:object_id>/events/", view(self.events_view), name=self.url_name("events")),
            path("<path:object_id>/tail/", view(self.tail_view), name=self.url_name("tail")),
        ]

    # The list

    def list_page(self, request: HttpRequest) -> HttpResponse:
        """The rooms with members whose names fit the search."""
        query = ConsoleQuery.read(request.GET, ("search",), ("members",))
        page, said = self.listed(query, lambda seconds: self._read(query, seconds))
        columns = self._columns()
        search = query.filters.get("search", "")
        key = object_key(search)
        context = {
            "headers": column_headers(columns, query),
            "rows": row_cells(columns, page.rows, lambda row: (object_key(row.name), printable(row.name))),
            **said,
            "search": search,
            "search_help": "A part of the name, whatever its case. Only rooms with members are listed.",
            "open_url": self.object_url(key) if search and fits_a_url(key) else "",
            "actions": [action for action in self.actions_for(request) if action is not KICK],
            "total": counted(page.total, "room"),
            "shown": len(page.rows),
            "next_url": query.next(page.next),
            "previous_url": query.previous(),
            "first_url": query.first(),
            "empty": "No room with such a name has members." if search else "No room has members.",
        }
        return self.page(request, "list", "Rooms", context)

    def _read(self, query: ConsoleQuery, seconds: float) -> RowPage[RoomRow]:
        search = query.filters.get("search", "")
        if query.order == _BUSIEST:
            return ask(read_busiest_rooms, _PER_PAGE, search=search, seconds=seconds)
        try:
            return ask(read_rooms, search, after=query.after, limit=_PER_PAGE, seconds=seconds)
        except ValueError:  # of a cursor that was cut, or of another search: from the first page on
            if not query.after:
                raise
            return ask(read_rooms, search, limit=_PER_PAGE, seconds=seconds)

    def _columns(self) -> list[Column[RoomRow]]:
        return [
            Column("Room", lambda row: self.link(object_key(row.name), name_text(row.name, 80))),
            Column("Members", lambda row: number(row.members), "members", "num", greatest_first=True),
            Column("Processes", lambda row: number(row.processes), css="num wide"),
            Column("Pattern", lambda row: name_text(row.pattern, 60) if row.pattern else NOTHING, css="wide"),
            Column("Keeps", _kept),
        ]

    # One room

    def object_page(self, request: HttpRequest, key: str) -> HttpResponse:
        """The page of one room."""
        name = name_of(key)
        query = ConsoleQuery.read(request.GET, ())
        here = self.object_url(key)
        detail, problem = self.asked(lambda: self._read_room(name, query))
        context: dict[str, Any] = {
            "key": key,
            "note": problem,
            "log_url": self.object_url(key, "history"),
            "links": self._links(request, key, has_history=detail is None or detail.row.has_history),
            "tools": [
                (action.tool, self.action_link(action.name, key, here))
                for action in self.actions_for(request)
                if action is not KICK and (action is not CLEAR or detail is None or detail.row.has_history)
            ],
        }
        if detail is not None:
            context |= self._shown_room(request, detail, query, key)
        return self.page(request, "room", "Room", context, subtitle=name_text(name, 200))

    def _read_room(self, name: str, query: ConsoleQuery) -> RoomDetail:
        try:
            return ask(read_room, name, after=query.after, limit=_MEMBERS, seconds=SECONDS)
        except ValueError:
            if not query.after:
                raise
            return ask(read_room, name, limit=_MEMBERS, seconds=SECONDS)

    def _links(self, request: HttpRequest, key: str, *, has_history: bool) -> list[tuple[str, str]]:
        if not self.may(request, "read_room"):
            return []
        links = [("Live tail", self.object_url(key, "tail"))]
        return [*links, ("Stored events", self.object_url(key, "events"))] if has_history else links

    def _shown_room(self, request: HttpRequest, detail: RoomDetail, query: ConsoleQuery, key: str) -> dict[str, Any]:
        may_see = self.can_link(request, Socket)
        columns = self._member_columns(request)
        page = detail.members
        may_read = self.may(request, "read_room")
        events = (detail.history or [])[:_MOST_EVENTS]
        return {
            "note": answers_note(page, SECONDS),
            "facts": self._facts(detail),
            "positions": self._positions(request, detail),
            "headers": column_headers(columns, ConsoleQuery()) if may_see else [],
            "rows": row_cells(columns, page.rows, lambda row: (object_key(row.id), row.path)) if may_see else [],
            "may_see_members": may_see,
            "actions": [action for action in self.actions_for(request) if action is KICK],
            "total": counted(page.total, "member"),
            "shown": len(page.rows),
            "next_url": query.next(page.next),
            "previous_url": query.previous(),
            "first_url": query.first(),
            "present": None if detail.presence is None else self._people(detail),
            "present_more": (detail.present or 0) - len((detail.presence or [])[:_MOST_PRESENT]),
            "events": [_event(one) for one in events] if may_read and detail.history is not None else None,
            "errors": [f"{what.capitalize()}: {error}" for what, error in detail.errors.items()],
        }

    def _member_columns(self, request: HttpRequest) -> list[Column[SocketRow]]:
        sockets = self.url("changelist", model=Socket) if self.admin_site.is_registered(Socket) else ""

        def name(row: SocketRow) -> SafeString:
            text = name_text(row.path, 60)
            key = object_key(row.id)
            linked = format_html('<a href="{}">{}</a>', self.object_url(key, model=Socket), text) if sockets else text
            return format_html('<span class="fw-main">{}</span>', linked)

        first: Column[SocketRow] = Column("Member", name)
        return [first, *socket_columns(ConsoleQuery(), sockets, is_short=True)]

    def _facts(self, detail: RoomDetail) -> list[tuple[str, Any]]:
        row = detail.row
        return [
            ("Members", f"{number(row.members)} in {counted(row.processes, 'process', 'processes')}"),
            ("Pattern", name_text(row.pattern) if row.pattern else "not declared: raw sockets alone can join"),
            ("Keeps", _kept(row)),
            ("Present", NOTHING if detail.present is None else number(detail.present)),
            ("Newest position", name_text(detail.position) if detail.position else NOTHING),
        ]

    def _positions(self, request: HttpRequest, detail: RoomDetail) -> list[tuple[Any, Any, bool]]:
        """Up to where each process has delivered, and whether that is the newest."""
        may = self.can_link(request, Process)
        shown = []
        for process, position in sorted(detail.positions.items()):
            name: Any = name_text(process, 60)
            if may:
                name = format_html('<a href="{}">{}</a>', self.object_url(object_key(process), model=Process), name)
            shown.append((name, name_text(position), position == detail.position))
        return shown

    def _people(self, detail: RoomDetail) -> list[tuple[SafeString, str]]:
        return [
            (name_text(str(one.get("key", "")), 60), pretty(one.get("meta"), 500))
            for one in (detail.presence or [])[:_MOST_PRESENT]
        ]

    def events_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The stored events of a room."""
        self.check_view(request, "read_room")
        return events_page(self, request, self.key_of(object_id))

    def tail_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """What is said in a room from now on."""
        self.check_view(request, "read_room")
        return tail_page(self, request, self.key_of(object_id))

    # Actions

    def hidden_fields(self, request: HttpRequest) -> list[tuple[str, str]]:
        """Members are kicked from a room, which is not among the keys: those are of sockets."""
        return [("room", self._room_key(request))] if request.POST.get("room") else []

    def within(self, request: HttpRequest) -> SafeString | None:
        """The room of the members that are kicked."""
        fields = dict(self.hidden_fields(request))
        return self.shown(fields["room"]) if fields else None

    def chosen(self, request: HttpRequest, action: ConsoleAction, keys: list[str]) -> list[SafeString]:
        """Members are sockets."""
        if action is KICK and self.can_link(request, Socket):
            return chosen_sockets(keys)
        return super().chosen(request, action, keys)

    def logged_keys(self, request: HttpRequest, action: ConsoleAction, keys: list[str]) -> list[str]:
        """The log has kicks under the room."""
        return [self._room_key(request)] if action is KICK else keys

    def _room_key(self, request: HttpRequest) -> str:
        key = request.POST.get("room", "")
        try:
            name_of(key)
        except ValueError as error:
            raise Http404(str(error)) from None
        if not key:
            raise Http404("members are kicked from a room: the field room is missing")
        return key

    def perform(self, request: HttpRequest, action: ConsoleAction, keys: list[str], form: Any) -> Report:
        """Kick members, broadcast, or clear histories."""
        data = form.cleaned_data
        if action is KICK:
            name = name_of(self._room_key(request))
            code, reason = data["code"], data["reason"]
            ids = [name_of(key) for key in keys]
            result = ask(kick, name, ids=ids, code=code, reason=reason, seconds=SECONDS)
            return result_report(result, len(keys), "Kicked", "member", f"Kicked members with {code} {reason!r}")
        if action is BROADCAST:
            return _broadcast([name_of(key) for key in keys], data)
        return _clear([name_of(key) for key in keys])


def _kept(row: RoomRow) -> SafeString | str:
    words = {"history": row.has_history, "presence": row.has_presence, "newest by key": row.is_keyed}
    return ", ".join(word for word, is_so in words.items() if is_so) or NOTHING


def _event(one: dict[str, Any]) -> dict[str, Any]:
    position = str(one.get("at", one.get("position", "")))
    return {"position": position, "event": one.get("event", ""), "data": pretty(one.get("data"), 400)}


def _broadcast(names: list[str], data: dict[str, Any]) -> Report:
    from ..live import published_event  # with pydantic, as all that is live

    done, errors, positions = 0, [], []
    event, key = data["event"] or None, data["key"] or None
    for name in names:
        try:
            value = published_event(name, event, data["value"])
            position = Room(name).broadcast(value, event, key=key, volatile=data["volatile"], on_commit=False)
        except (TypeError, ValueError, LiveError) as error:
            problem = error.message if isinstance(error, LiveError) else str(error)
            if len(names) == 1:
                raise ValueError(problem) from error
            errors.append(f"{printable(name)}: {problem}")
        else:
            done += 1
            positions += [str(position)] if position is not None else []
    stored = f", stored at {positions[0]}" if len(names) == 1 and positions else ""
    text = f"Broadcast to {done} of {counted(len(names), 'room')}{stored}."
    level = messages.SUCCESS if done == len(names) else messages.WARNING
    shown = data["message"][:200] + ("…" if len(data["message"]) > 200 else "")
    log = f"Broadcast {event or 'message'!r}: {printable(shown)}{stored}"
    return Report(text, log, level, done > 0, errors)


def _clear(names: list[str]) -> Report:
    done, errors = 0, []
    for name in names:
        try:
            Room(name).clear()
        except HistoryUnavailable as error:
            errors.append(str(error))
        except WebSocketConnectionError:
            if not done:
                raise
            errors.append(f"{printable(name)}: the channel layer cannot be reached")
            break
        else:
            done += 1
    level = messages.SUCCESS if done == len(names) else messages.ERROR if not done else messages.WARNING
    return Report(
        f"Cleared the history of {done} of {counted(len(names), 'room')}.",
        "Cleared the history",
        level,
        done > 0,
        errors,
    )
