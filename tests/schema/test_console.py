"""The console of the docs page, in a browser, under a strict policy."""

from __future__ import annotations

import json
import re

import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.site.client import until
from tests.support.chromium import PATIENCE
from tests.support.processes import ASGIServer

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),  # the browser's
    pytest.mark.browser,
    pytest.mark.server,
    pytest.mark.slow,
    pytest.mark.long,
]

APP = "tests.schema.site:application"
TOOK = re.compile(r"^[\d.]+ ms$")

#: What is against the policy, and what is thrown, from the first moment of a page on.
WATCH = """window.problems = [];
const note = (text) => problems.push(text);
addEventListener("securitypolicyviolation", ({ violatedDirective }) => note(violatedDirective));
addEventListener("error", ({ message }) => note(message));
addEventListener("unhandledrejection", ({ reason }) => note(String(reason)));"""


@pytest.fixture(scope="module")
def server():
    with ASGIServer("runws_server", app=APP, environment={"TEST_DEBUG": "1"}) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="session")
async def open_page(browser, server):
    """Open the page in a window of its own; at the end, nothing may have gone wrong in any."""
    pages = []

    async def open_one(address="", *, at=server, **options):
        context = await browser.new_context(**options)
        page = await context.new_page()
        page.set_default_timeout(PATIENCE)
        await page.add_init_script(WATCH)
        await page.goto(at.http_url(f"/live/{address}"))
        await page.locator('.status[data-state="open"]').wait_for()
        pages.append(page)
        return page

    yield open_one
    for page in pages:
        assert await page.evaluate("problems") == []


def frame(page, label, way="received", room=None):
    """The frames in the log with a label, and with a room."""
    found = page.locator(f".frame.{way}", has=page.locator(f".label:text-is('{label}')"))
    return found if room is None else found.filter(has=page.locator(f".of:text-is('{room}')"))


async def join(page, room, /, **params):
    """Join a room, and wait until the server has answered."""
    section = page.locator(f"section#{room}")
    for name, value in params.items():
        await section.locator(f"form.join input[name={name}]").fill(str(value))
    members = section.locator(".membership")
    before = await members.count()
    await section.get_by_role("button", name="Join", exact=True).click()
    await expect(members).to_have_count(before + 1)
    name = await members.last.locator("button").first.text_content()
    await frame(page, "join · answer", room=name).wait_for()
    return section


async def open_call(section, event):
    card = section.locator(f'.card.call[data-event="{event}"]')
    await card.locator("summary").first.click()
    return card


async def open_all(page):
    """Open every card, with an example in every form; a form is made a little after its card is opened."""
    await page.evaluate("document.querySelectorAll('.card').forEach((card) => (card.open = true))")
    await expect(page.locator(".call .try:empty")).to_have_count(0)
    examples = page.get_by_role("button", name="Example")
    assert await examples.evaluate_all("(buttons) => (buttons.forEach((one) => one.click()), buttons.length)")


def field(card, name):
    """A field of a form, by its name."""
    return card.locator(".field").filter(has=card.page.locator(f'> .field-head .field-name:text-is("{name}")')).last


async def result(card):
    """What was answered: the state, and the JSON behind it."""
    shown = card.locator(".result[data-state]")
    await shown.wait_for()
    state, body = await shown.evaluate(
        """(result) => {
            const body = result.querySelector("pre");
            return [result.querySelector(".result-head span").textContent, body.hidden ? null : body.textContent];
        }"""
    )
    return state, body if body is None else json.loads(body)


async def send(card, button="Send"):
    """Send, and wait for the answer; what is shown already may be that of another call."""
    await card.locator(".result").evaluate("(result) => delete result.dataset.state")
    await card.get_by_role("button", name=button, exact=True).click()
    return await result(card)


async def expect_json(shown, is_wanted):
    """Wait until the text of an element is JSON of which the condition holds."""

    async def holds():
        text = await shown.text_content()
        try:
            return is_wanted(json.loads(text))
        except ValueError:
            return False

    await until(holds, f"the JSON of {shown}", PATIENCE / 1000)


