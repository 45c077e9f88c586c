/** The connection: states, backoff, tokens, pages that come and go, laptops that sleep. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { connect } from "../../django_fastws/static/django_fastws/fastws.js";
import { FakeSocket, client, openClient, useWorld, world } from "./world.js";

useWorld();

const PING = { ping: 25, version: "1" };

// Every state, and how to get there. With a token, the client has one to ask for.
const STATES = {
  async token() {
    const started = client({ token: () => new Promise(() => {}) });
    await world.settle();
    return started;
  },
  async connecting() {
    const started = client();
    await world.settle();
    return started;
  },
  async greeting() {
    const started = await STATES.connecting();
    world.socket.open();
    return started;
  },
  open: () => openClient(),
  async waiting() {
    const started = await openClient();
    world.socket.drop();
    return started;
  },
  async hidden() {
    const started = await openClient();
    await world.happen("pagehide");
    return started;
  },
  async closed() {
    const started = await openClient();
    started.live.close();
    return started;
  },
};

const hello = (answer) => () => world.socket.answer(answer);
const closed =
  (code, reason = "") =>
  () =>
    world.socket.drop(code, reason);

// Every event, and the state after it in the order of STATES. Of "-", nothing can happen there.
// What a former socket says or does is ignored: see the last three columns.
const TABLE = [
  // event, what happens, token, connecting, greeting, open, waiting, hidden, closed
  ["the socket opens", () => world.socket.open(), "- connecting - - waiting waiting closed"],
  ["hello is answered", hello({ ok: PING }), "- - open - - - -"],
  ["hello is forbidden", hello({ error: { code: "forbidden" } }), "- - waiting - - - -"],
  ["hello has a bad token", hello({ error: { code: "unauthenticated" } }), "- - closed - - - -"],
  ["hello fails", hello({ error: { code: "unavailable" } }), "- - waiting - - - -"],
  ["the server pings", () => world.socket.say({ ping: 1 }), "- connecting connecting open waiting waiting closed"],
  ["it closes with 1000", closed(1000), "- waiting waiting waiting waiting waiting closed"],
  ["it closes with 1001", closed(1001), "- waiting waiting waiting waiting waiting closed"],
  ["it is cut", closed(1006), "- waiting waiting waiting waiting waiting closed"],
  ["it closes with 1008", closed(1008), "- closed closed closed waiting waiting closed"],
  ["it closes with 1011", closed(1011), "- waiting waiting waiting waiting waiting closed"],
  ["it restarts", closed(1012, "service restart;8000"), "- waiting waiting waiting waiting waiting closed"],
  ["it closes with 1013", closed(1013), "- waiting waiting waiting waiting waiting closed"],
  ["it closes with 4000", closed(4000), "- waiting waiting waiting waiting waiting closed"],
  ["it closes with 4399", closed(4399), "- waiting waiting waiting waiting waiting closed"],
  ["it closes with 4400", closed(4400), "- closed closed closed waiting waiting closed"],
  ["it closes with 4401", closed(4401), "- closed closed closed waiting waiting closed"],
  ["it closes with 4499", closed(4499), "- closed closed closed waiting waiting closed"],
  ["it closes with 4500", closed(4500), "- waiting waiting waiting waiting waiting closed"],
  ["249 ms pass", () => world.advance(249), "token connecting connecting open waiting waiting closed"],
  ["250 ms pass", () => world.advance(250), "token connecting connecting open connecting waiting closed"],
  ["35 s pass", () => world.advance(35_000), "waiting waiting waiting waiting connecting waiting closed"],
  ["the page is online", () => world.happen("online"), "token connecting connecting open connecting connecting closed"],
  ["the page is shown", () => world.happen("pageshow"), "token connecting connecting open connecting connecting closed"],
  [
    "the tab is looked at",
    () => world.happen("visibilitychange"),
    "token connecting connecting open connecting connecting closed",
  ],
  [
    "the tab is hidden",
    () => world.happen("visibilitychange", "hidden"),
    "token connecting connecting open waiting waiting closed",
  ],
  ["the page is left", () => world.happen("pagehide"), "waiting waiting waiting waiting waiting waiting closed"],
  ["it is closed here", (live) => live.close(), "closed closed closed closed closed closed closed"],
];

for (const [event, happen, row] of TABLE) {
  describe(event, () => {
    for (const [index, expected] of row.split(" ").entries()) {
      const state = Object.keys(STATES)[index];
      if (expected === "-") continue;
      test(`${state} → ${expected}`, async () => {
        const { live, states } = await STATES[state]();
        const before = states.length;
        await happen(live);
        await world.settle();
        assert.equal(live.status.state, expected === "token" ? "connecting" : expected);
        if (states.length > before) assert.deepEqual(states.at(-1), live.status, "the listener has the last status");
        assert.ok(world.sockets.filter(({ closed }) => !closed).length <= 1, "one socket at most is not closed");
        assert.deepEqual(world.reported, []);
      });
    }
  });
}

test("it connects to /ws/live of this host, offers fastws.v1.json, and says hello before anything else", async () => {
  const { live, states } = client();
  live.join("lobby");
  assert.deepEqual([live.status, world.sockets.length], [{ state: "connecting" }, 0]);
  await world.settle();
  assert.equal(world.socket.url, "wss://example.org/ws/live");
  assert.deepEqual(world.socket.protocols, ["fastws.v1.json"]);
  world.socket.open();
  const [frame, ...others] = world.socket.take();
  assert.deepEqual(others, []);
  assert.deepEqual(Object.keys(frame), ["hello", "id"]);
  assert.match(frame.hello.client, /^c-[\d-]{5,60}$/);
  world.socket.say({ id: frame.id, ok: PING });
  assert.deepEqual(world.socket.take().map(({ join }) => join), ["lobby"]);
  assert.deepEqual(states, [{ state: "connecting" }, { state: "open" }]);
});

test("a URL may be relative, absolute, http or ws, and a wrong one is an error at once", async () => {
  const urls = {
    "/live": "wss://example.org/live",
    "live?x=1": "wss://example.org/desk/live?x=1",
    "http://other.example/ws": "ws://other.example/ws",
    "https://other.example/ws": "wss://other.example/ws",
    "ws://127.0.0.1:8000/ws/live": "ws://127.0.0.1:8000/ws/live",
  };
  for (const [url, expected] of Object.entries(urls)) {
    client({}, url);
    await world.settle();
    assert.equal(world.socket.url, expected);
  }
  client({}, new URL("wss://example.net/x"));
  await world.settle();
  assert.equal(world.socket.url, "wss://example.net/x");
  assert.throws(() => connect("ws://[", { WebSocket: FakeSocket }), TypeError);
});

for (const [name, url, options] of [
  ["a URL with another scheme", "ftp://example.org/ws/live", {}],
  ["a URL without a host", "mailto:live@example.org", {}],
  ["a class that is none", undefined, { WebSocket: null }],
]) {
  test(`${name} can never be connected to: it is closed, says why, and is reported once`, async () => {
    const { live, states } = client(options, url);
    const call = live.join("lobby").call("say").catch(({ code }) => code);
    await world.settle();
    const { state, code, reason } = states.at(-1);
    assert.deepEqual([state, code, world.reported.length], ["closed", 4400, 1]);
    assert.equal(reason, String(world.reported[0]));
    assert.match(reason, url ? /^SyntaxError: the scheme of (ftp|mailto):.* is not allowed$/ : /^TypeError: /);
    assert.equal(await call, "unavailable");
    await world.happen("online");
    await world.advance(60_000);
    assert.deepEqual([states.length, world.sockets.length, world.timers, world.reported.length], [2, 0, 0, 1]);
  });
}

test("other subprotocols may be offered", async () => {
  client({ protocols: ["fastws.v1.json", "mine"] });
  await world.settle();
  assert.deepEqual(world.socket.protocols, ["fastws.v1.json", "mine"]);
});

test("without page, location and reportError, as in Node, it works too", async (t) => {
  for (const name of ["location", "document", "addEventListener", "removeEventListener", "reportError"]) {
    delete globalThis[name];
  }
  const { error } = console;
  t.after(() => (console.error = error));
  const errors = [];
  console.error = (...args) => errors.push(args);
  const { live } = client({}, "ws://127.0.0.1/ws/live");
  live.on("news", () => {
    throw new Error("on purpose");
  });
  await world.open();
  world.socket.say({ event: "news", data: 1 });
  assert.equal(errors[0][0].message, "on purpose");
  live.close();
  assert.equal(live.status.state, "closed");
  assert.throws(() => connect("/ws/live", { WebSocket: FakeSocket }), TypeError);
});

test("the client id stays the same over reconnects, and every client has its own", async () => {
  const ids = [];
  client();
  for (let turn = 0; turn < 3; turn++) {
    await world.settle();
    world.socket.open();
    ids.push(world.socket.sent[0].hello.client);
    world.socket.drop();
    await world.advance(20_000);
  }
  client();
  await world.settle();
  world.socket.open();
  assert.deepEqual([new Set(ids).size, ids.includes(world.socket.sent[0].hello.client)], [1, false]);
});

test("a client id that is forbidden is changed for another", async () => {
  client();
  await world.settle();
  world.socket.open();
  const first = world.socket.sent[0].hello.client;
  world.socket.answer({ error: { code: "forbidden" } });
  await world.advance(250);
  world.socket.open();
  assert.notEqual(world.socket.sent[0].hello.client, first);
});

describe("waiting", () => {
  test("is a random part of half a second, doubled up to 20 s, as long as nothing is stable", async () => {
    world.random = 0.999999;
    const { states } = client();
    for (let turn = 0; turn < 9; turn++) {
      await world.settle();
      world.socket.drop();
      await world.advance(20_000);
    }
    const waits = states.filter(({ state }) => state === "waiting").map(({ retryIn }) => Math.round(retryIn));
    assert.deepEqual(waits, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 20_000, 20_000, 20_000]);
    world.random = 0;
    await world.settle();
    world.socket.drop();
    assert.equal(states.at(-1).retryIn, 0);
  });

  test("goes on to grow when the server takes every connection and drops it at once", async () => {
    const { states } = client();
    for (let turn = 0; turn < 5; turn++) {
      await world.open();
      world.socket.drop();
      await world.advance(20_000);
    }
    const waits = states.filter(({ state }) => state === "waiting").map(({ retryIn }) => retryIn);
    assert.deepEqual(waits, [250, 500, 1_000, 2_000, 4_000]);
  });

  test("grows while a server is down, after a connection that was stable", async () => {
    const { live, states } = await openClient();
    await world.advance(6_000);
    for (let turn = 0; turn < 4; turn++) {
      world.socket.drop();
      live.join(`lobby/${turn}`);
      await world.advance(20_000);
    }
    const waits = states.filter(({ state }) => state === "waiting").map(({ retryIn }) => retryIn);
    assert.deepEqual(waits, [250, 500, 1_000, 2_000]);
    assert.equal((await world.open()).sent.length, 4);
  });

  test("starts anew after a connection that was open for more than five seconds", async () => {
    const { states } = client();
    for (let turn = 0; turn < 3; turn++) {
      await world.open();
      await world.advance(5_001);
      world.socket.drop();
      await world.advance(250);
    }
    assert.deepEqual(
      states.filter(({ state }) => state === "waiting").map(({ retryIn }) => retryIn),
      [250, 250, 250],
    );
  });

  for (const event of ["online", "pageshow", "visibilitychange"]) {
    test(`is over with ${event}, and the next starts anew`, async () => {
      const { states } = client();
      for (let turn = 0; turn < 6; turn++) {
        await world.settle();
        world.socket.drop();
        if (turn < 5) await world.advance(20_000);
      }
      assert.equal(states.at(-1).retryIn, 8_000);
      await world.happen(event);
      assert.equal(states.at(-1).state, "connecting");
      world.socket.drop();
      assert.equal(states.at(-1).retryIn, 250);
      const { length } = world.sockets;
      await world.advance(8_000);
      assert.equal(world.sockets.length, length + 1, "the former wait starts nothing");
    });

    test(`that ${event} has ended starts no second connection`, async () => {
      const { live } = await openClient();
      world.socket.drop();
      await world.happen(event);
      await world.open();
      await world.advance(20_000);
      assert.deepEqual([live.status.state, world.sockets.length], ["open", 2]);
    });
  }

  const WINDOWS = {
    "service restart;8000": 4_000,
    "service restart;0": 0,
    "service restart;120000": 60_000,
    "service restart": 250,
    "service restart;": 250,
    "service restart;8 s": 250,
    "service restart;-1": 250,
    "service restart;99999999999": 250,
    "the service restart;8000": 250,
  };
  for (const [reason, expected] of Object.entries(WINDOWS)) {
    test(`after "${reason}" is ${expected} ms in the middle`, async () => {
      const { socket, states } = await openClient();
      socket.drop(1012, reason);
      assert.deepEqual(states.at(-1), { state: "waiting", retryIn: expected });
    });
  }

  test("for an announced restart is for the first reconnect alone", async () => {
    const { socket, states } = await openClient();
    socket.drop(1012, "service restart;8000");
    await world.advance(4_000);
    world.socket.drop(1006);
    assert.equal(states.at(-1).retryIn, 250);
  });

  test("spreads 1,000 clients evenly over the window that was announced", async () => {
    let seed = 1;
    world.random = () => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647;
    const starts = [];
    const start = world.now;
    class Counted extends FakeSocket {
      constructor(...args) {
        super(...args);
        starts.push(world.now - start);
      }
    }
    for (let number = 0; number < 1_000; number++) client({ WebSocket: Counted });
    await world.settle();
    for (const socket of [...world.sockets]) {
      socket.open();
      socket.answer({ ok: PING });
    }
    starts.length = 0;
    for (const socket of [...world.sockets]) socket.drop(1012, "service restart;8000");
    await world.advance(8_000);
    assert.equal(starts.length, 1_000);
    assert.ok(Math.max(...starts) <= 8_000);
    const seconds = Array.from({ length: 8 }, (_, second) => starts.filter((at) => Math.floor(at / 1_000) === second));
    for (const { length } of seconds) assert.ok(length > 90 && length < 160, `${length} of 125 in one second`);
  });
});

describe("a token", () => {
  /** A client with tokens t1, t2 and so on, and how many it has asked for. */
  function tokenClient() {
    const asked = [];
    const token = async () => `t${asked.push(asked.length)}`;
    return { ...client({ token }), asked };
  }

  test("is in hello, and is kept over reconnects", async () => {
    const { asked } = tokenClient();
    for (let turn = 0; turn < 3; turn++) {
      await world.settle();
      world.socket.open();
      assert.equal(world.socket.sent[0].hello.token, "t1");
      world.socket.answer({ ok: PING });
      world.socket.drop();
      await world.advance(20_000);
    }
    assert.equal(asked.length, 1);
    assert.ok(!world.socket.url.includes("t1"));
  });

  const REFUSALS = {
    "the close code 4401": () => world.socket.drop(4401, "token expired"),
    "the answer to hello": () => world.socket.answer({ error: { code: "unauthenticated", message: "token expired" } }),
  };
  for (const [name, refuse] of Object.entries(REFUSALS)) {
    test(`that is refused by ${name} is asked for again, once, and tried at once`, async () => {
      const { states, asked } = tokenClient();
      await world.settle();
      world.socket.open();
      refuse();
      await world.settle();
      assert.deepEqual([asked.length, states.at(-1).state, world.sockets.length], [2, "connecting", 2]);
      world.socket.open();
      assert.equal(world.socket.sent[0].hello.token, "t2");
      refuse();
      await world.settle();
      assert.deepEqual(states.at(-1), { state: "closed", code: 4401, reason: "token expired" });
      assert.deepEqual([asked.length, world.sockets.length], [2, 2]);
    });
  }

  test("that was good for a while may be refused again later", async () => {
    const { states, asked } = tokenClient();
    for (let turn = 1; turn <= 4; turn++) {
      await world.open();
      await world.advance(6_000);
      world.socket.drop(4401);
      await world.settle();
      assert.deepEqual([asked.length, states.at(-1).state], [turn + 1, "connecting"]);
    }
  });

  test("that is taken and refused a moment later does not make a loop", async () => {
    const { states, asked } = tokenClient();
    for (let turn = 0; turn < 2; turn++) {
      await world.open();
      world.socket.drop(4401);
      await world.settle();
    }
    assert.deepEqual([asked.length, states.at(-1).state], [2, "closed"]);
  });

  test("that cannot be had is reported and waited for like a connection", async () => {
    let failing = true;
    const token = () => (failing ? Promise.reject(new Error("offline")) : "t");
    const { states } = client({ token });
    await world.settle();
    assert.deepEqual(states.at(-1), { state: "waiting", retryIn: 250 });
    assert.equal(world.reported[0].message, "offline");
    failing = false;
    await world.advance(250);
    world.socket.open();
    assert.equal(world.socket.sent[0].hello.token, "t");
  });

  test("that comes too late is not used for a second connection", async () => {
    const resolves = [];
    const { live } = client({ token: () => new Promise((resolve) => resolves.push(resolve)) });
    await world.advance(35_250); // silent for too long, and asked for again
    assert.equal(resolves.length, 2);
    resolves[1]("second");
    await world.settle();
    resolves[0]("first");
    await world.settle();
    assert.equal(world.sockets.length, 1);
    live.close();

    client({ token: () => new Promise((resolve) => resolves.push(resolve)) }).live.close();
    resolves.at(-1)?.("late");
    await world.settle();
    assert.equal(world.sockets.length, 1);
  });

  test("is not asked for by a client that was closed at once", async () => {
    const { live, asked } = tokenClient();
    live.close();
    await world.settle();
    assert.deepEqual([asked.length, world.sockets.length], [0, 0]);
  });
});

