"""manage.py runws_server: daphne's options and Django's, and what cannot be served. Serving is in tests/server."""

import sys

import pytest
from django.core.management import CommandError, call_command

from django_fastws.management.commands.runws_server import Command
from django_fastws.server import CommandLineInterface


@pytest.fixture
def started(monkeypatch):
    """What the server would have been started with."""
    arguments = []
    monkeypatch.setattr(CommandLineInterface, "start", lambda self, args: arguments.append(args))
    return arguments


def test_the_options_of_the_server_reach_it(started):
    call_command("runws_server", "--port", "0", "--bind", "::1", "tests.site.asgi:application")
    (arguments,) = started
    assert (arguments.port, arguments.host) == (0, "::1")
    assert arguments.application == "tests.site.asgi:application"


def test_an_option_of_both_is_djangos(started):
    call_command("runws_server", "-v", "0", skip_checks=True)
    assert started[0].verbosity == 0


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ([], "ASGI_APPLICATION"),
        (["--forwarded-hops", "-1"], "--forwarded-hops"),
        (["--drain-seconds", "-1"], "--drain-seconds"),
        (["--drain-seconds", "nan"], "--drain-seconds"),
    ],
)
def test_what_cannot_be_served_is_an_error_of_the_command(settings, arguments, word, monkeypatch):
    monkeypatch.setattr(sys, "path", sys.path.copy())  # daphne puts the current directory first
    settings.ASGI_APPLICATION = None
    with pytest.raises(CommandError, match=word):
        call_command("runws_server", *arguments, skip_checks=True)


def test_the_help_says_what_it_runs():
    command = Command()
    assert "--bind" in command.create_parser("manage.py", "runws_server").format_help()