RECURSIVE = [
    {"properties": {"next": {"anyOf": [{"$ref": "#/$defs/It"}, {"type": "null"}]}}, "required": ["next"]},
    {"anyOf": [{"type": "array", "items": {"$ref": "#/$defs/It"}}, {"type": "integer"}]},
    {"prefixItems": [{"type": "integer"}, {"anyOf": [{"$ref": "#/$defs/It"}, {"type": "null"}]}], "type": "array"},
    {"properties": {"x": {"anyOf": [{"$ref": "#/$defs/It"}, {"type": "string"}]}}, "required": ["x"]},
    {"properties": {"x": {"$ref": "#/$defs/It"}}, "required": ["x"]},
]


async def test_forms_of_types_that_are_within_themselves_and_of_fields_with_any_name(open_page):
    page = await open_page()
    found = await page.evaluate(
        """async (schemas) => {
            const { createForm } = await import("/static/django_fastws/docs-form.js");
            return schemas.map((schema) => {
                const form = createForm({ $ref: "#/$defs/It" }, { It: schema });
                form.set(undefined);
                return form.get();
            });
        }""",
        [{"type": "object", **schema} if "properties" in schema else schema for schema in RECURSIVE],
    )
    assert found == [{"next": None}, [], [None, None], {"x": {}}, {}]

    found = await page.evaluate(
        """async () => {
            const { createForm } = await import("/static/django_fastws/docs-form.js");
            const properties = JSON.parse('{"__proto__": {"type": "string"}, "toString": {"type": "string"}}');
            const form = createForm({ type: "object", properties }, {});
            form.set({});
            const empty = JSON.stringify(form.get());
            form.set(JSON.parse('{"__proto__": "a"}'));
            return [empty, JSON.stringify(form.get())];
        }"""
    )
    assert found == ["{}", '{"__proto__":"a"}']


async def test_a_call_is_sent_from_its_form_and_answered_with_its_time(open_page):
    page = await open_page()
    tickets = await join(page, "tickets", pk=1)
    await expect(tickets.locator(".membership")).to_have_text(["tickets/1×"])
    await expect_json(tickets.locator(".state-now pre"), lambda state: state == [])
    say = await open_call(tickets, "say")
    await field(say, "text").locator("textarea").fill("hello")
    assert await send(say) == ("answer", 1)
    await expect(say.locator(".result .took")).to_have_text(TOOK)

    said = tickets.locator('.card.event[data-event="said"]')
    await said.get_by_text("1 received").wait_for()
    await said.locator("summary").click()
    await expect_json(said.locator(".last pre"), lambda last: (last["text"], last["priority"]) == ("hello", "normal"))
    labels = ["hello", "hello · answer", "join", "join · answer", "say", "said", "say · answer"]
    await expect(page.locator(".frame:not(.is-ping) .label")).to_have_text(labels)
    answer = frame(page, "say · answer")
    await answer.locator("summary").click()
    await expect_json(answer.locator("pre"), lambda frame: frame["ok"] == 1)
    await expect(answer.locator(".took")).to_have_text(TOOK)


async def test_what_is_left_out_is_not_sent_and_what_is_touched_is(open_page):
    page = await open_page()
    tickets = await join(page, "tickets", pk=2)
    say = await open_call(tickets, "say")
    await field(say, "text").locator("textarea").fill("x")
    await field(say, "quiet").locator("input.switch").check()
    await field(say, "priority").locator("select").select_option(label="high")
    await send(say)
    sent = frame(page, "say", "sent").locator(".preview")
    await expect_json(sent, lambda frame: frame["data"] == {"text": "x", "quiet": True, "priority": "high"})
    await field(say, "quiet").locator("input.include").uncheck()
    await send(say)
    await expect_json(sent.nth(1), lambda frame: frame["data"] == {"text": "x", "priority": "high"})


async def test_errors_stand_next_to_their_fields_however_deep(open_page):
    page = await open_page()
    orders = await join(page, "shops-orders", shop="tea")
    order = await open_call(orders, "order")
    await order.get_by_role("button", name="Example").click()
    await field(order, "street").locator("input").fill("x")
    await field(order, "article").locator("input").fill("x" * 41)
    await field(order, "number").locator("input").fill("1")
    assert (await send(order))[0] == "invalid"
    for name, text in {"street": "at least 3", "article": "at most 40", "number": "at least 12"}.items():
        errors = field(order, name).locator(".errors").first
        await expect(errors).to_contain_text(text)
        control = field(order, name).locator("input:not([type=checkbox])").first
        await expect(control).to_have_attribute("aria-invalid", "true")
        await expect(control).to_have_attribute("aria-describedby", await errors.get_attribute("id"))
    await expect(order.locator(".errors:visible")).to_have_count(3)
    await order.get_by_role("button", name="Example").click()
    assert await send(order) == ("answer", {"positions": 1, "articles": 1})
    await expect(order.locator(".errors:visible")).to_have_count(0)


