"""Command ``manage.py runws_server``: serves the project with the hardened daphne."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_fastws.server import CommandLineInterface, OptionError


class Command(BaseCommand):
    """Command that runs the server."""

    help = CommandLineInterface.description

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        # Django's own options come later, and win where daphne's have the same name: -h, -v, --verbosity.
        self._interface = CommandLineInterface()
        parents = [self._interface.parser]
        return super().create_parser(prog_name, subcommand, parents=parents, conflict_handler="resolve", **kwargs)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self._interface.start(Namespace(**options))
        except OptionError as error:
            raise CommandError(str(error)) from None
