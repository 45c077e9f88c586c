"""A real Prometheus asks real servers; its alerts and the dashboard ask for what there is."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from django_fastws.metrics import Histogram, all_metrics
from tests.conftest import layer_config
from tests.site.client import connect, until
from tests.support.processes import HOST
from tests.support.prometheus import MONITORING, PROMTOOL, Prometheus

DASHBOARD = json.loads((MONITORING / "grafana.json").read_text("utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel["targets"]]


def names_in_table() -> set[str]:
    """Every name of a series that the package has in Prometheus."""
    names = set()
    for metric in all_metrics():
        parts = ("_bucket", "_count", "_sum") if isinstance(metric, Histogram) else ("",)
        names |= {metric.exposed + part for part in parts}
    return names


def filled(expression: str) -> str:
    """An expression of the dashboard as Grafana asks it."""
    return expression.replace("$__rate_interval", "5m").replace("$job", ".*").replace("$instance", ".*")


# The files by themselves


def test_the_dashboard_asks_for_what_there_is_and_for_all_of_it():
    asked = {name for text in EXPRESSIONS for name in re.findall(r"\bfastws_\w+", text)}
    assert asked <= names_in_table()
    shown = {name.removesuffix("_bucket") for name in asked}
    assert {metric.exposed for metric in all_metrics()} - shown == {
        "fastws_dropped_messages_total"
    }  # by its policies


def test_panels_of_the_dashboard_have_titles_of_their_own_and_do_not_overlap():
    titles = [panel["title"] for panel in PANELS]
    assert len(set(titles)) == len(titles)
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    places = [panel["gridPos"] for panel in PANELS]
    cells = [
        (x, y) for at in places for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


def test_alerts_ask_for_what_there_is():
    text = (MONITORING / "alerts.yaml").read_text("utf-8")
    assert set(re.findall(r"\bfastws_\w+", text)) <= names_in_table()


PAGE = [{"instance": "a", "severity": "page"}]
TICKET = [{"instance": "a", "severity": "ticket"}]

# What promtool says of them. Each alert, by itself: series over minutes, and the labels of what fires.
CASES: list[tuple[str, dict[str, str], list[dict[str, str]]]] = [
    (
        "ProcessDown",
        {'up{instance="a"}': "0x20", 'up{instance="b"}': "1x20"},
        PAGE,
    ),
    (
        "LayerLost",
        {
            'fastws_layer_outage_seconds_total{instance="a"}': "0+60x20",
            'fastws_layer_outage_seconds_total{instance="b"}': "0x20",
        },
        PAGE,
    ),
    (
        "LayerSlow",
        {
            'fastws_layer_lag_seconds_bucket{le="1.0"}': "0+90x30",
            'fastws_layer_lag_seconds_bucket{le="3.0"}': "0+100x30",
            'fastws_layer_lag_seconds_bucket{le="+Inf"}': "0+100x30",
        },
        [{"severity": "ticket"}],
    ),
    (
        "BroadcastsDropped",
        {'fastws_dropped_broadcasts_total{instance="a"}': "0+1x20"},
        TICKET,
    ),
    (
        "MessagesDropped",
        {
            'fastws_dropped_messages_total{instance="a"}': "0+5x30",
            'fastws_deliveries_total{instance="a"}': "0+100x30",
            'fastws_dropped_messages_total{instance="b"}': "0+5x30",
            'fastws_deliveries_total{instance="b"}': "0+10000x30",
        },
        TICKET,
    ),
    (
        "HandshakesDenied",
        {
            'fastws_denials_total{reason="origin"}': "0+60x30",
            'fastws_denials_total{reason="not_found"}': "0+60x30",
            'fastws_denials_total{reason="host"}': "0+3x30",
            'fastws_handshakes_total{route="/x"}': "0+120x30",
        },
        [{"reason": "origin", "severity": "ticket"}],
    ),
    (
        "SocketsLost",
        {
            'fastws_closes_total{instance="a",code="1006",by="client"}': "0+300x30",
            'fastws_closes_total{instance="a",code="1000",by="client"}': "0+60x30",
            'fastws_closes_total{instance="b",code="1006",by="client"}': "0+300x30",
            'fastws_closes_total{instance="b",code="1001",by="client"}': "0+900x30",
        },
        TICKET,
    ),
    (
        "CallsFail",
        {
            'fastws_calls_total{room="t/{pk}",event="say",code="ok"}': "0+100x30",
            'fastws_calls_total{room="t/{pk}",event="say",code="failed"}': "0+10x30",
            'fastws_calls_total{room="t/{pk}",event="hear",code="ok"}': "0+100x30",
            'fastws_calls_total{room="t/{pk}",event="hear",code="forbidden"}': "0+50x30",
        },
        [{"room": "t/{pk}", "event": "say", "severity": "page"}],
    ),
    (
        "HandlersFail",
        {'fastws_closes_total{instance="a",code="1011",by="server"}': "0+30x30"},
        TICKET,
    ),
    (
        "ThreadsBusy",
        {'fastws_threads_busy{instance="a"}': "4x30", 'fastws_threads_busy{instance="b"}': "4 4 1 4 4 1x30"},
        TICKET,
    ),
    (
        "OutboundRouteFailed",
        {
            'fastws_outbound_routes{instance="a",state="failed"}': "1x20",
            'fastws_outbound_routes{instance="a",state="connected"}': "3x20",
        },
        [{"instance": "a", "state": "failed", "severity": "page"}],
    ),
    (
        "DrainingTooLong",
        {'fastws_draining{instance="a"}': "1x20", 'fastws_draining{instance="b"}': "0x20"},
        TICKET,
    ),
]


def test_every_alert_has_a_case():
    text = (MONITORING / "alerts.yaml").read_text("utf-8")
    assert re.findall(r"- alert: (\w+)", text) == [name for name, _, _ in CASES]


@pytest.mark.prometheus
@pytest.mark.slow
@pytest.mark.parametrize(("alert", "series", "firing"), CASES, ids=[name for name, _, _ in CASES])
def test_an_alert_fires_when_it_should(alert, series, firing, tmp_path):
    expected = [{"exp_labels": labels} for labels in firing]
    case = {
        "rule_files": [str(MONITORING / "alerts.yaml")],
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "alert_rule_test": [{"eval_time": "19m", "alertname": alert, "exp_alerts": expected}],
            }
        ],
    }
    path = tmp_path / "case.yaml"
    path.write_text(json.dumps(case))
    checked = subprocess.run([str(PROMTOOL), "test", "rules", str(path)], capture_output=True, text=True, check=False)
    # It compares the summaries, too; what they say is not what is tested.
    told = checked.stdout + checked.stderr
    found = re.findall(r"Labels:(.*)", told.partition("got:")[2])
    wanted = [{"alertname": alert, **labels} for labels in firing]
    assert [dict(re.findall(r'(\w+)="([^"]*)"', one)) for one in found] == wanted, told


@pytest.mark.prometheus
@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments", [["rules", "alerts.yaml"], ["config", "prometheus.yaml"]], ids=["rules", "config"]
)
def test_promtool_takes_the_files(arguments):
    kind, name = arguments
    checked = subprocess.run(
        [str(PROMTOOL), "check", kind, name], cwd=MONITORING, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


# A real Prometheus


@pytest.fixture
def asked(serve: Any, redis_server: Any) -> Iterator[Any]:
    """Two servers with one Redis, and the Prometheus that asks them."""
    options = {
        "layer": layer_config("ours", redis_server, "prometheus"),
        "settings": {"FASTWS_METRICS_PATH": "/metrics"},
    }
    servers = [serve("runws_server", **options) for _ in range(2)]
    with Prometheus([f"{HOST}:{server.port}" for server in servers], []) as prometheus:
        yield prometheus, servers


@pytest.mark.prometheus
@pytest.mark.redis
@pytest.mark.server
@pytest.mark.long
async def test_it_has_what_two_servers_have_counted(asked):
    prometheus, servers = asked

    async def is_up() -> bool:
        targets = await asyncio.to_thread(prometheus.targets)
        return len(targets) == 2 and all(health == "up" for health, _ in targets.values())

    async def value(expression: str) -> float | None:
        return await asyncio.to_thread(prometheus.value, expression)

    await until(is_up)
    one, two = [await connect(server, "/ws/room/lobby") for server in servers]
    try:

        async def are_counted() -> bool:
            return await value('sum(fastws_connections{route="/ws/room/{room}",transport="daphne"})') == 2

        await until(are_counted)
        for path in ("/ws/echo", "/ws/nowhere"):
            try:
                async with connect(servers[0], path):
                    pass
            except Exception:  # it is denied, or not
                assert path == "/ws/nowhere"

        async def are_all_counted() -> bool:
            return (
                await value("sum(fastws_handshakes_total)") == 3
                and await value('sum(fastws_denials_total{reason="not_found"})') == 1
                and await value("sum(fastws_closes_total)") == 1
            )

        await until(are_all_counted)
        rules = await asyncio.to_thread(prometheus.rules)
        assert set(rules.values()) <= {("ok", ""), ("unknown", "")}
        for expression in EXPRESSIONS:
            await asyncio.to_thread(prometheus.query, filled(expression))  # is an error if it means nothing
    finally:
        await one.close()
        await two.close()