async def test_lists_unions_maps_and_nulls_are_written_in_the_form(open_page):
    page = await open_page()
    orders = await join(page, "shops-orders", shop="tea")
    order = await open_call(orders, "order")
    for name, value in {"street": "Main St", "city": "Berlin", "zip_code": "10115"}.items():
        await field(order, name).locator("input").fill(value)
    lines = field(order, "lines")
    await lines.get_by_role("button", name="Add an item").click()
    await expect(page.locator(".field:has(:focus)").last.locator("> .field-head label")).to_have_text("article")
    for number in range(2):
        item = lines.locator(".rows > li").nth(number)
        await field(item, "article").locator("input").fill(f"tea {number}")
        await field(item, "count").locator("input[type=number]").fill(str(number + 2))
    await field(order, "pay").locator("select").first.select_option(label="Invoice")
    await field(order, "vat_id").get_by_role("button", name="null").click()
    labels = field(order, "labels")
    await labels.locator("input.include").check()
    await labels.get_by_role("button", name="Add a key").click()
    await labels.locator("input.key").fill("colour")
    await labels.locator(".rows li div input").fill("green")
    await field(order, "discount").locator("input[type=number]").fill("0.25")
    await field(order, "deliver_on").locator("input[type=date]").fill("2026-12-24")
    await field(order, "anything").locator("textarea").fill('{"deep": [1, null]}')
    assert await send(order) == ("answer", {"positions": 2, "articles": 5})
    sent = frame(page, "order", "sent")
    await sent.locator("summary").click()
    wanted = {
        "to": {"street": "Main St", "city": "Berlin", "zip_code": "10115"},
        "lines": [{"article": "tea 0", "count": 2}, {"article": "tea 1", "count": 3}],
        "pay": {"kind": "invoice", "vat_id": None},
        "labels": {"colour": "green"},
        "discount": 0.25,
        "deliver_on": "2026-12-24",
        "anything": {"deep": [1, None]},
    }
    await expect_json(sent.locator("pre"), lambda frame: frame["data"] == wanted)


async def test_form_and_json_are_the_same_payload(open_page):
    page = await open_page()
    tickets = await join(page, "tickets", pk=3)
    say = await open_call(tickets, "say")
    await field(say, "text").locator("textarea").fill("from the form")
    await say.get_by_role("tab", name="JSON").click()
    text = say.get_by_label("The payload as JSON")
    await expect(text).to_have_value('{\n  "text": "from the form"\n}')
    await text.fill('{"text": "from JSON", "priority": "low", ')
    await say.get_by_role("tab", name="Form").click()
    await expect(say.locator(".panel .errors:visible")).to_contain_text("JSON")
    await text.fill('{"text": 1, "quiet": "no"}')
    assert (await send(say))[0] == "invalid"
    await expect(say.locator(".panel .errors:visible")).to_contain_text("text: Input should be a valid string")
    await text.fill('{"text": "from JSON", "priority": "low"}')
    await say.get_by_role("tab", name="Form").click()
    await expect(field(say, "text").locator("textarea")).to_have_value("from JSON")
    await expect(field(say, "priority").locator("select")).to_have_value("0")
    await expect(field(say, "quiet").locator("input.include")).not_to_be_checked()


async def test_items_of_a_stream_come_one_by_one_until_it_is_stopped(open_page):
    page = await open_page()
    tickets = await join(page, "tickets", pk=4)
    count = await open_call(tickets, "count_to")
    await field(count, "to").locator("input").fill("3")
    await count.get_by_role("button", name="Start").click()
    await count.locator(".result").get_by_text("3 items").wait_for()
    assert await result(count) == ("ended", [1, 2, 3])
    await field(count, "to").locator("input").fill("10000")
    await count.get_by_role("button", name="Start").click()
    await count.get_by_role("button", name="Stop").click()
    await frame(page, "count_to · cancelled").wait_for()
    await expect(count.get_by_role("button", name="Start")).to_be_enabled()


