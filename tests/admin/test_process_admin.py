"""Processes in the admin: what each tells, and draining."""

from __future__ import annotations

from django.contrib.admin.models import LogEntry

from django_fastws.console import ActionResult
from tests.admin.fakes import process

LIST = "/admin/django_fastws/process/"
ONE = f"{LIST}web-1_3A10_3Aaa/change/"


def test_the_list_marks_what_is_wrong(console, root):
    console.processes = [process(is_draining=True, loop_delay=0.5, descriptors_open=60_000)]
    body = root.get(LIST).content.decode()
    assert "draining" in body
    assert body.count("fw-warn") == 3
    assert "1 process, 2,500 sockets" in body


def test_what_a_process_does_not_tell_is_left_out(console, root):
    row = process(memory_bytes=None, cpu_seconds=None, loop_delay=None, descriptors_open=None, descriptors_limit=None)
    console.processes = [row]
    assert root.get(LIST).status_code == root.get(ONE).status_code == 200


def test_a_process_leads_to_its_sockets(console, root):
    body = root.get(ONE).content.decode()
    assert "/admin/django_fastws/socket/?process=web-1%3A10%3Aaa" in body
    assert "route=%2Fws%2Flive" in body
    assert "1,234,567" in body
    assert "do/drain/" in body


def test_only_what_can_be_drained_is_offered_to_be(console, root):
    console.processes = [process(can_drain=False)]
    assert "do/drain/" not in root.get(ONE).content.decode()


def test_each_is_drained_and_what_cannot_be_is_said(console, root):
    console.result = ActionResult(0, asked=1, answered=1, errors={"web-1:10:aa": "uvicorn cannot be drained"})
    response = root.post(f"{LIST}do/drain/", {"selected": ["web-1:10:aa", "web-2:11:bb"]}, follow=True)
    texts = [str(message) for message in response.context["messages"]]
    assert texts[0].startswith("0 of 2")
    assert "uvicorn cannot be drained" in texts[1]
    assert [args[0] for name, args, _ in console.calls if name == "drain_process"] == ["web-1:10:aa", "web-2:11:bb"]
    assert not LogEntry.objects.exists()
