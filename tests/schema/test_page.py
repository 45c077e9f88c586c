"""Content of the docs page."""

import json
import re

import pytest
from django.template.loader import render_to_string
from pydantic import BaseModel, Field

from django_fastws import FastWS
from django_fastws.live import live_rooms
from django_fastws.schema import describe
from django_fastws.schema.page import Page, fingerprint

EVIL = "</script><script>alert(1)</script>\"'&"


@pytest.fixture
def html(described, settings):
    settings.ROOT_URLCONF = "tests.schema.test_docs"
    return render_to_string("django_fastws/docs.html", Page(described, "/ws/live").context())


def data_of(html):
    return json.loads(re.search(r'<script id="page-data"[^>]*>(.*?)</script>', html, re.DOTALL)[1])


def test_every_room_call_event_and_type_has_a_place(html):
    places = re.findall(r'\bid="([^"]+)"', html)
    assert len(places) == len(set(places))
    wanted = {"tickets", "tickets.say", "tickets.on.said", "tickets.on.typing", "zoo", "zoo.level-up", "type-Said"}
    assert wanted <= set(places)
    links = set(re.findall(r'href="#([^"]+)"', html))
    assert links <= set(places)


def test_descriptions_and_limits_are_shown(html):
    for text in (
        "Say something to all.",
        "The answer is its number.",
        "For whom the ticket is.",
        "What was said, oldest first.",
        "login required",
        "permission desk.read",
        "5/s",
        "Somebody has said something.",
        "Who reads the ticket.",
        "Members know how many are there, and not who.",
    ):
        assert text in html


def test_types_link_to_types(html):
    assert '<a href="#type-Member">Member</a> | <span class="k">null</span>' in html
    assert '<a href="#type-Said">Said</a>[]' in html
    assert '<span class="k">string</span>' in html
    assert '<span class="s">&quot;cat&quot;</span>' in html


def test_a_property_that_is_called_as_a_type_is_no_type(routes):
    room = FastWS().room("a")

    @room.on("call")
    async def convert(ws, number: int, string: str = ""): ...

    (call,) = Page(describe(live_rooms()), None).context()["rooms"][0]["calls"]
    assert call["data"].splitlines()[1:3] == [
        '  number: <span class="k">number</span>;',
        '  string?: <span class="k">string</span>;',
    ]


def test_the_errors_of_a_call_are_those_that_it_can_have(described):
    tickets = next(room for room in Page(described, None).context()["rooms"] if room["anchor"] == "tickets")
    errors = {call["schema"].event: set(call["errors"]) for call in tickets["calls"]}
    assert errors["say"] == {"invalid", "rate_limited", "timeout"}
    assert errors["close"] == set()
    assert set(tickets["errors"]) == {"unauthenticated", "forbidden"}


def test_the_script_gets_schemas_and_examples(html):
    data = data_of(html)
    assert data["live"] == "/ws/live"
    room = data["rooms"]["tickets"]
    assert room["parts"] == ["tickets/", {"name": "pk"}]
    assert room["calls"]["say"]["kind"] == "call"
    assert room["calls"]["say"]["example"]["text"] == "hello"
    assert not room["calls"]["close"]["takesData"]
    assert "Said" in data["definitions"]


def test_nothing_is_inline(html):
    scripts = re.findall(r"<script\b([^>]*)>", html)
    assert all("src=" in attributes or "application/json" in attributes for attributes in scripts)
    assert "<style" not in html
    assert not re.search(r"\sstyle=", html)
    assert not re.search(r"<[^>]*\son\w+=", html)


def test_nothing_comes_from_elsewhere(html):
    loaded = re.findall(r'<(?:script|link|img)\b[^>]*(?:src|href)="([^"]*)"', html)
    assert loaded
    assert all(address.startswith("/static/django_fastws/") for address in loaded)


def test_what_a_declaration_says_is_text(routes, settings):
    settings.ROOT_URLCONF = "tests.schema.test_docs"

    class Evil(BaseModel):
        field: str = Field(description=EVIL + "*/", examples=[EVIL])

    room = FastWS(tags=[EVIL]).room("a&b'c{pk}")

    @room.on(EVIL)
    async def evil(ws, given: Evil): ...

    evil.__doc__ = EVIL
    html = render_to_string("django_fastws/docs.html", Page(describe(live_rooms()), None).context())
    assert "alert(1)</script>" not in html
    assert "a&amp;b&#x27;c" in html
    assert data_of(html)["rooms"]["abc"]["calls"][EVIL]["example"] == {"field": EVIL}


def test_rooms_of_one_name_have_places_of_their_own(routes):
    for pattern in ("a/{x}", "a/{x:int}/b", "日本"):
        FastWS().room(pattern, name=None)
    FastWS().room("a/b/{y}")
    anchors = [room["anchor"] for room in Page(describe(live_rooms()), None).context()["rooms"]]
    assert len(set(anchors)) == 4
    assert "日本" in anchors


def test_the_fingerprint_is_of_the_rooms(routes):
    FastWS().room("a")
    before = fingerprint(describe(live_rooms()))
    assert fingerprint(describe(live_rooms())) == before
    FastWS().room("b")
    assert fingerprint(describe(live_rooms())) != before
