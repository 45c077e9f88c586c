"""The pages of the desk, and the form that opens a ticket: plain sync views."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from ..people import account_of, welcome
from . import consumers
from .forms import TicketForm
from .models import MAX_TEXT, Seat, Ticket


@login_required
def tickets(request: HttpRequest) -> HttpResponse:
    """The list of tickets, and the form for a new one."""
    return render(request, "desk/tickets.html", _context(request, form=TicketForm()))


@login_required
@require_POST
def open_ticket(request: HttpRequest) -> HttpResponse:
    """Save a ticket with its first message; whoever has the list open sees it come up."""
    form = TicketForm(request.POST)
    if not form.is_valid():
        return render(request, "desk/tickets.html", _context(request, form=form), status=422)
    with transaction.atomic():
        ticket = Ticket.objects.create(subject=form.cleaned_data["subject"])
        consumers.post(ticket.pk, account_of(request), form.cleaned_data["text"])
    return redirect("desk:ticket", pk=ticket.pk)


@login_required
def ticket(request: HttpRequest, pk: int) -> HttpResponse:
    """One ticket."""
    found = get_object_or_404(Ticket, pk=pk)
    seat = Seat.objects.filter(ticket=found, user=account_of(request)).first()
    context = _context(
        request,
        ticket=found,
        read=seat.read if seat else 0,
        # Called where the template shows it, and that is behind the position: what comes between is there twice,
        # and not missing.
        said=lambda: [said.model_dump(mode="json") for said in consumers.said_in(pk)],
        max_text=MAX_TEXT,
    )
    return render(request, "desk/ticket.html", context)


def _context(request: HttpRequest, **more: Any) -> dict[str, Any]:
    return {
        "person": welcome(request),
        "live_rooms": {"tickets": consumers.tickets, "desk": consumers.desk},
        "rows": lambda: consumers.rows_of(account_of(request)),  # asked for behind the position, too
        **more,
    }
