/** The page on the client: each block of code does what its section says. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";

import { connect } from "../../django_fastws/static/django_fastws/fastws.js";
import { FakeSocket, client, joinedRoom, useWorld, world } from "./world.js";

useWorld();

const PAGE = readFileSync(new URL("../../docs/reference/javascript-client.md", import.meta.url), "utf8");

/** The blocks of a section, in order: [language, code]. */
function blocks(heading) {
  const section = PAGE.split(/^## /m).find((text) => text.startsWith(`${heading}\n`));
  assert.ok(section, heading);
  return [...section.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(([, language, code]) => [language, code]);
}

const AsyncFunction = (async () => {}).constructor;

/** Run the code of a page with what it has around it; what it imports is there, too. */
function run(code, around = {}) {
  const text = code.replace(/^\s*import .*\n/gm, "");
  return new AsyncFunction(...Object.keys(around), text)(...Object.values(around));
}

/** What a page shows. */
function page() {
  const shown = [];
  const note = (name) => (...args) => void shown.push([name, ...args]);
  return { shown, around: { append: note("append"), render: note("render"), close: note("close") } };
}

async function ticketRoom(ok = {}) {
  const { shown, around } = page();
  const { live, socket, room } = await joinedRoom("tickets/5", ok);
  return { shown, around: { ...around, live, ticket: room }, live, socket, ticket: room };
}

test("every block is run here", () => {
  const sections = ["Import", "`connect(url?, options?)`", "Status", "Rooms", "Resuming", "Calls", "Streams", "Events of the server"];
  const ours = sections.flatMap(blocks).length;
  assert.equal([...PAGE.matchAll(/^```\w+$/gm)].length, ours);
});

describe("import", () => {
  const [[, inTheTemplate], [, mapped]] = blocks("Import");

  test("from a template joins a room", async () => {
    const { shown, around } = page();
    const [, code] = /<script type="module">(.*)<\/script>/s.exec(inTheTemplate);
    assert.match(code, /^\s*import \{ connect \} from "\{% static 'django_fastws\/fastws\.js' %\}";$/m);
    await run(code, { ...around, connect: () => connect(undefined, { WebSocket: FakeSocket }) });
    const socket = await world.open();
    socket.answer({ ok: { room: "tickets/5", recovered: false } });
    socket.say({ room: "tickets/5", event: "said", data: { who: "ada", text: "hi" } });
    assert.deepEqual([socket.url, shown], ["wss://example.org/ws/live", [["append", "ada", "hi"]]]);
  });

  test("by a map is JSON, and has a name for the file", () => {
    const [, map] = /<script type="importmap">(.*?)<\/script>/s.exec(mapped);
    assert.deepEqual(JSON.parse(map), { imports: { "django-fastws": "{% static 'django_fastws/fastws.js' %}" } });
  });

  test("by that name is what the package is called", () => {
    const folder = new URL("../../django_fastws/static/django_fastws/package.json", import.meta.url);
    assert.equal(JSON.parse(readFileSync(folder, "utf8")).name, "django-fastws");
  });
});

test("connect asks for a token", async () => {
  const [[, code]] = blocks("`connect(url?, options?)`");
  const fetch = async (path) => ({ text: async () => `token of ${path}` });
  const given = (url, options) => connect(url, { ...options, WebSocket: FakeSocket });
  await run(code, { connect: given, fetch });
  await world.settle();
  world.socket.open();
  assert.equal(world.socket.url, "wss://desk.example.org/ws/live");
  assert.equal(world.socket.sent[0].hello.token, "token of /live-token/");
});

test("the status is shown, and the log-in asked for", async () => {
  const [[, code]] = blocks("Status");
  const { live } = client();
  const banner = {};
  const went = [];
  const seen = [];
  run(code, { live, banner, location: { assign: (path) => went.push(path) } });
  live.on("status", () => seen.push(banner.textContent));
  await world.open();
  world.socket.drop(1012, "service restart;8000");
  await world.advance(4000);
  world.socket.drop(4401, "logged out");
  assert.deepEqual(seen, ["connecting", "", "Connecting again in 4 s", "connecting", "closed"]);
  assert.deepEqual(went, ["/accounts/login/"]);
});

describe("a room", () => {
  const [[, code]] = blocks("Rooms");

  const joined = async () => {
    const { shown, around } = page();
    const { live } = client();
    await run(code, { ...around, live });
    return { shown, live, socket: await world.open() };
  };

  test("is rendered from its state and its events, until it is left", async () => {
    const { shown, socket } = await joined();
    socket.answer({ ok: { room: "tickets/5", recovered: false, state: ["hi"] } });
    socket.say({ room: "tickets/5", event: "said", data: { who: "ada", text: "hello" } });
    socket.say({ room: "tickets/5", left: { code: 4403, reason: "kicked" } });
    assert.deepEqual(shown, [["render", ["hi"]], ["append", "ada", "hello"], ["close", "kicked"]]);
  });

  test("says why it was refused", async () => {
    const { shown, socket } = await joined();
    socket.answer({ error: { code: "forbidden", message: "not yours", retry: false } });
    assert.deepEqual(shown, [["close", "not yours"]]);
  });
});

describe("resuming", () => {
  const [[, inTheTemplate], [, keeping]] = blocks("Resuming");
  const NAME = "tickets/5";
  const said = (at, text) => ({ room: NAME, event: "said", data: { who: "ada", text }, at });

  /** The page as Django has rendered it, with a position. */
  async function rendered(since) {
    const { shown, around } = page();
    const [, script] = /<script type="module">(.*)<\/script>/s.exec(inTheTemplate);
    const [, id, attribute] = /<ul id="(\w+)" data-(\w+)="\{% room_position 'tickets\/5' %\}">/.exec(inTheTemplate);
    const document = { getElementById: (wanted) => wanted === id && { dataset: { [attribute]: since } } };
    await run(script, { ...around, document, connect: () => connect(undefined, { WebSocket: FakeSocket }) });
    return { shown, socket: await world.open() };
  }

  test("from the page begins with what was said since", async () => {
    const { shown, socket } = await rendered("e:3");
    assert.equal(socket.sent[0].since, "e:3");
    socket.answer({ ok: { room: NAME, at: "e:3", recovered: true, to: "e:4" } });
    socket.say(said("e:4", "hi"));
    assert.deepEqual(shown, [["append", "ada", "hi"]]);
  });

  for (const since of ["e:3", ""]) {
    test(`from the page, at ${JSON.stringify(since)}, begins with the state if it must`, async () => {
      const { shown, socket } = await rendered(since);
      socket.answer({ ok: { room: NAME, at: "e:9", recovered: false, state: ["hi"] } });
      socket.say(said("e:10", "hello"));
      assert.deepEqual(shown, [["render", ["hi"]], ["append", "ada", "hello"]]);
    });
  }

  test("from what was kept goes on in another page", async () => {
    const kept = new Map();
    const sessionStorage = { getItem: (key) => kept.get(key) ?? null, setItem: (key, text) => kept.set(key, text) };
    const visit = async () => {
      const { shown, around } = page();
      const { live } = client();
      await run(keeping, { ...around, live, sessionStorage });
      return { shown, socket: await world.open() };
    };
    const first = await visit();
    assert.deepEqual(first.socket.sent.map((frame) => "since" in frame), [false]);
    first.socket.answer({ ok: { room: NAME, at: "e:3", recovered: false, state: ["hi"] } });
    first.socket.say(said("e:4", "hello"));
    await world.happen("pagehide");
    const hello = { who: "ada", text: "hello" };
    assert.deepEqual(first.shown, [["render", []], ["render", ["hi"]], ["render", ["hi", hello]]]);

    const second = await visit();
    assert.equal(second.socket.sent[0].since, "e:4");
    second.socket.answer({ ok: { room: NAME, at: "e:4", recovered: true, to: "e:5" } });
    second.socket.say(said("e:5", "bye"));
    assert.deepEqual(second.shown, [["render", ["hi", hello]], ["render", ["hi", hello, { who: "ada", text: "bye" }]]]);
  });
});

describe("a call", () => {
  const [[, shows], [, survives]] = blocks("Calls");

  test("shows its answer", async () => {
    const { shown, around, socket } = await ticketRoom();
    const done = run(shows, { ...around, input: { value: "hello" }, problem: {} });
    assert.deepEqual([socket.sent.at(-1).event, socket.sent.at(-1).data], ["say", { text: "hello" }]);
    socket.answer({ ok: 17 });
    await done;
    assert.deepEqual(shown, [["append", "me", "17: hello"]]);
  });

  for (const [fields, expected] of [
    [{ text: ["too long", "too loud"] }, "too long too loud"],
    [undefined, "that is not so"],
  ]) {
    test(`shows its problem: ${expected}`, async () => {
      const { around, socket } = await ticketRoom();
      const problem = {};
      const done = run(shows, { ...around, input: { value: "hello" }, problem });
      socket.answer({ error: { code: "invalid", message: "that is not so", fields } });
      await done;
      assert.equal(problem.textContent, expected);
    });
  }

  test("survives a reconnect, and is asked for again", async () => {
    const { around, socket } = await ticketRoom();
    const done = run(survives, around);
    const [first] = socket.take().slice(-1);
    assert.equal(first.once, true);
    socket.drop();
    await world.advance(20_000);
    await world.open();
    world.socket.answer({ ok: { room: "tickets/5", recovered: false } });
    assert.deepEqual(world.socket.sent, [first]);
    world.socket.answer({ ok: 1 });
    await done;
  });
});

test("a stream is read until it is left, and cancelled then", async () => {
  const [[, code]] = blocks("Streams");
  const { shown, around, socket } = await ticketRoom();
  const done = run(code, around);
  const [{ id }] = socket.take().slice(-1);
  for (const item of ["one", "enough", "three"]) socket.say({ id, item });
  await done;
  assert.deepEqual(shown, [["append", "log", "one"], ["append", "log", "enough"]]);
  assert.deepEqual(socket.take(), [{ cancel: id }]);
});

test("the server tells and asks", async () => {
  const [[, code]] = blocks("Events of the server");
  const { shown, around, socket } = await ticketRoom();
  await run(code, { ...around, window: { confirm: (question) => question === "Sure?" } });
  socket.say({ event: "notice", data: { text: "tea" } });
  socket.say({ ask: 9, event: "confirm", data: { question: "Sure?" } });
  await world.settle();
  assert.deepEqual(shown, [["append", "notice", "tea"]]);
  assert.deepEqual(socket.take(), [{ answer: 9, ok: true }]);
});
