"""Admin of what the processes tell: permissions, URLs, pages and actions that all of its kinds share."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, TypeVar, cast
from urllib.parse import urlencode

from asgiref.sync import async_to_sync
from django.contrib import admin, messages
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import SafeString

from ..console import RowPage
from ..exceptions import WebSocketConnectionError
from .change_list import ConsoleQuery
from .console_actions import ConsoleAction, Report
from .console_notes import Note, answers_note
from .console_text import clipped, name_text, printable
from .object_keys import fits_a_url, name_of

if TYPE_CHECKING:
    BaseAdmin = admin.ModelAdmin[models.Model]
else:
    BaseAdmin = admin.ModelAdmin

__all__ = ["SECONDS", "ConsoleAdmin", "ask"]

P = ParamSpec("P")
T = TypeVar("T")

#: For the answers of all processes, unless somebody asks for more.
SECONDS = 1.0
_MORE_SECONDS = 5  # that are offered where some were too few

_MOST_SELECTED = 500
_MOST_SHOWN = 20  # of the names of those, on the page that asks
_MOST_REPR = 199  # characters of an object's name in the log


def ask(call: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call an async function from a view: in the event loop of the server if it has one, else in one of its own."""
    return async_to_sync(call)(*args, **kwargs)


class ConsoleAdmin(BaseAdmin):
    """Admin of one kind of what the processes tell; its rows are in no database.

    Attributes:
        console_actions: what can be done to what is selected.
    """

    console_actions: ClassVar[tuple[ConsoleAction, ...]] = ()
    object_history_template = "django_fastws/admin/log.html"

    # Permissions

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nothing is added here."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nothing is edited; each action has a permission of its own."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nothing is deleted; each action has a permission of its own."""
        return False

    def may(self, request: HttpRequest, codename: str) -> bool:
        """Whether the user of a request has a permission of the console."""
        user: Any = request.user
        return bool(user.has_perm(f"{self.opts.app_label}.{codename}"))

    def actions_for(self, request: HttpRequest) -> list[ConsoleAction]:
        """The actions that the user of a request may do."""
        return [action for action in self.console_actions if self.may(request, action.permission)]

    # URLs

    def get_urls(self) -> list[URLPattern]:
        """The URLs of a model's admin, without those that add and delete, and with one for each action."""
        view = self.admin_site.admin_view
        return [
            path("", view(self.changelist_view), name=self.url_name("changelist")),
            path("do/<slug:action>/", view(self.action_view), name=self.url_name("action")),
            path("<path:object_id>/history/", view(self.history_view), name=self.url_name("history")),
            *self.object_urls(),
            path("<path:object_id>/change/", view(self.change_view), name=self.url_name("change")),
        ]

    def object_urls(self) -> list[URLPattern]:
        """Further URLs of one object."""
        return []

    def url_name(self, what: str, model: type[models.Model] | None = None) -> str:
        """The name of a URL of this kind, or of another, as the admin has them."""
        meta = (model or self.model)._meta
        return f"{meta.app_label}_{meta.model_name}_{what}"

    def url(self, what: str, *args: str, model: type[models.Model] | None = None) -> str:
        """A URL of this site: "changelist", "action", "change", "history" of this kind or of another."""
        return reverse(f"admin:{self.url_name(what, model)}", args=args, current_app=self.admin_site.name)

    def object_url(self, key: str, what: str = "change", model: type[models.Model] | None = None) -> str:
        """The URL of an object's page."""
        return self.url(what, quote(key), model=model)

    def can_link(self, request: HttpRequest, model: type[models.Model]) -> bool:
        """Whether the user may see that kind on this site."""
        return self.admin_site.is_registered(model) and self.may(request, f"view_{model._meta.model_name}")

    def link(self, key: str, text: Any, what: str = "change") -> SafeString | str:
        """A link to the page of an object of this kind; the text alone if the key fits no URL."""
        if not fits_a_url(key):
            return format_html('<span title="The name is too long for an address of its own">{}</span>', text)
        return format_html('<a href="{}">{}</a>', self.object_url(key, what), text)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> models.Model | None:
        """The object of a key; whether there is one, only the processes know. None of what is no key."""
        try:
            name_of(object_id)
        except ValueError:
            return None
        return self.model(pk=object_id)

    # Pages

    def page(
        self, request: HttpRequest, template: str, title: str, context: dict[str, Any], *, subtitle: Any = None
    ) -> HttpResponse:
        """A page at home in the admin."""
        request.current_app = self.admin_site.name  # by which {% url %} finds the site
        whole = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": title,
            "subtitle": subtitle,
            "list_url": self.url("changelist"),
            **context,
        }
        return TemplateResponse(request, f"django_fastws/admin/{template}.html", whole)

    def check_view(self, request: HttpRequest, codename: str = "") -> None:
        """Refuse who may not see this kind, or lacks a further permission.

        Raises:
            PermissionDenied: that is so.
        """
        if not self.has_view_permission(request) or (codename and not self.may(request, codename)):
            raise PermissionDenied

    def key_of(self, object_id: str) -> str:
        """The key in a URL.

        Raises:
            Http404: it is none.
        """
        key = unquote(object_id)
        try:
            name_of(key)
        except ValueError as error:
            raise Http404(str(error)) from None
        return key

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """The list; posted to, the page that asks before an action is done."""
        self.check_view(request)
        if request.method == "POST":
            back = request.POST.get("next", "") or request.get_full_path()
            return self.ask_first(request, request.POST.get("action", ""), back)
        return self.list_page(request)

    def list_page(self, request: HttpRequest) -> HttpResponse:
        """The page of a list."""
        raise NotImplementedError

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> Any:
        """The page of one object; it changes nothing by itself."""
        self.check_view(request)
        return self.object_page(request, self.key_of(object_id))

    def object_page(self, request: HttpRequest, key: str) -> HttpResponseBase:
        """The page of an object."""
        raise NotImplementedError

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The log of the admin: who has done what to the object."""
        key = self.key_of(object_id)
        context = {"list_url": self.url("changelist"), "object_url": self.object_url(key), "name": self.shown(key)}
        return super().history_view(request, object_id, {**context, "title": "Log", "subtitle": None})

    def asked(self, call: Callable[[], T]) -> tuple[T | None, Note | None]:
        """What was asked of the processes; else why they cannot be asked."""
        try:
            return call(), None
        except WebSocketConnectionError as error:
            return None, Note(
                "error",
                f"The processes cannot be asked: {error}",
                ["See that the servers of CHANNEL_LAYERS run: manage.py ws_doctor says what is wrong. Then reload."],
            )

    def listed(self, query: ConsoleQuery, read: Callable[[float], RowPage[T]]) -> tuple[RowPage[T], dict[str, Any]]:
        """What was read of the processes, without rows if they cannot be asked; and what the list says of it."""
        seconds = query.wait or SECONDS
        page, problem = self.asked(lambda: read(seconds))
        note = problem if page is None else answers_note(page, seconds)
        page = page or RowPage([])
        retry_url = query.waiting(5) if page.is_partial and query.wait < 5 else ""
        return page, {"note": note, "retry_url": retry_url, "query": query}

    # Actions

    def action_view(self, request: HttpRequest, action: str) -> HttpResponseBase:
        """Ask before an action is done (GET), and do it (POST)."""
        self.check_view(request)
        if request.method != "POST":
            return self.ask_first(request, action, request.GET.get("next", ""), request.GET.getlist("selected"))
        found = self._permitted(request, action)
        keys = self._checked(request.POST.getlist("selected"))
        form = found.form(request.POST)
        if not keys or not form.is_valid():
            return self._question(request, found, keys, form)
        try:
            report = self.perform(request, found, keys, form)
        except WebSocketConnectionError as error:
            # A part may have been done by the time that this was found out.
            report = Report(str(error), f"{found.title}: not known whether it was done: {error}", messages.ERROR)
            form.add_error(None, f"The processes cannot be reached: {error}. Whether anything was done is not known.")
        except (TypeError, ValueError) as error:
            form.add_error(None, str(error))
            return self._question(request, found, keys, form)
        if report.is_logged:
            self.log(request, self.logged_keys(request, found, keys), report.log)
        if form.errors:
            return self._question(request, found, keys, form)
        self.message_user(request, report.text, report.level)
        for problem in report.errors:
            self.message_user(request, problem, messages.ERROR)
        return HttpResponseRedirect(self._next(request, request.POST.get("next", "")))

    def perform(self, request: HttpRequest, action: ConsoleAction, keys: list[str], form: Any) -> Report:
        """Do what was asked for; the permission was checked, and the form is valid.

        Raises:
            TypeError, ValueError: it cannot be done with what the form says.
            WebSocketConnectionError: the processes cannot be reached.
        """
        raise NotImplementedError

    def ask_first(
        self, request: HttpRequest, name: str, back: str, keys: Sequence[str] | None = None
    ) -> HttpResponseBase:
        """The page that asks, before an action is done to what is selected."""
        if not name:
            self.message_user(request, "Choose an action.", messages.WARNING)
            return HttpResponseRedirect(self._next(request, back))
        action = self._permitted(request, name)
        chosen = self._checked(request.POST.getlist("selected") if keys is None else keys)
        if not chosen:
            self.message_user(request, "Select at least one, by its checkbox.", messages.WARNING)
            return HttpResponseRedirect(self._next(request, back))
        return self._question(request, action, chosen, action.form(), back)

    def _permitted(self, request: HttpRequest, name: str) -> ConsoleAction:
        for action in self.console_actions:
            if action.name == name:
                if not self.may(request, action.permission):
                    raise PermissionDenied
                return action
        raise Http404(f"there is no action {name!r}")

    def _checked(self, keys: Iterable[str]) -> list[str]:
        """The keys among those that were sent, each once."""
        found = dict.fromkeys(keys)
        try:
            for key in found:
                name_of(key)
        except ValueError as error:
            raise Http404(str(error)) from None
        return list(found)[:_MOST_SELECTED]

    def _question(
        self, request: HttpRequest, action: ConsoleAction, keys: list[str], form: Any, back: str | None = None
    ) -> HttpResponse:
        back = request.POST.get("next", "") if back is None else back
        context = {
            "action": action,
            "action_url": self.url("action", action.name),
            "keys": keys,
            "shown": self.chosen(request, action, keys[:_MOST_SHOWN]),
            "more": max(0, len(keys) - _MOST_SHOWN),
            "form": form,
            "next": back,
            "back": self._next(request, back),
            "fixed": self.hidden_fields(request),
        }
        return self.page(request, "question", action.title, context, subtitle=self.within(request))

    def chosen(self, request: HttpRequest, action: ConsoleAction, keys: list[str]) -> list[SafeString]:
        """The names of what is selected, on the page that asks."""
        return [self.shown(key) for key in keys]

    def within(self, request: HttpRequest) -> SafeString | None:
        """In what the selected objects are, for the page that asks; None for nothing."""
        return None

    def hidden_fields(self, request: HttpRequest) -> list[tuple[str, str]]:
        """What the page that asks sends on, besides the keys."""
        return []

    def _next(self, request: HttpRequest, url: str) -> str:
        """Where to go on: to the page that was come from, if that is one of ours; else to the list."""
        is_safe = url_has_allowed_host_and_scheme(
            url, allowed_hosts={request.get_host()}, require_https=request.is_secure()
        )
        return url if url and is_safe else self.url("changelist")

    def shown(self, key: str) -> SafeString:
        """The name of an object, on pages."""
        return name_text(name_of(key))

    def action_link(self, name: str, key: str, back: str) -> str:
        """The URL of the page that asks before an action is done to one object."""
        query = urlencode({"selected": key, "next": back})
        return f"{self.url('action', name)}?{query}"

    def object_actions(self, request: HttpRequest, key: str, back: str) -> list[tuple[str, str]]:
        """The actions for one object, each with what its link says and the URL of the page that asks."""
        return [(action.tool, self.action_link(action.name, key, back)) for action in self.actions_for(request)]

    def logged_keys(self, request: HttpRequest, action: ConsoleAction, keys: list[str]) -> list[str]:
        """The keys of the objects that an action is logged of."""
        return keys

    def log(self, request: HttpRequest, keys: Iterable[str], message: str) -> None:
        """Write to the log of the admin what was done to these objects."""
        from django.contrib.admin.models import CHANGE, LogEntry  # of an app that a project may lack
        from django.contrib.contenttypes.models import ContentType

        kind, user = ContentType.objects.get_for_model(self.model), cast("Any", request.user)
        LogEntry.objects.bulk_create(
            LogEntry(
                user_id=user.pk,
                content_type=kind,
                object_id=key,
                object_repr=clipped(printable(name_of(key)), _MOST_REPR),
                action_flag=CHANGE,
                change_message=message,
            )
            for key in keys
        )
