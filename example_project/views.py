"""The view that belongs to no app: the name of a guest."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from .people import GUEST, NameForm, welcome


@require_POST
def call_me(request: HttpRequest) -> HttpResponse:
    """Keep the name of a guest, and lead back to where it was asked for."""
    welcome(request)
    form = NameForm(request.POST)
    if form.is_valid() and GUEST in request.session:
        request.session[GUEST] = {**request.session[GUEST], "name": form.cleaned_data["name"]}
    target = request.POST.get("next", "")
    return redirect(target if url_has_allowed_host_and_scheme(target, allowed_hosts=None) else "chat:lobby")
