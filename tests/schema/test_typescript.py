"""TypeScript declarations of live rooms."""

import pytest

from django_fastws.schema import typescript
from django_fastws.schema.typescript import ROOMS
from tests.support.typescript import errors_of

pytestmark = [pytest.mark.npm, pytest.mark.slow]

HEAD = """
import { connect } from "./fastws.js";
import type { Presence, RoomOf } from "./fastws.js";
import type { Member, Price, Said, Status, PetInput, Page_Said } from "./rooms.js";
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(..._: Same<A, B> extends true ? [] : [never]) => {};
const live = connect();
const ticket = live.join("tickets/5");
const zoo = live.join("zoo");
const prices = live.join("prices/spot");
"""

#: What compiles.
RIGHT = """
ticket.call("say", { text: "hello" }).then((number) => same<typeof number, number>());
ticket.call("say", { text: "hello", priority: "high", tags: ["a"] });
ticket.call("close");
ticket.call("assign", { name: "ada" }).then(({ addresses }) => addresses.map(({ city }) => city.trim()));
ticket.call("typing", { is_typing: true }).then((nothing) => same<typeof nothing, null>());
for await (const said of ticket.stream("history", { limit: 5 })) same<typeof said, Said>();
ticket.on("state", (state) => same<typeof state, Said[]>());
ticket.on("said", (said) => same<typeof said.urgent, boolean>());
ticket.on("ticket_closed", ({ at, by, price }) => [at.trim(), by.trim(), price.trim()]);
ticket.on("typing", ({ is_typing }, { from }) => same<typeof is_typing, boolean>());
zoo.on("anything", (data) => data.is.possible);
zoo.on("state", (state) => same<(typeof state)[string]["kind"], "cat" | "dog">());
zoo.call("adopt", { kind: "cat" });
zoo.call("move", { to: { x: 1 }, steps: [2, "em"] }).then((page) => same<typeof page, Page_Said>());
zoo.call("level up!", { level: 1, status: { room: "open" }, anything: { from: "here", and: "more" } }).then(
  (status) => same<typeof status, Status | null>(),
);
zoo.call("say", { loud: true });
zoo.call("plant", { value: 1, children: [{ value: 2 }] });
zoo.call("water", { value: 1 });
zoo.call("water").then((size) => same<typeof size, number>());
live.join("chat/lobby").on("said", ({ who }) => who.trim());
live.join("chat/lobby/typing/6f9619ff-8b86-4d11-b42d-00c04fc964ff").on("node", ({ size }) => size.toFixed());
same<RoomOf<"odd`$5/x">["name"], `odd\\`$${string}/${string}`>();
live.join("nowhere").call("anything", 1);
live.join("tickets/5", { since: "e:17" });
live.join("tickets/5", { since: document.body.dataset.since });
live.join("nowhere", { since: "e:17" });
prices.on("latest", (values, key) => values.get(key ?? "")?.bid.toFixed());
prices.on("state", (state) => same<typeof state, { [key: string]: Price }>());
prices.on("watching", ({ is_typing }) => same<typeof is_typing, boolean>());
ticket.on("presence", (people) => same<typeof people, Map<string, Presence<Member | null>>>());
ticket.on("presence", (people) => people.get("7")?.meta?.typing);
live.join("board/7").on("presence", (people) => people.get("7")?.meta.is.possible);
live.join("hall/main").on("count", (count) => same<typeof count, number>());
live.join("cursors").on("latest", (values) => values.get("ada").is.possible);
live.join("pets").on("latest", (values) => same<typeof values, Map<string, Price | Said>>());
"""

#: What does not: one line each.
WRONG = """
ticket.call("say", { text: 1 });
ticket.call("say", {});
ticket.call("say");
ticket.call("say", { text: "hello", priority: "none" });
ticket.call("say", { text: "hello", loud: true });
ticket.call("shout", { text: "hello" });
ticket.call("history", { limit: 5 });
ticket.call("said", { text: "hello" });
ticket.stream("say", { text: "hello" });
ticket.on("shouted", () => {});
ticket.on("said", ({ whom }) => whom);
zoo.call("adopt", { kind: "bird" });
zoo.call("adopt", { kind: "dog", lives: 9 });
zoo.call("move", { to: {}, steps: ["em", 2] });
zoo.call("level up!", { level: 3, status: { room: "open" }, anything: { from: "here" } });
zoo.call("plant");
zoo.call("water", { value: "much" });
live.join("chat/lobby").on("node", () => {});
live.join("chat/lobby", { since: "e:17" });
prices.on("latest", (values) => values.get("BTC")?.offer);
prices.on("price", () => {});
live.join("prices/spot", { since: "e:17" });
live.join("cursors").on("moved", () => {});
ticket.on("presence", (people) => people.get("7")?.meta?.row);
ticket.on("count", () => {});
prices.on("presence", () => {});
prices.on("count", () => {});
live.join("hall/main").on("presence", () => {});
"""


def test_what_is_declared_compiles(described, tmp_path):
    assert errors_of(tmp_path, HEAD + RIGHT, typescript(described)) == {}


@pytest.mark.long
def test_what_is_not_declared_does_not(described, tmp_path):
    errors = errors_of(tmp_path, HEAD + WRONG, typescript(described))
    first = HEAD.count("\n") + 1
    wrong = WRONG.splitlines()
    assert [wrong[number] for number in range(1, len(wrong)) if number + first not in errors] == []


def test_the_declarations_have_no_faults_of_their_own(described, tmp_path):
    assert errors_of(tmp_path, HEAD, typescript(described)) == {}
    assert f"export interface {ROOMS}" in typescript(described)


def test_the_client_may_be_found_elsewhere(described, tmp_path):
    (tmp_path / "static").mkdir()
    declarations = typescript(described, module="./static/fastws.js")
    assert 'declare module "./static/fastws.js"' in declarations