async def test_two_pages_hear_each_other(open_page):
    ada, bob = await open_page(), await open_page()
    of_ada, of_bob = await join(ada, "tickets", pk=5), await join(bob, "tickets", pk=5)
    typing = await open_call(of_ada, "typing")
    assert await send(typing, "Relay") == ("relayed", None)
    await of_bob.locator('.card.event[data-event="typing"]').get_by_text("1 received").wait_for()
    await expect(of_ada.locator('.card.event[data-event="typing"] .seen')).to_be_hidden()


async def test_a_join_that_is_refused_says_why(open_page):
    page = await open_page()
    section = page.locator("section#tickets")
    await section.get_by_role("button", name="Join", exact=True).click()
    await expect(section.locator(".problem")).to_contain_text("pk")
    for pk, code in {"13": "forbidden", "x": "unknown_room"}.items():
        await section.locator("input[name=pk]").fill(pk)
        await section.get_by_role("button", name="Join", exact=True).click()
        await section.locator(".problem", has_text=code).wait_for()
        await expect(section.locator(".membership")).to_have_count(0)


async def test_a_call_joins_the_room_that_is_written_first(open_page):
    page = await open_page()
    section = page.locator("section#tickets")
    close = await open_call(section, "close")
    await close.get_by_role("button", name="Send", exact=True).click()
    await expect(section.locator("input[name=pk]")).to_be_focused()
    await section.locator("input[name=pk]").fill("6")
    assert await send(close) == ("answer", None)
    await expect(section.locator(".membership")).to_have_count(1)


async def test_rooms_are_left_and_chosen(open_page):
    page = await open_page()
    tickets = await join(page, "tickets", pk=7)
    await join(page, "tickets", pk=8)
    await expect(tickets.locator('.membership [aria-pressed="true"]')).to_have_text("tickets/8")
    await tickets.get_by_role("button", name="tickets/7", exact=True).click()
    close = await open_call(tickets, "close")
    await send(close)
    await expect(frame(page, "close", "sent").locator(".preview")).to_contain_text('"room":"tickets/7"')
    await tickets.get_by_role("button", name="Leave tickets/7").click()
    await frame(page, "leave · answer").wait_for()
    await expect(tickets.locator(".membership")).to_have_text(["tickets/8×"])


async def test_an_error_of_the_handler_is_shown_with_its_code(open_page):
    page = await open_page()
    tickets = await join(page, "tickets", pk=9)
    fail = await open_call(tickets, "fail")
    assert (await send(fail))[0] == "sold_out"
    await expect(fail.locator(".result")).to_contain_text("there are none left (again in 1500 ms)")


async def test_the_server_is_answered_from_the_log(open_page):
    page = await open_page()
    tickets = await join(page, "tickets", pk=10)
    confirm = await open_call(tickets, "confirm")
    await field(confirm, "question").locator("input").fill("Sure?")
    await confirm.get_by_role("button", name="Send", exact=True).click()
    asked = page.locator(".frame.is-ask .ask")
    await asked.get_by_label("Answer").fill("true")
    await asked.get_by_role("button", name="Answer").click()
    assert await result(confirm) == ("answer", True)


async def test_it_is_used_without_a_mouse(open_page):
    page = await open_page()
    await page.keyboard.press("/")
    await page.keyboard.type("tickets say")
    await expect(page.locator(".rooms > li:visible")).to_have_count(1)
    await page.keyboard.press("Enter")
    say = page.locator('[id="tickets.say"]')
    await expect(say).to_have_attribute("open", "")
    await page.keyboard.press("Escape")
    await page.locator("main").focus()
    await page.evaluate("document.getElementById('tickets').scrollIntoView()")
    await page.keyboard.press("j")
    await page.keyboard.type("11")
    await page.keyboard.press("Enter")
    await page.locator("#tickets .membership").wait_for()
    await field(say, "text").locator("textarea").focus()
    await page.keyboard.type("two\nlines")
    await page.keyboard.press("Control+Enter")
    assert await result(say) == ("answer", 1)
    await page.keyboard.press("Tab")
    await page.locator("main").focus()
    await page.keyboard.press("l")
    await expect(page.locator("#frames")).to_be_focused()