describe("a dead connection", () => {
  test("is noticed when no frame has come for the ping and ten seconds", async () => {
    const { live, states } = client();
    await world.open({ ping: 5 });
    await world.advance(14_000);
    world.socket.say({ ping: 1 });
    await world.advance(14_999);
    assert.equal(live.status.state, "open");
    await world.advance(1);
    assert.deepEqual([states.at(-1).state, world.sockets[0].closed], ["waiting", [1000]]);
  });

  test("is not suspected where the server does not ping", async () => {
    const { live } = client();
    await world.open({ version: "1" });
    await world.advance(3_600_000);
    assert.deepEqual([live.status.state, world.timers], ["open", 0]);
  });

  test("is noticed though the clock was set back, by a year, meanwhile", async () => {
    const { live, socket } = await openClient();
    world.sleep(-365 * 86_400_000);
    await world.happen("visibilitychange");
    assert.equal(world.timers, 1);
    await world.advance(34_999);
    assert.deepEqual([live.status.state, socket.closed], ["open", undefined]);
    await world.advance(1);
    assert.equal(live.status.state, "waiting");
  });

  test("is waited for without a turn of the timer where the server pings once in a year", async () => {
    const { live } = client();
    await world.open({ ping: 365 * 86_400 });
    let looks = 0;
    const now = Date.now;
    Date.now = () => (looks++, now());
    await world.advance(1_000);
    Date.now = now;
    assert.deepEqual([live.status.state, looks], ["open", 0]);
  });

  for (const event of ["online", "pageshow", "visibilitychange"]) {
    test(`of a laptop that has slept is noticed with ${event}, before any timer`, async () => {
      const { live, socket } = await openClient();
      await world.advance(1_000);
      world.sleep(3_600_000);
      await world.happen(event);
      assert.deepEqual([live.status.state, socket.closed], ["waiting", [1000]]);
    });
  }

  test("of a laptop that has slept is noticed by the timer that is due", async () => {
    const { live } = await openClient();
    world.sleep(3_600_000);
    await world.advance(0);
    assert.equal(live.status.state, "waiting");
  });

  test("is not heard any more, whatever it still says", async () => {
    const { live, socket, states } = await openClient();
    const news = [];
    live.on("news", (data) => news.push(data));
    await world.advance(35_000);
    socket.say({ event: "news", data: 1 });
    socket.drop(4400);
    await world.settle();
    assert.deepEqual([news, states.at(-1).state], [[], "waiting"]);
  });
});

