/** Scripts of the how-to guides and of the README: Vue, React, progress, histories, keyed rooms, presence, htmx and tokens, each with a stand-in of its framework. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";

import { connect } from "../../django_fastws/static/django_fastws/fastws.js";
import { FakeSocket, useWorld, world } from "./world.js";

useWorld();

/** The code of a page behind a heading: the first block of it that has scripts. */
function code(page, heading) {
  const text = readFileSync(new URL(`../../${page}.md`, import.meta.url), "utf8");
  const section = text.split(/^##? /m).find((part) => part.startsWith(`${heading}\n`));
  assert.ok(section, heading);
  const [, block] = /^```(?:javascript|html)\n(.*?^)```$/ms.exec(section);
  return (/<script type="module">(.*?)<\/script>/s.exec(block)?.[1] ?? block)
    .replace(/^\s*import .*\n/gm, "")
    .replace(/^export /gm, "");
}

const AsyncFunction = (async () => {}).constructor;

/** Run it with what it imports and what its page has; returns what `result` names. */
function run(text, around, result = "undefined", Made = Function) {
  const given = { connect: (url, options) => connect(url, { ...options, WebSocket: FakeSocket }), ...around };
  return new Made(...Object.keys(given), `${text}\nreturn ${result};`)(...Object.values(given));
}

const NAME = "tickets/5";
const said = (text) => ({ room: NAME, event: "said", data: { who: "ada", text } });
const JOINED = { ok: { room: NAME, recovered: false, state: [{ who: "bob", text: "hi" }] } };

describe("Vue", () => {
  const text = code("docs/howto/frameworks", "Vue");

  const component = async () => {
    const unmounts = [];
    const useTicket = run(text, { ref: (value) => ({ value }), onUnmounted: (fn) => unmounts.push(fn) }, "useTicket");
    const used = useTicket(5);
    const socket = await world.open();
    socket.answer(JOINED);
    return { ...used, socket, unmount: () => unmounts.forEach((fn) => fn()) };
  };

  test("shows the state, and what is said", async () => {
    const { said: shown, socket } = await component();
    socket.say(said("hello"));
    assert.deepEqual(shown.value.map((message) => message.text), ["hi", "hello"]);
  });

  test("calls, and is answered", async () => {
    const { say, socket } = await component();
    const answer = say("hello");
    assert.deepEqual(socket.sent.at(-1).data, { text: "hello" });
    socket.answer({ ok: 17 });
    assert.equal(await answer, 17);
  });

  test("leaves with its component", async () => {
    const { unmount, socket } = await component();
    unmount();
    assert.equal(socket.sent.at(-1).leave, NAME);
  });
});

/** One component of React: its hooks by their order, and its effects, which run after each rendering. */
function makeReact() {
  const slots = [];
  const effects = [];
  let at = 0;
  const slot = (make) => slots[at++] ?? (slots[at - 1] = make());
  return {
    useState(first) {
      const state = slot(() => ({ value: first }));
      return [state.value, (next) => (state.value = typeof next === "function" ? next(state.value) : next)];
    },
    useRef: () => slot(() => ({ current: undefined })),
    useEffect: (fn, on) => effects.push({ fn, on, effect: slot(() => ({})) }),
    render(component) {
      at = 0;
      const shown = component();
      for (const { fn, on, effect } of effects.splice(0)) {
        if (JSON.stringify(effect.on) === JSON.stringify(on)) continue;
        effect.end?.();
        Object.assign(effect, { on, end: fn() });
        effect.again = () => (effect.end = fn());
      }
      return shown;
    },
    effects: () => slots.filter(({ end }) => end),
  };
}

describe("React", () => {
  const text = code("docs/howto/frameworks", "React");

  const component = async () => {
    const react = makeReact();
    const { useEffect, useRef, useState } = react;
    const useTicket = run(text, { useEffect, useRef, useState }, "useTicket");
    react.render(() => useTicket(5));
    const socket = await world.open();
    socket.answer(JOINED);
    return { react, socket, render: (pk = 5) => react.render(() => useTicket(pk)) };
  };

  test("shows the state, and what is said", async () => {
    const { socket, render } = await component();
    socket.say(said("hello"));
    assert.deepEqual(render().said.map((message) => message.text), ["hi", "hello"]);
  });

  test("calls, and is answered", async () => {
    const { socket, render } = await component();
    const answer = render().say("hello");
    assert.deepEqual(socket.sent.at(-1).data, { text: "hello" });
    socket.answer({ ok: 17 });
    assert.equal(await answer, 17);
  });

  test("joins the other room when the number changes", async () => {
    const { socket, render } = await component();
    socket.take();
    render(6);
    assert.deepEqual(socket.take().map(({ leave, join }) => leave ?? join), [NAME, "tickets/6"]);
  });

  test("in StrictMode is one member in the end", async () => {
    const { react, socket } = await component();
    const [effect] = react.effects();
    effect.end();
    effect.again();
    assert.deepEqual(socket.take().map(({ leave, join }) => leave ?? join).slice(-2), [NAME, NAME]);
    effect.end();
    assert.equal(socket.take().at(-1).leave, NAME);
  });
});

describe("progress", () => {
  const page = async (heading, around, result) => {
    const made = run(code("docs/howto/progress", heading), around, result);
    const socket = await world.open();
    socket.answer({ ok: { room: "imports/5", recovered: false } });
    return { made, socket };
  };

  test("moves a bar, and shows what has ended it", async () => {
    const [bar, problem] = [{}, {}];
    const { made: send, socket } = await page("Answers in parts", { bar, problem }, "send");
    const done = send(["a", "b"]);
    const { id, event, data } = socket.sent.at(-1);
    assert.deepEqual([event, data], ["run", { rows: ["a", "b"] }]);
    socket.say({ id, item: { done: 1, of: 2 } });
    await world.settle();
    assert.deepEqual(bar, { max: 2, value: 1 });
    socket.say({ id, error: { code: "empty_row", message: "Row 2 is empty." } });
    await done;
    assert.equal(problem.textContent, "Row 2 is empty.");
  });

  test("marks where others are, and says where one is", async () => {
    const marks = [];
    const list = {};
    const { socket } = await page("What others do", { mark: (...args) => marks.push(args), list });
    socket.say({ room: "imports/5", event: "looking", data: { row: 3 }, from: "18" });
    assert.deepEqual(marks, [[3, "18"]]);
    const done = list.onpointerover({ target: { dataset: { row: "4" } } });
    assert.deepEqual([socket.sent.at(-1).event, socket.sent.at(-1).data], ["looking", { row: 4 }]);
    socket.answer({ error: { code: "rate_limited", message: "too many events", retry: true } });
    await done;
  });
});

describe("history", () => {
  const text = code("docs/howto/history", "Start from a page");

  /** The list that Django has rendered, with one line. */
  const page = async (since) => {
    const lines = [{ id: "said-1", textContent: "ada: hi" }];
    const list = {
      dataset: { room: NAME, since },
      append: (line) => void lines.push(line),
      replaceChildren: () => void lines.splice(0),
    };
    const document = {
      createElement: () => ({}),
      getElementById: (id) => (id === "said" ? list : lines.find((line) => line.id === id)),
    };
    run(text, { document });
    const socket = await world.open();
    return { socket, shown: () => lines.map((line) => line.textContent) };
  };
  const event = (pk, words) => ({ room: NAME, event: "said", data: { pk, who: "bob", text: words } });

  test("goes on from where the page was rendered, and shows nothing twice", async () => {
    const { socket, shown } = await page("e:1");
    assert.equal(socket.sent.at(-1).since, "e:1");
    socket.answer({ ok: { room: NAME, at: "e:1", recovered: true, to: "e:3" } });
    socket.say({ ...event(1, "again"), at: "e:2" });
    socket.say({ ...event(2, "new"), at: "e:3" });
    assert.deepEqual(shown(), ["ada: hi", "bob: new"]);
  });

  test("starts from the state where it cannot, and where it has no position", async () => {
    const { socket, shown } = await page("");
    assert.ok(!("since" in socket.sent.at(-1)));
    socket.answer({ ok: { room: NAME, at: "e:9", recovered: false, state: [{ pk: 7, who: "bob", text: "state" }] } });
    socket.say({ ...event(7, "state"), at: "e:10" });
    assert.deepEqual(shown(), ["bob: state"]);
  });
});

describe("keyed rooms", () => {
  const text = code("docs/howto/keyed-rooms", "In a page");

  test("show the newest value of each key", async () => {
    const rows = [];
    const table = {
      dataset: { room: "prices/spot" },
      replaceChildren: () => void rows.splice(0),
      insertRow: () => {
        const cells = [];
        rows.push(cells);
        return { insertCell: () => cells[cells.push({}) - 1] };
      },
    };
    run(text, { document: { getElementById: () => table } });
    const shown = () => rows.map((cells) => cells.map((cell) => cell.textContent));
    const socket = await world.open();
    socket.answer({ ok: { room: "prices/spot", recovered: false, state: { BTC: { bid: 1, ask: 2 } } } });
    assert.deepEqual(shown(), [["BTC", 1, 2]]);
    socket.say({ room: "prices/spot", key: "ETH", data: { bid: 5, ask: 6 } });
    socket.say({ room: "prices/spot", key: "BTC", data: { bid: 3, ask: 4 } });
    assert.deepEqual(shown(), [["BTC", 3, 4], ["ETH", 5, 6]]);
    socket.say({ room: "prices/spot", key: "BTC", removed: true });
    assert.deepEqual(shown(), [["ETH", 5, 6]]);
  });
});

describe("presence", () => {
  const text = code("docs/howto/presence", "In a page");
  const person = (name, more = {}, connections = 1) => ({ meta: { name, is_away: false, ...more }, connections });

  test("is a list of names, with who is away and who is typing", async () => {
    let items = [];
    const list = { dataset: { room: NAME }, replaceChildren: (...given) => void (items = given) };
    const document = { getElementById: () => list, createElement: () => ({}) };
    run(text, { document });
    const shown = () => items.map(({ textContent, className, title }) => [textContent, className, title].join("|"));
    const socket = await world.open();
    socket.answer({ ok: { room: NAME, recovered: false, present: { 5: person("ada") }, v: 1 } });
    assert.deepEqual(shown(), ["ada||"]);
    const change = (presence, v) => socket.say({ room: NAME, presence: { joined: {}, left: [], changed: {}, ...presence }, v });
    change({ joined: { 6: person("bob") } }, 2);
    socket.say({ room: NAME, event: "typing", data: { is_typing: true }, from: "6" });
    assert.deepEqual(shown(), ["ada||", "bob is typing||"]);
    change({ changed: { 5: person("ada", { is_away: true }, 2) } }, 3);
    assert.deepEqual(shown(), ["ada|away|2 pages", "bob is typing||"]);
    socket.say({ room: NAME, event: "typing", data: { is_typing: false }, from: "6" });
    assert.deepEqual(shown(), ["ada|away|2 pages", "bob||"]);
    socket.say({ room: NAME, event: "typing", data: { is_typing: true }, from: "6" });
    change({ left: ["6"] }, 4);
    change({ joined: { 6: person("bob") } }, 5);
    assert.deepEqual(shown(), ["ada|away|2 pages", "bob||"]);
  });
});

describe("htmx", () => {
  const text = code("docs/howto/htmx", "Over a live room");

  const page = async () => {
    const swapped = [];
    let isReset = false;
    const form = { elements: { text: { value: "tea" } }, reset: () => (isReset = true) };
    const problem = {};
    const document = { body: "body", getElementById: (id) => ({ form, problem })[id] };
    run(text, { document, htmx: { swap: (...args) => swapped.push(args) } });
    const socket = await world.open();
    socket.answer({ ok: { room: "lines/kitchen", recovered: false } });
    const submit = () => form.onsubmit({ preventDefault() {} });
    return { swapped, problem, socket, submit, isReset: () => isReset };
  };

  test("swaps the fragments of the room", async () => {
    const { swapped, socket } = await page();
    socket.say({ room: "lines/kitchen", event: "line", data: { html: "<li>" } });
    assert.deepEqual(swapped, [["body", "<li>", { swapStyle: "none" }]]);
  });

  test("calls with the form, and clears it", async () => {
    const { socket, submit, isReset } = await page();
    const done = submit();
    assert.deepEqual([socket.sent.at(-1).event, socket.sent.at(-1).data], ["add", { text: "tea" }]);
    socket.answer({ ok: null });
    await done;
    assert.ok(isReset());
  });

  test("shows the problem of the field", async () => {
    const { problem, socket, submit, isReset } = await page();
    const done = submit();
    socket.answer({ error: { code: "invalid", message: "text: too short", fields: { text: ["too short"] } } });
    await done;
    assert.deepEqual([String(problem.textContent), isReset()], ["too short", false]);
  });
});

test("a token is fetched, and said in the hello", async () => {
  run(code("docs/howto/tokens", "Log in with a token"), { fetch: async (path) => ({ text: async () => `of ${path}` }) });
  await world.settle();
  world.socket.open();
  assert.equal(world.socket.url, "wss://desk.example.org/ws/live");
  assert.equal(world.socket.sent[0].hello.token, "of /live-token/");
});

test("the README shows the state, what is said, and calls", async () => {
  const shown = [];
  const note = (...args) => shown.push(args);
  const done = run(code("README", "Live rooms"), { render: note, append: note }, undefined, AsyncFunction);
  const socket = await world.open();
  socket.answer(JOINED);
  socket.say(said("hello"));
  assert.deepEqual(shown, [[JOINED.ok.state], ["ada", "hello"]]);
  assert.deepEqual(socket.sent.at(-1).data, { text: "hello" });
  socket.answer({ ok: 17 });
  await done;
});