async def test_with_all_open_everything_has_a_name_and_nothing_is_wider_than_the_window(open_page):
    page = await open_page()
    await open_all(page)
    unnamed = await page.evaluate(
        """() => [...document.querySelectorAll("input, select, textarea, button")]
            .filter((one) => one.checkVisibility())
            .filter((one) => !(one.labels?.length || one.ariaLabel || one.textContent.trim()))
            .map((one) => one.outerHTML)"""
    )
    assert unnamed == []
    toggle = page.locator(".log-toggle")
    for width in (1440, 1000, 390):
        await page.set_viewport_size({"width": width, "height": 800})
        await page.wait_for_function("(width) => innerWidth === width", arg=width)
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        if width < 1180:
            await expect(page.locator("#frames")).to_be_hidden()
            await toggle.click()
            await expect(page.locator("#frames")).to_be_visible()
            await expect(toggle).to_have_attribute("aria-expanded", "true")
            await page.keyboard.press("Escape")
            await expect(toggle).to_have_attribute("aria-expanded", "false")


async def test_a_reload_finds_what_was_written_and_joined(open_page):
    page = await open_page()
    tickets = await join(page, "tickets", pk=12)
    say = await open_call(tickets, "say")
    await field(say, "text").locator("textarea").fill("kept")
    await page.reload()
    await page.locator("#tickets .membership").wait_for()
    await expect(tickets.locator("input[name=pk]")).to_have_value("12")
    await expect(field(say, "text").locator("textarea")).to_have_value("kept")
    assert await send(say) == ("answer", 1)


async def test_the_log_is_filtered_paused_and_cleared(open_page):
    page = await open_page()
    await join(page, "tickets", pk=14)
    await page.get_by_label("Filter the frames").fill("hello")
    await expect(page.locator(".frame:visible")).to_have_count(2)
    await page.get_by_label("Filter the frames").fill("")
    await page.get_by_role("button", name="Clear").click()
    await expect(page.locator(".frame")).to_have_count(0)
    await page.get_by_label("A frame of your own").fill('{"room": "tickets/14", "event": "close", "id": "mine"}')
    await page.locator("form.raw").get_by_role("button", name="Send").click()
    await expect(page.locator(".frame:not(.is-ping)")).to_have_count(3)  # the call, its answer, and the event
    await page.get_by_role("button", name="Pause").click()
    await page.locator("form.raw").get_by_role("button", name="Send").click()
    await page.get_by_text(re.compile(r"Resume \([3-9] missed\)")).wait_for()
    await page.get_by_role("button", name="Resume").click()
    await page.locator("form.raw").get_by_role("button", name="Send").click()
    await expect(page.locator(".frame:not(.is-ping)")).to_have_count(6)


async def test_positions_and_resumed_joins_are_shown(open_page):
    page = await open_page()
    tickets = await join(page, "tickets", pk=21)
    assert "50 events" in await tickets.locator(".chip", has_text="history").first.get_attribute("title")
    answer = page.locator(".frame:has(.label:text-is('join · answer'))")
    at = re.search(r'"at":\s*"(\w+:0)"', await answer.first.text_content())[1]
    say = await open_call(tickets, "say")
    await field(say, "text").locator("textarea").fill("hi")
    await send(say)
    said = page.locator(".frame:has(.label:text-is('said'))")
    await said.first.wait_for()
    assert at.replace(":0", ":1") in await said.first.text_content()
    again = json.dumps({"join": "tickets/21", "id": "again", "since": at})
    await page.get_by_label("A frame of your own").fill(again)
    await page.locator("form.raw").get_by_role("button", name="Send").click()
    await page.locator(".frame .label:text-is('join · recovered')").wait_for()


async def test_frames_of_histories_have_names_in_the_log(open_page):
    page = await open_page()
    found = await page.evaluate(
        """async (frames) => {
            const { createLog } = await import("/static/django_fastws/docs-log.js");
            const aside = document.querySelector(".log").cloneNode(true);
            document.body.append(aside);
            aside.querySelector(".frames").replaceChildren();
            window.WebSocket = class extends EventTarget {};
            const socket = new (createLog(aside, () => {}).tap(() => {}))(location.href);
            for (const frame of frames.map((one) => JSON.stringify(one))) {
                socket.dispatchEvent(new MessageEvent("message", { data: frame }));
            }
            const found = () => [...aside.querySelectorAll(".frame .label")];
            const labels = () => found().map((label) => label.textContent.trim());
            while (labels().length < frames.length) await new Promise(requestAnimationFrame);
            return labels();
        }""",
        [
            {"room": "a", "at": "e:1"},
            {"room": "a", "at": "e:1", "recovered": False},
            {"room": "a", "at": "e:1", "state": 1},
            {"room": "a", "at": "e:1", "event": "said", "data": 1},
        ],
    )
    assert found == ["position", "lost", "state", "said"]