describe("the back/forward cache", () => {
  test("gets a page without a socket or a timer, and it is back at once", async () => {
    const { socket, states } = await openClient();
    await world.happen("pagehide");
    await world.happen("visibilitychange", "hidden"); // in this order, when a page is left
    assert.deepEqual([socket.closed, world.timers, world.sockets.length], [[1000], 0, 1]);
    assert.deepEqual(states.at(-1), { state: "waiting", retryIn: Infinity });
    await world.happen("pageshow");
    await world.open();
    assert.deepEqual(
      states.map(({ state }) => state),
      ["connecting", "open", "waiting", "connecting", "open"],
    );
  });

  test("gets a page whose connection was being made, too", async () => {
    client();
    await world.settle();
    await world.happen("pagehide");
    assert.deepEqual([world.socket.closed, world.timers], [[1000], 0]);
  });
});

describe("a client that is closed", () => {
  test("leaves no socket, timer or listener of the page, and says so once", async () => {
    const { live, socket, states } = await openClient();
    live.close();
    live.close();
    await world.happen("online");
    await world.happen("pageshow");
    assert.deepEqual([socket.closed, world.timers, world.sockets.length], [[1000], 0, 1]);
    assert.deepEqual(
      states.filter(({ state }) => state === "closed"),
      [{ state: "closed", code: 1000, reason: "" }],
    );
  });

  test("by the server has its code and reason", async () => {
    const { socket, states } = await openClient();
    socket.drop(4403, "blocked");
    assert.deepEqual(states.at(-1), { state: "closed", code: 4403, reason: "blocked" });
    await world.advance(60_000);
    assert.equal(world.sockets.length, 1);
  });

  test("by its own listener of the status stays closed", async () => {
    for (const at of ["connecting", "open", "waiting"]) {
      const { live } = client();
      live.on("status", ({ state }) => state === at && live.close());
      await world.settle();
      if (at !== "connecting") {
        await world.open();
        world.socket.drop();
      }
      await world.advance(60_000);
      assert.equal(live.status.state, "closed", at);
      assert.equal(world.timers, 0, at);
    }
  });
});

