"""A real Prometheus, with the files that are shipped; which servers it asks is filled in."""

from __future__ import annotations

import json
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.support.processes import HOST, ROOT, START_SECONDS, Process, free_port

__all__ = ["MONITORING", "PROMETHEUS", "PROMTOOL", "Prometheus"]

MONITORING = ROOT / "example_project" / "deploy" / "monitoring"
PROMETHEUS, PROMTOOL = shutil.which("prometheus"), shutil.which("promtool")


class Prometheus(Process):
    """Prometheus with the configuration and the rules that are shipped, which asks every half a second.

    Args:
        servers, clients: host and port of what takes the place of the targets of these jobs.
    """

    def __init__(self, servers: Sequence[str], clients: Sequence[str]) -> None:
        port = free_port()
        super().__init__([], port)
        home = Path(self.directory.name)
        shutil.copy(MONITORING / "alerts.yaml", home)
        text = (MONITORING / "prometheus.yaml").read_text("utf-8")
        for shown, filled in (
            ("scrape_interval: 15s", "scrape_interval: 500ms\n  evaluation_interval: 500ms"),
            ('["127.0.0.1:8001", "127.0.0.1:8002"]', json.dumps(list(servers))),
            ('["127.0.0.1:9100"]', json.dumps(list(clients))),
        ):
            assert text.count(shown) == 1
            text = text.replace(shown, filled)
        (home / "prometheus.yaml").write_text(text, "utf-8")
        self.command = [
            str(PROMETHEUS),
            f"--config.file={home / 'prometheus.yaml'}",
            f"--storage.tsdb.path={home / 'data'}",
            f"--web.listen-address={HOST}:{port}",
        ]

    def start(self) -> None:
        """Start it and wait until it answers: it listens a moment before."""
        super().start()
        ends = time.monotonic() + START_SECONDS
        while True:
            try:
                with urllib.request.urlopen(f"http://{HOST}:{self.port}/-/ready", timeout=30):
                    return
            except urllib.error.HTTPError:
                assert time.monotonic() < ends, self.log()
                time.sleep(0.05)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """What an expression comes to now: series, with their labels and values."""
        found: list[dict[str, Any]] = self._ask("query", {"query": expression})["result"]
        return found

    def value(self, expression: str) -> float | None:
        """The value of the only series; None where there is none."""
        found = self.query(expression)
        assert len(found) <= 1, found
        return float(found[0]["value"][1]) if found else None

    def targets(self) -> dict[str, tuple[str, str]]:
        """Whom it asks: health and last error, by host and port."""
        active = self._ask("targets", {})["activeTargets"]
        return {target["labels"]["instance"]: (target["health"], target["lastError"]) for target in active}

    def rules(self) -> dict[str, tuple[str, str]]:
        """The alerts: health and last error of their expressions, by name."""
        groups = self._ask("rules", {})["groups"]
        return {
            rule["name"]: (rule["health"], rule.get("lastError", "")) for group in groups for rule in group["rules"]
        }

    def _ask(self, what: str, arguments: dict[str, str]) -> Any:
        url = f"http://{HOST}:{self.port}/api/v1/{what}?{urllib.parse.urlencode(arguments)}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            told = json.load(answer)
        assert told["status"] == "success", told
        return told["data"]
