"""The views that belong to no app: the index, who one is, and the code of the pages."""

from django.conf import settings
from django.contrib.auth import login
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from .pages import PAGES, source_of, sources_of
from .people import CAST, GUEST, NameForm, actor, welcome


def index(request: HttpRequest) -> HttpResponse:
    """What there is to see."""
    return render(request, "index.html", {"person": welcome(request), "cast": CAST if settings.DEBUG else {}})


def people(request: HttpRequest) -> HttpResponse:
    """The choice of whom to be; where ``DEBUG`` is off, only the form to log in with."""
    if not settings.DEBUG:
        return redirect(f"{reverse('login')}?{request.GET.urlencode()}")
    return render(
        request, "people.html", {"person": welcome(request), "cast": CAST, "next": _target(request.GET, "/")}
    )


@require_POST
def be(request: HttpRequest, name: str) -> HttpResponse:
    """Log in as one of the cast, without a password: only while ``DEBUG`` is on."""
    if not settings.DEBUG or name not in CAST:
        raise Http404
    login(request, actor(name))
    return redirect(_target(request.POST, "index"))


@require_POST
def call_me(request: HttpRequest) -> HttpResponse:
    """Keep the name of a guest, and lead back to where it was asked for."""
    welcome(request)
    form = NameForm(request.POST)
    if form.is_valid() and GUEST in request.session:
        request.session[GUEST] = {**request.session[GUEST], "name": form.cleaned_data["name"]}
    return redirect(_target(request.POST, "index"))


def source(request: HttpRequest, app: str, path: str = "") -> HttpResponse:
    """The code behind a page, as it is in the repository: one file, and links to the others."""
    if app not in PAGES:
        raise Http404
    paths = sources_of(app)
    path = path or paths[0]
    text = source_of(path) if path in paths else None
    if text is None:
        raise Http404
    names = {one: one.removeprefix(f"example_project/{app}/") for one in paths}
    return render(request, "source.html", {"app": app, "of": PAGES[app], "path": path, "names": names, "text": text})


def _target(asked: QueryDict, otherwise: str) -> str:
    """Where to go next: what was asked for, if that is here."""
    target = str(asked.get("next", ""))
    return target if url_has_allowed_host_and_scheme(target, allowed_hosts=None) else otherwise
