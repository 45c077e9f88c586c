"""TypeScript declarations of live rooms."""

import re
import shutil
from pathlib import Path

import pytest

from django_fastws.schema import typescript
from django_fastws.schema.typescript import ROOMS
from tests.support import node
from tests.support.client_size import CLIENT

pytestmark = [pytest.mark.npm, pytest.mark.slow]
TSC = node.MODULES / "typescript" / "bin" / "tsc"

HEAD = """
import { connect } from "./fastws.js";
import type { RoomOf } from "./fastws.js";
import type { Said, Status, PetInput, Page_Said } from "./rooms.js";
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(..._: Same<A, B> extends true ? [] : [never]) => {};
const live = connect();
const ticket = live.join("tickets/5");
const zoo = live.join("zoo");
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
live.join("chat/lobby").on("said", ({ who }) => who.trim());
live.join("chat/lobby/typing/6f9619ff-8b86-4d11-b42d-00c04fc964ff").on("node", ({ size }) => size.toFixed());
same<RoomOf<"odd`$5/x">["name"], `odd\\`$${string}/${string}`>();
live.join("nowhere").call("anything", 1);
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
live.join("chat/lobby").on("node", () => {});
"""


def compiled(directory: Path, code: str, declarations: str) -> list[str]:
    """What tsc says of code beside the browser client and the declarations."""
    for path in CLIENT.parent.glob("fastws.*"):
        shutil.copy(path, directory)
    (directory / "rooms.d.ts").write_text(declarations)
    (directory / "main.ts").write_text(HEAD + code)
    options = "--noEmit --strict --target es2022 --module esnext --moduleResolution bundler --types"
    done = node.run(str(TSC), *options.split(), "", "main.ts", "rooms.d.ts", cwd=directory)
    return [line for line in done.stdout.splitlines() if "error TS" in line]


def test_what_is_declared_compiles(described, tmp_path):
    assert compiled(tmp_path, RIGHT, typescript(described)) == []


def test_what_is_not_declared_does_not(described, tmp_path):
    errors = compiled(tmp_path, WRONG, typescript(described))
    first = HEAD.count("\n") + 1
    lines = {int(match[1]) - first for error in errors if (match := re.match(r"main\.ts\((\d+),", error))}
    wrong = WRONG.splitlines()
    assert [wrong[number + 0] for number in range(1, len(wrong)) if number not in lines] == []


def test_the_declarations_have_no_faults_of_their_own(described, tmp_path):
    assert compiled(tmp_path, "", typescript(described)) == []
    assert f"export interface {ROOMS}" in typescript(described)


def test_the_client_may_be_found_elsewhere(described, tmp_path):
    (tmp_path / "static").mkdir()
    declarations = typescript(described, module="./static/fastws.js")
    assert 'declare module "./static/fastws.js"' in declarations
