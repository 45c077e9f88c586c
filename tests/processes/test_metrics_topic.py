"""What a process answers to whoever asks for its metrics."""

from django_fastws import metrics
from django_fastws._core.stats_text import added
from django_fastws.processes import METRICS_TOPIC, ask_processes


async def test_a_process_tells_what_it_has_counted(responder):
    metrics.reset()
    metrics.connections.add(2, "/ws/{room}", "daphne")
    metrics.fanout_seconds.observe(0.02)
    (answer,) = (await ask_processes(METRICS_TOPIC, seconds=30)).answers.values()
    metrics.reset()
    assert (answer.error, answer.data["kind"]) == ("", "server")
    found = added([answer.data["metrics"]])
    assert found["connections"] == {("/ws/{room}", "daphne"): 2}
    assert found["fanout_seconds"][()].count == 1
