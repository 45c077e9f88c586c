"""Command ``manage.py ws_schema``: the live rooms as AsyncAPI, JSON Schema or TypeScript."""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_fastws.conf import conf
from django_fastws.routing import registry

if TYPE_CHECKING:
    from django_fastws.schema import Info

FORMATS = ("asyncapi", "typescript", "jsonschema")
_DIFF_LINES = 40


class Command(BaseCommand):
    """Command that writes the schema of the live rooms, or checks that it is written."""

    help = "Writes the schema of the live rooms, for clients, their tools and their compilers."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--format", required=True, choices=FORMATS, help="What to write.")
        parser.add_argument("-o", "--output", metavar="FILE", help="Write this file, not the standard output.")
        parser.add_argument(
            "--check", action="store_true", help="Write nothing: fail if FILE is not what would be written."
        )
        parser.add_argument(
            "--module",
            default="./fastws.js",
            help="typescript: the browser client, as it is found from FILE. Default: %(default)s",
        )
        parser.add_argument("--title", help="asyncapi: the title. Default: the name of the project.")
        parser.add_argument("--api-version", default="0.0.0", help="asyncapi: the version. Default: %(default)s")
        parser.add_argument(
            "--server",
            default="ws://localhost:8000",
            help="asyncapi: where the project is served. Default: %(default)s",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["check"] and not options["output"]:
            raise CommandError("--check compares with a file: name it with -o FILE")
        if registry.problems:
            problem = registry.problems[0]
            raise CommandError(
                f"{problem.module} was not loaded, and so the schema would lack its rooms: {problem.error}"
            )
        text = self._text(options)
        if not options["output"]:
            self.stdout.write(text, ending="")
            return
        path = Path(options["output"])
        if options["check"]:
            self._check(path, text, options["format"])
        else:
            try:
                path.write_text(text, "utf-8", newline="\n")
            except OSError as error:
                raise CommandError(f"{path} cannot be written: {error.strerror}") from None

    def _text(self, options: dict[str, Any]) -> str:
        from django_fastws.live import live_rooms  # which imports pydantic
        from django_fastws.schema import asyncapi, describe, json_schema, typescript

        description = describe(live_rooms())
        if options["format"] == "typescript":
            return typescript(description, module=options["module"])
        if options["format"] == "jsonschema":
            document = json_schema(description)
        else:
            document = asyncapi(description, registry.declared, self._info(options))
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"

    def _info(self, options: dict[str, Any]) -> Info:
        from django_fastws.schema import Info

        scheme, separator, host = options["server"].partition("://")
        if not separator or scheme not in ("ws", "wss") or not host.strip("/"):
            raise CommandError(f"--server={options['server']} is no URL of a server, such as wss://example.org")
        return Info(
            title=options["title"] or settings.ROOT_URLCONF.partition(".")[0],
            version=options["api_version"],
            host=host.strip("/"),
            is_secure=scheme == "wss",
            live_path=conf.live_path,
        )

    def _check(self, path: Path, text: str, format_: str) -> None:
        remedy = f"write it with `manage.py ws_schema --format {format_} -o {path}`"
        try:
            written = path.read_text("utf-8")
        except FileNotFoundError:
            raise CommandError(f"{path} is not there; {remedy}") from None
        if written == text:
            return
        diff = list(
            difflib.unified_diff(written.splitlines(), text.splitlines(), str(path), "the rooms", lineterm="")
        )
        for line in diff[:_DIFF_LINES]:
            self.stderr.write(line)
        if len(diff) > _DIFF_LINES:
            self.stderr.write(f"... and {len(diff) - _DIFF_LINES} more lines")
        raise CommandError(f"{path} is not what the rooms are now; {remedy}")