describe("a listener", () => {
  test("that throws is reported, and neither the others nor the client notice", async () => {
    const { live, socket } = await openClient();
    const heard = [];
    live.on("news", () => {
      throw new Error("on purpose");
    });
    live.on("news", (data) => heard.push(data));
    socket.say({ event: "news", data: 1 });
    socket.say({ event: "news", data: 2 });
    assert.deepEqual(heard, [1, 2]);
    assert.deepEqual(world.reported.map(({ message }) => message), ["on purpose", "on purpose"]);
    assert.equal(live.status.state, "open");
  });

  test("is not called after its end, even if that is in another listener", async () => {
    const { live, socket } = await openClient();
    const heard = [];
    live.on("news", () => end());
    const end = live.on("news", (data) => heard.push(data));
    socket.say({ event: "news", data: 1 });
    assert.deepEqual(heard, []);
  });

  test("that is added twice is two, each with its own end", async () => {
    const { live, socket } = await openClient();
    const heard = [];
    const listener = (data) => heard.push(data);
    const end = live.on("news", listener);
    live.on("news", listener);
    socket.say({ event: "news", data: 1 });
    end();
    end();
    socket.say({ event: "news", data: 2 });
    assert.deepEqual(heard, [1, 1, 2]);
  });

  test("of an event with the name of something in every object is like any other", async () => {
    const { live, socket } = await openClient();
    for (const event of ["__proto__", "constructor", "toString"]) {
      const heard = [];
      live.on(event, (data) => heard.push(data));
      socket.say(`{"event": "${event}", "data": 1}`);
      assert.deepEqual(heard, [1]);
    }
  });
});

