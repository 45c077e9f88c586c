"""Outbound routes in the admin."""

from __future__ import annotations

from django_fastws.console import ActionResult
from tests.admin.fakes import route

LIST = "/admin/django_fastws/outboundroute/"
ONE = f"{LIST}clients-1_3A20_3Abb feeds.prices/change/"


def test_the_list_is_filtered_by_state_and_searched(console, root):
    console.routes = [route(), route("feeds.news", state="failed", last_error="<b>HTTP 401")]
    body = root.get(LIST).content.decode()
    assert "2 outbound routes" in body
    assert "&lt;b&gt;HTTP 401" in body
    assert len(root.get(LIST, {"state": "failed"}).context["rows"]) == 1
    assert len(root.get(LIST, {"q": "feeds.PRICES"}).context["rows"]) == 1
    assert "No outbound route fits" in root.get(LIST, {"q": "nothing"}).content.decode()


def test_a_route_has_its_facts(console, root):
    console.routes = [route(since=None, state="waiting", attempts=4, last_error="refused")]
    body = root.get(ONE).content.decode()
    assert "wss://feed.example/prices?token=***" in body
    assert "refused" in body
    assert "do/restart/" in body


def test_routes_are_restarted_in_their_processes(console, root):
    data = {"selected": ["clients-1:20:bb feeds.prices", "clients-2:21:cc feeds.news"]}
    assert "feeds.news" in root.get(f"{LIST}do/restart/", data).content.decode()
    root.post(f"{LIST}do/restart/", data)
    done = [args for name, args, _ in console.calls if name == "restart_route"]
    assert done == [("clients-1:20:bb", "feeds.prices"), ("clients-2:21:cc", "feeds.news")]


def test_a_process_that_does_not_answer_is_said(console, root):
    console.result = ActionResult(0, asked=1, missing=1)
    response = root.post(f"{LIST}do/restart/", {"selected": "clients-1:20:bb feeds.prices"}, follow=True)
    assert "has not answered" in " ".join(str(message) for message in response.context["messages"])