async def test_the_state_of_a_keyed_room_is_kept_up_to_date(open_page):
    page = await open_page()
    prices = await join(page, "prices")
    await prices.locator(".chip", has_text="keyed").first.wait_for()
    now = prices.locator(".state-now pre")
    for frame_, label in (({"bid": 5}, "BTC"), ({"bid": 6}, "BTC"), ({}, "BTC · removed")):
        sent = {"room": "prices", "event": "quote", "data": {"symbol": "BTC", **frame_}}
        await page.get_by_label("A frame of your own").fill(json.dumps(sent))
        await page.locator("form.raw").get_by_role("button", name="Send").click()
        await expect_json(now, lambda shown, frame_=frame_: shown == ({"BTC": frame_} if frame_ else {}))
        await frame(page, label, room="prices").first.wait_for()


async def test_who_is_present_is_shown_and_kept_up_to_date(open_page):
    one, two = await open_page(), await open_page()
    boards = await join(one, "boards", pk=31)
    await boards.locator(".chip", has_text="presence").first.wait_for()
    people = boards.locator(".person")
    await expect(people).to_have_count(1)
    await join(two, "boards", pk=31)
    await expect(people).to_have_count(2)
    await expect(boards.locator(".present-now")).to_contain_text("2 in boards/31, now")
    be_busy = await open_call(two.locator("section#boards"), "be_busy")
    await send(be_busy)
    await expect(people.filter(has_text='"is_busy":true')).to_have_count(1)
    await frame(one, "presence", room="boards/31").first.wait_for()
    again = await join(one, "boards", pk=32)
    await expect(again.locator(".present-now")).to_contain_text("1 in boards/32, now")
    await again.get_by_role("button", name="boards/31", exact=True).click()
    await expect(again.locator(".present-now")).to_contain_text("2 in boards/31, now")


async def test_how_many_are_present_is_shown_where_nobody_is_told_who(open_page):
    one, two = await open_page(), await open_page()
    hall = await join(one, "hall")
    await expect(hall.locator(".present-now")).to_contain_text("1 in hall, now")
    await join(two, "hall")
    await expect(hall.locator(".present-now")).to_contain_text("2 in hall, now")
    assert await hall.locator(".people").is_hidden()


async def test_the_page_notices_a_server_with_other_rooms(open_page):
    first = ASGIServer("runws_server", app=APP, environment={"TEST_DEBUG": "1"})
    with first:
        page = await open_page(at=first)
        await join(page, "tickets", pk=1)
        first.stop()
        await page.locator('.status:not([data-state="open"])').wait_for()
        first.start()
        await page.locator('.status[data-state="open"]').wait_for()
        await frame(page, "join · answer").nth(1).wait_for()
        first.stop()
        await page.locator('.status:not([data-state="open"])').wait_for()
        await expect(page.locator(".stale")).to_be_hidden()
        first.environment["DESK_ROOM"] = "more"
        first.start()
        await page.locator(".stale").wait_for()
        await page.evaluate("scrollTo(0, 400)")
        stale, find, log = [await page.locator(of).bounding_box() for of in (".stale", ".find", ".log")]
        assert stale["y"] + stale["height"] <= min(find["y"], log["y"])  # it covers neither
        assert log["y"] + log["height"] <= page.viewport_size["height"]
        await page.get_by_role("button", name="Reload").click()
        await page.locator("section#more").wait_for()
        await page.locator('.status[data-state="open"]').wait_for()


async def test_the_policy_is_enforced(browser, server):
    page = await browser.new_page()
    await page.add_init_script(WATCH)
    await page.goto(server.http_url("/live/"))
    await page.evaluate("document.body.setAttribute('style', 'color: red')")
    await page.wait_for_function("problems.length > 0")
    assert "style-src" in (await page.evaluate("problems"))[0]


async def test_without_scripts_it_is_documentation(browser, server):
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(server.http_url("/live/"))
    text = await page.locator("main").text_content()
    assert "Say something to everybody in the ticket." in text
    assert "needs JavaScript" in text