describe("frames", () => {
  const IGNORED = {
    "an unknown frame": '{"weather": "fine"}',
    "an unknown frame of a room": '{"room": "tickets/5", "weather": "fine"}',
    "a room that was never joined": '{"room": "other", "event": "said", "data": 1}',
    "an event without a listener": '{"event": "other", "data": 1}',
    "an answer to nothing": '{"id": 99, "ok": 1}',
    "an item of nothing": '{"id": 99, "item": 1}',
    "an error of no call": '{"id": null, "error": {"code": "bad_request"}}',
    "an empty object": "{}",
    "a list": "[]",
    "a number": "1",
  };
  for (const [name, frame] of Object.entries(IGNORED)) {
    test(`${name} is ignored`, async () => {
      const { live, socket } = await openClient();
      live.join("tickets/5");
      socket.answer({ ok: { room: "tickets/5" } });
      socket.say(frame);
      await world.settle();
      assert.deepEqual([live.status.state, world.reported, socket.take()], ["open", [], []]);
    });
  }

  for (const text of ["not JSON", "null", ""]) {
    test(`${JSON.stringify(text)} is reported, and the connection stays`, async () => {
      const { live, socket } = await openClient();
      socket.say(text);
      assert.deepEqual([live.status.state, world.reported.length], ["open", 1]);
    });
  }
});
