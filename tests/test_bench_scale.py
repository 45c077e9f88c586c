"""The formulas of capacity: what they say of simple cases, and what a miniature of the measurement says of them."""

from __future__ import annotations

import json
import random
import sys
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import machine, report, scale
from bench.programs import Redis
from bench.row import Bench
from bench.rows.capacity import Capacity
from bench.scale import LIMITS, SIZES, WORKLOADS, Costs, Workload
from bench.sizes import TINY

COSTS = Costs(
    process_mb=90.0,
    socket_kb=20.0,
    connect_us=1000.0,
    speak_us=100.0,
    hear_us=50.0,
    delivery_us=5.0,
    redis_broadcast_us=20.0,
    redis_copy_us=5.0,
    redis_join_us=20.0,
    redis_present_us=50.0,
    redis_lease_us=30.0,
    copy_bytes=150.0,
    tls_us=300.0,
)
CHAT = Workload("chat", sockets=1_000, members=100, broadcasts=0.5)


@pytest.mark.parametrize(("members", "processes"), [(1, 4), (3, 4), (100, 4), (5, 50), (7, 1)])
def test_a_room_is_spread_as_chance_would(members, processes):
    chance = random.Random(1)
    times = 4_000
    seen = sum(len({chance.randrange(processes) for _ in range(members)}) for _ in range(times)) / times
    assert scale.spread(members, processes) == pytest.approx(seen, rel=0.02)


@given(members=st.integers(1, 10**7), processes=st.integers(1, 5_000))
def test_a_room_is_in_no_more_processes_than_there_are_or_members(members, processes):
    found = scale.spread(members, processes)
    assert 1 - 1e-9 <= found <= min(members, processes) + 1e-6
    assert found <= scale.spread(members + 1, processes) + 1e-6


def test_each_part_of_a_broadcast_is_paid_as_often_as_it_happens():
    # Ten rooms of 100 that are spoken in every two seconds are five broadcasts, and 500 deliveries, a second.
    assert scale.server_cores(CHAT, COSTS, 1) == pytest.approx(5 * (100 + 50 + 100 * 5) / 1e6)
    assert scale.server_cores(CHAT, COSTS, 2) == pytest.approx(5 * (100 + 2 * 50 + 100 * 5) / 1e6)
    assert scale.redis_cores(CHAT, COSTS, 2) == pytest.approx(5 * (20 + 2 * 5) / 1e6)
    assert scale.redis_cores(replace(CHAT, present=1.0), COSTS, 2) == pytest.approx((5 * 30 + 2 * 30) / 1e6)
    assert scale.redis_egress(CHAT, COSTS, 2) == pytest.approx(5 * 2 * (100 + 150))
    assert scale.last_has_it_seconds(CHAT, COSTS, 2) == pytest.approx((50 + 50 * 5) / 1e6)


def test_who_comes_back_pays_for_the_handshake_and_for_the_news():
    storm = replace(CHAT, storm_seconds=10)
    assert scale.storm_cores(storm, COSTS) == pytest.approx(1_000 * 1000 / 1e6 / 10)
    assert scale.storm_cores(replace(storm, has_tls=True), COSTS) == pytest.approx(1_000 * 1300 / 1e6 / 10)
    assert scale.storm_cores(replace(storm, present=1.0), COSTS) == pytest.approx(1_000 * 1500 / 1e6 / 10)
    assert scale.storm_redis_cores(storm, COSTS, 2) == pytest.approx(10 * 2 * 20 / 1e6 / 10)
    assert scale.drain_share(5, 10, storm, COSTS) == pytest.approx(200 * 1000 / 1e6 / 10 / 4)
    # All at once take as long as the cores that are free need for them.
    assert scale.storm_seconds(replace(CHAT, broadcasts=0), COSTS, 2) == pytest.approx(0.5)


@given(
    sockets=st.integers(1, 10**7),
    members=st.integers(1, 10**4),
    broadcasts=st.floats(0, 2),
    present=st.sampled_from([0.0, 1.0]),
)
def test_a_plan_keeps_below_all_limits(sockets, members, broadcasts, present):
    workload = Workload("any", sockets, members, broadcasts, present=present)
    found = scale.plan(workload, COSTS)
    assert found.busy <= LIMITS.share + 1e-9
    assert found.workload.sockets / found.processes <= LIMITS.sockets
    assert found.redis / found.redis_nodes <= LIMITS.redis_share + 1e-9
    assert found.egress / found.redis_nodes <= LIMITS.egress + 1e-6
    assert found.hosts * LIMITS.host_cores >= found.processes
    assert found.strain[found.first] == max(found.strain.values())


def test_what_breaks_first_depends_on_the_rooms():
    def first(**options):
        return scale.plan(replace(CHAT, **options), COSTS).first

    assert first(sockets=1_000_000, members=5, broadcasts=1.0) == "core of one Redis"
    assert first(sockets=100_000, members=100, broadcasts=0.0, storm_seconds=1.0) == "handshakes in a storm"
    assert first(sockets=1_000_000, members=100, broadcasts=0.5, message_bytes=100_000) == "egress of one Redis"
    assert first(sockets=9_000, members=9_000, broadcasts=12.0) == "fan-out of one process"


def _results() -> dict:
    check = {"processes": 2, "what": "memory of all", "unit": "MB", "foretold": 110.0, "measured": 100.0}
    return {"rows": [{"name": "capacity", "costs": asdict(COSTS), "checks": [check]}]}


def test_the_tables_have_a_line_for_each_size_cost_and_check():
    assert scale.costs_of(_results()) == COSTS
    table = scale.capacity_table(_results()).splitlines()
    assert [line.split("|")[1].strip() for line in table if line.startswith("| 1")] == [
        f"{size:,}" for size in SIZES
    ] * len(WORKLOADS)
    assert "| `socket_kb` | 20.0 |" in scale.costs_table(_results()).splitlines()
    assert scale.checks_table(_results()).splitlines()[-1] == "| 2 | memory of all | 110 MB | 100 MB | +10% |"
    for table in (scale.capacity_table, scale.costs_table, scale.checks_table):
        assert "--only capacity" in table({"rows": []})


def test_the_command_prints_the_tables(tmp_path, capsys):
    path = tmp_path / "results.json"
    assert scale.main(["--results", str(path)]) == 1
    assert "--only capacity" in capsys.readouterr().err
    path.write_text(json.dumps(_results()))
    assert scale.main(["--results", str(path)]) == 0
    assert scale.capacity_table(_results()) in capsys.readouterr().out


class _Small(Capacity):
    """With few processes."""

    processes = (1, 2)


@pytest.mark.redis
@pytest.mark.server
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the benchmarks need Linux")
def test_a_miniature_measures_all_costs_and_foretells_what_redis_sends():
    cores = machine.choose_cores()
    with machine.on_core(cores.load), Redis(cores.load) as redis:
        result = _Small().run(Bench(TINY, cores, redis, machine.raise_open_files()))
    assert not result.get("problem")
    costs = scale.costs_of({"rows": [result]})
    assert costs is not None
    assert min(costs.process_mb, costs.connect_us, costs.redis_join_us, costs.copy_bytes, costs.tls_us) > 0
    one, two = (
        {check["what"]: check for check in result["checks"] if check["processes"] == processes}
        for processes in (1, 2)
    )
    assert two.keys() == one.keys()
    for found in (one, two):  # of bytes there is no scatter, but of where a balancer has put ten sockets
        sent = found["Redis sends for it"]
        assert sent["foretold"] == pytest.approx(sent["measured"], rel=0.2)
    lines = list(report.row_lines(result))
    assert len(lines) == 2 + len(result["checks"])
