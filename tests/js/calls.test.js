/** Calls, streams, events and asks of the connection, errors. */

import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { describe, test } from "node:test";

import { LiveError } from "../../django_fastws/static/django_fastws/fastws.js";
import { client, ignored, joinedRoom, openClient, outcome, useWorld, world } from "./world.js";

useWorld();

const NAME = "tickets/5";
const UNLIMITED = { timeout: Infinity };

/** Lose the connection, and have another whose room is joined again. */
async function rejoin() {
  world.socket.drop();
  await world.advance(20_000);
  const socket = await world.open();
  socket.answer({ ok: { room: NAME, recovered: false } });
  await world.settle();
  return socket;
}

const calls = (socket) => socket.sent.filter(({ event }) => event);

describe("a call", () => {
  test("is a frame with an id, and its answer is the result", async () => {
    const { socket, room } = await joinedRoom(NAME);
    const call = room.call("say", { text: "hello" });
    await world.settle();
    const [frame] = socket.take();
    assert.deepEqual(frame, { room: NAME, event: "say", data: { text: "hello" }, id: frame.id });
    assert.equal(await outcome(call), "pending");
    socket.say({ id: frame.id, ok: 17 });
    assert.deepEqual(await outcome(call), { value: 17 });
    assert.equal(world.timers, 1, "only that of the connection is left");
  });

  for (const value of [null, 0, false, "", [], {}]) {
    test(`may be answered with ${JSON.stringify(value)}, and may have it as its payload`, async () => {
      const { socket, room } = await joinedRoom(NAME);
      const call = room.call("say", value);
      await world.settle();
      assert.deepEqual(socket.sent[0].data, value);
      socket.answer({ ok: value });
      assert.deepEqual(await outcome(call), { value });
    });
  }

  test("without a payload has an empty one", async () => {
    const { socket, room } = await joinedRoom(NAME);
    ignored(room.call("ping"));
    await world.settle();
    assert.deepEqual(socket.sent[0].data, {});
  });

  test("has the payload of the moment it was made", async () => {
    const { live, socket } = await openClient();
    const data = { text: "before" };
    live.join(NAME).call("say", data, UNLIMITED);
    data.text = "after";
    socket.answer({ ok: { room: NAME } });
    assert.equal(socket.sent[0].data.text, "before");
  });

  test("that cannot be encoded rejects, and nothing is sent", async () => {
    const { socket, room } = await joinedRoom(NAME);
    await assert.rejects(room.call("say", { number: 1n }), TypeError);
    assert.deepEqual([socket.sent, world.timers], [[], 1]);
  });

  test("has ids of its own, and answers may come in any order", async () => {
    const { socket, room } = await joinedRoom(NAME);
    const made = [1, 2, 3].map((number) => room.call("double", { number }));
    await world.settle();
    const frames = socket.take();
    assert.equal(new Set(frames.map(({ id }) => id)).size, 3);
    for (const { id, data } of frames.reverse()) socket.say({ id, ok: data.number * 2 });
    assert.deepEqual(await Promise.all(made), [2, 4, 6]);
  });

  test("that fails rejects with all that the server says", async () => {
    const { socket, room } = await joinedRoom(NAME);
    const call = room.call("say", {});
    await world.settle();
    const fields = { text: ["at most 2000 characters"] };
    const message = "text: at most 2000 characters";
    socket.answer({ error: { code: "invalid", message, fields, retry: false } });
    const error = await call.catch((error) => error);
    assert.ok(error instanceof LiveError && error instanceof Error);
    const { name, code, retry, retryAfter } = error;
    assert.deepEqual([name, code, error.message, error.fields, retry, retryAfter], [
      "LiveError", "invalid", message, fields, false, undefined,
    ]);
  });

  test("that comes too often says when to try again, in milliseconds", async () => {
    const { socket, room } = await joinedRoom(NAME);
    for (const [seconds, expected] of [[1.5, 1_500], [0, 0]]) {
      const call = room.call("say", {});
      await world.settle();
      socket.answer({ error: { code: "rate_limited", message: "", retry: true, retry_after: seconds } });
      const { retry, retryAfter } = await call.catch((error) => error);
      assert.deepEqual([retry, retryAfter], [true, expected]);
    }
  });

  test("has ten seconds, then it is cancelled on the server, too", async () => {
    const { socket, room } = await joinedRoom(NAME);
    const call = room.call("say", {});
    await world.settle();
    const [{ id }] = socket.take();
    await world.advance(9_999);
    assert.equal(await outcome(call), "pending");
    await world.advance(1);
    assert.deepEqual([await outcome(call), socket.take()], ["timeout", [{ cancel: id }]]);
    socket.say({ id, ok: 1 });
    socket.say({ id, error: { code: "cancelled" } });
    assert.deepEqual(world.reported, []);
  });

  test("has another timeout, or none", async () => {
    const { room } = await joinedRoom(NAME);
    const [short, none] = [room.call("say", {}, { timeout: 5 }), room.call("say", {}, UNLIMITED)];
    await world.advance(5);
    assert.equal(await outcome(short), "timeout");
    for (let hour = 0; hour < 100; hour++) {
      world.socket.say({ ping: 1 });
      await world.advance(30_000);
    }
    assert.equal(await outcome(none), "pending");
  });

  test("that may take longer than any timer is not over at once", async () => {
    const { room } = await joinedRoom(NAME);
    const call = room.call("say", {}, { timeout: Number.MAX_SAFE_INTEGER });
    await world.advance(30_000);
    assert.equal(await outcome(call), "pending");
  });

  test("that is aborted is cancelled on the server, too", async () => {
    const { socket, room } = await joinedRoom(NAME);
    const controller = new AbortController();
    const call = room.call("say", {}, { signal: controller.signal });
    await world.settle();
    const [{ id }] = socket.take();
    controller.abort();
    assert.deepEqual([await outcome(call), socket.take()], ["cancelled", [{ cancel: id }]]);
    assert.equal(world.timers, 1);
  });

  test("that was aborted before is not sent", async () => {
    const { socket, room } = await joinedRoom(NAME);
    const call = room.call("say", {}, { signal: AbortSignal.abort() });
    assert.deepEqual([await outcome(call), socket.sent], ["cancelled", []]);
  });

  test("that was answered is not cancelled any more", async () => {
    const { socket, room } = await joinedRoom(NAME);
    const controller = new AbortController();
    const call = room.call("say", {}, { signal: controller.signal });
    await world.settle();
    socket.answer({ ok: 1 });
    assert.deepEqual(getEventListeners(controller.signal, "abort"), []);
    controller.abort();
    await world.advance(10_000);
    assert.deepEqual([await outcome(call), socket.sent], [{ value: 1 }, []]);
  });

  test("of a room that is left meanwhile has its answer", async () => {
    const { socket, room } = await joinedRoom(NAME);
    const call = room.call("say", {});
    await world.settle();
    const [{ id }] = socket.take();
    room.leave();
    socket.say({ id, ok: 1 });
    assert.deepEqual(await outcome(call), { value: 1 });
  });
});

// Every moment of a room, and how to get there.
const MOMENTS = {
  async "before the connection"() {
    const { live } = client();
    await world.settle();
    return { live, room: live.join(NAME) };
  },
  async "before hello is answered"() {
    const { live } = client();
    await world.settle();
    world.socket.open();
    return { live, room: live.join(NAME) };
  },
  async "before the join is answered"() {
    const { live } = await openClient();
    return { live, room: live.join(NAME) };
  },
  async "after a first connection that came to nothing"() {
    const { live } = client();
    const room = live.join(NAME);
    await world.settle();
    world.socket.drop();
    return { live, room };
  },
  joined: () => joinedRoom(NAME),
  async "joined, and there is a gap"() {
    const joined = await joinedRoom(NAME, { at: "e:3" });
    joined.socket.say({ room: NAME, event: "said", data: 1, at: "e:9" });
    return joined;
  },
  async "the connection is lost"() {
    const joined = await joinedRoom(NAME);
    world.socket.drop();
    return joined;
  },
  async "the next one is being made"() {
    const joined = await MOMENTS["the connection is lost"]();
    await world.advance(250);
    return joined;
  },
  async "the next join is not answered"() {
    const joined = await MOMENTS["the next one is being made"]();
    await world.open();
    return joined;
  },
  async "the next join is refused for now"() {
    const joined = await MOMENTS["the next join is not answered"]();
    joined.room.on("error", () => {});
    world.socket.answer({ error: { code: "unavailable", retry: true, retry_after: 60 } });
    return joined;
  },
  async "joined again"() {
    const joined = await joinedRoom(NAME);
    await rejoin();
    return joined;
  },
  async "the page is left"() {
    const joined = await joinedRoom(NAME);
    await world.happen("pagehide");
    return joined;
  },
  async left() {
    const joined = await joinedRoom(NAME);
    joined.room.leave();
    return joined;
  },
  async "left by one, joined by another"() {
    const joined = await joinedRoom(NAME);
    joined.live.join(NAME);
    joined.room.leave();
    return joined;
  },
  async kicked() {
    const joined = await joinedRoom(NAME);
    world.socket.say({ room: NAME, left: { code: 4403, reason: "" } });
    return joined;
  },
  async "kicked while it is joined anew"() {
    const joined = await joinedRoom(NAME);
    joined.live.join(NAME);
    world.socket.say({ room: NAME, left: { code: 4403, reason: "" } });
    return joined;
  },
  async refused() {
    const joined = await MOMENTS["before the join is answered"]();
    joined.room.on("error", () => {});
    world.socket.answer({ error: { code: "forbidden" } });
    return joined;
  },
  async "refused for now"() {
    const joined = await MOMENTS["before the join is answered"]();
    joined.room.on("error", () => {});
    world.socket.answer({ error: { code: "unavailable", retry: true, retry_after: 60 } });
    return joined;
  },
  async closed() {
    const joined = await joinedRoom(NAME);
    joined.live.close();
    return joined;
  },
  async "closed before it was joined"() {
    const joined = await MOMENTS["before the join is answered"]();
    joined.live.close();
    return joined;
  },
};

// What becomes of a call that is made at a moment: a plain one, one with `once`, one with `queue`, and a stream.
const OUTCOMES = [
  ["before the connection", "waits waits waits waits"],
  ["before hello is answered", "waits waits waits waits"],
  ["before the join is answered", "waits waits waits waits"],
  ["after a first connection that came to nothing", "waits waits waits waits"],
  ["joined", "sent sent sent sent"],
  ["joined, and there is a gap", "sent sent sent sent"],
  ["the connection is lost", "unavailable unavailable waits unavailable"],
  ["the next one is being made", "unavailable unavailable waits unavailable"],
  ["the next join is not answered", "unavailable unavailable waits unavailable"],
  ["the next join is refused for now", "unavailable unavailable waits unavailable"],
  ["joined again", "sent sent sent sent"],
  ["the page is left", "unavailable unavailable waits unavailable"],
  ["left", "not_joined not_joined not_joined not_joined"],
  ["left by one, joined by another", "not_joined not_joined not_joined not_joined"],
  ["kicked", "not_joined not_joined not_joined not_joined"],
  ["kicked while it is joined anew", "waits waits waits waits"],
  ["refused", "not_joined not_joined not_joined not_joined"],
  ["refused for now", "waits waits waits waits"],
  ["closed", "unavailable unavailable unavailable unavailable"],
  ["closed before it was joined", "unavailable unavailable unavailable unavailable"],
];
const KINDS = {
  plain: (room) => room.call("say", {}),
  once: (room) => room.call("say", {}, { once: true }),
  queue: (room) => room.call("say", {}, { queue: true }),
  stream: async (room) => room.stream("tail").next(),
};

test("every moment is in the table", () => {
  assert.deepEqual(OUTCOMES.map(([moment]) => moment), Object.keys(MOMENTS));
});

for (const [moment, row] of OUTCOMES) {
  for (const [index, expected] of row.split(" ").entries()) {
    const kind = Object.keys(KINDS)[index];
    test(`${moment}: ${kind} → ${expected}`, async () => {
      const { room } = await MOMENTS[moment]();
      world.socket.take();
      const call = KINDS[kind](room);
      const now = await outcome(call);
      assert.equal(now, ["sent", "waits"].includes(expected) ? "pending" : expected);
      assert.equal(calls(world.socket).length, expected === "sent" ? 1 : 0);
      if (now === "pending" && kind !== "stream") {
        await world.advance(10_000);
        assert.equal(await outcome(call), "timeout");
      }
      assert.deepEqual(world.reported, []);
    });
  }
}

test("what cannot be called because one is out of the room says so in words, for a page to show", async () => {
  const words = { left: "not in the room", kicked: "not in the room" };
  for (const [moment, message] of Object.entries(words)) {
    const { room } = await MOMENTS[moment]();
    await assert.rejects(room.call("say", {}), { code: "not_joined", message });
  }
});

test("a call of a client that is closed is not to be tried again", async () => {
  const { live, room } = await joinedRoom();
  live.close();
  const { code, message, retry } = await room.call("say").catch((error) => error);
  assert.deepEqual([code, message, retry], ["unavailable", "closed", false]);
});

test("a call by who hears that the connection is open again is sent after the join, if it is queued", async () => {
  const { live, room } = await joinedRoom();
  let call;
  let other;
  live.on("status", ({ state }) => {
    if (state !== "open") return;
    call = room.call("say", {}, { queue: true });
    other = room.call("say");
  });
  world.socket.drop();
  await world.advance(250);
  const socket = await world.open();
  assert.deepEqual(socket.sent.map((frame) => frame.join ?? frame.event), [NAME]);
  socket.answer({ ok: { room: NAME } });
  socket.answer({ ok: 7 });
  assert.deepEqual(await outcome(call), { value: 7 });
  assert.equal(await outcome(other), "unavailable");
});

test("a call by who hears the state after a reconnect is sent", async () => {
  const { room } = await joinedRoom();
  let call;
  room.on("state", () => (call = room.call("say")));
  const socket = await rejoin();
  socket.answer({ ok: 7 });
  assert.deepEqual(await outcome(call), { value: 7 });
});

test("a call that is unavailable may be tried again, and the error says so", async () => {
  const { room } = await MOMENTS["the connection is lost"]();
  const { code, retry } = await room.call("say").catch((error) => error);
  assert.deepEqual([code, retry], ["unavailable", true]);
});

describe("a call that waits", () => {
  test("is sent after the join, before its listeners make others, in order", async () => {
    const { live } = client();
    const room = live.join(NAME);
    const call = (number) => ignored(room.call("say", { number }));
    call(1);
    room.on("state", () => call(3));
    call(2);
    const socket = await world.open();
    assert.deepEqual(calls(socket), []);
    socket.answer({ ok: { room: NAME, state: 0 } });
    await world.settle();
    assert.deepEqual(calls(socket).map(({ data }) => data.number), [1, 2, 3]);
    live.join(NAME);
    socket.take().forEach(({ id, join }) => socket.say({ id, ok: join ? { room: NAME } : null }));
    assert.deepEqual(calls(socket).map(({ data }) => data.number), [3], "none is sent twice");
  });

  test("is one of a hundred: the next is unavailable", async () => {
    const { live } = client();
    const room = live.join(NAME);
    const made = Array.from({ length: 101 }, () => room.call("say"));
    assert.equal(await outcome(made[100]), "unavailable");
    assert.equal(await outcome(made[99]), "pending");
    const socket = await world.open();
    socket.answer({ ok: { room: NAME } });
    assert.equal(calls(socket).length, 100);
    for (const { id } of socket.take()) socket.say({ id, ok: null });
    assert.deepEqual(await outcome(made[99]), { value: null });
  });

  test("makes room for others when it ends", async () => {
    const { live } = client();
    const room = live.join(NAME);
    const controller = new AbortController();
    const made = Array.from({ length: 100 }, () => room.call("say", {}, { signal: controller.signal }));
    made.forEach(ignored);
    controller.abort();
    assert.equal(await outcome(made[0]), "cancelled");
    assert.equal(await outcome(room.call("say")), "pending");
    const socket = await world.open();
    socket.answer({ ok: { room: NAME } });
    assert.equal(calls(socket).length, 1);
  });

  for (const [name, end, code] of [
    ["the join is refused", () => world.socket.answer({ error: { code: "forbidden" } }), "forbidden"],
    ["the room is left", (room) => room.leave(), "not_joined"],
    ["the client is closed", (room, live) => live.close(), "unavailable"],
    ["the server closes for good", () => world.socket.drop(4403), "unavailable"],
  ]) {
    test(`rejects with ${code} when ${name}`, async () => {
      const { live, room } = await MOMENTS["before the join is answered"]();
      room.on("error", () => {});
      const call = room.call("say");
      await world.settle();
      end(room, live);
      assert.equal(await outcome(call), code);
      assert.ok(world.timers <= 1);
    });
  }

  test("with queue is sent when the room is joined again", async () => {
    const { room } = await MOMENTS["the connection is lost"]();
    const call = room.call("say", { text: "later" }, { queue: true, timeout: 60_000 });
    await world.advance(250);
    const socket = await world.open();
    socket.answer({ ok: { room: NAME } });
    assert.deepEqual(calls(socket).map(({ data }) => data.text), ["later"]);
    socket.answer({ ok: 1 });
    assert.deepEqual(await outcome(call), { value: 1 });
  });

  test("with queue goes on waiting over further losses", async () => {
    const { room } = await MOMENTS["the connection is lost"]();
    const call = room.call("say", {}, { queue: true, timeout: 60_000 });
    await world.advance(250);
    await world.open();
    assert.equal(await outcome(call), "pending");
    const socket = await rejoin();
    assert.equal(calls(socket).length, 1);
  });
});

// What becomes of a call under way.
const LOSSES = {
  "the connection is cut": () => world.socket.drop(),
  "the server restarts": () => world.socket.drop(1012, "service restart;8000"),
  "the server is silent": async () => {
    world.sleep(3_600_000);
    await world.happen("online");
  },
  "the page is left": () => world.happen("pagehide"),
};

for (const [loss, happen] of Object.entries(LOSSES)) {
  describe(`when ${loss}`, () => {
    for (const options of [{}, { queue: true }]) {
      test(`a call with ${JSON.stringify(options)} under way rejects: it may have happened`, async () => {
        const { room } = await joinedRoom(NAME);
        const call = room.call("say", {}, options);
        await world.settle();
        await happen();
        assert.equal(await outcome(call), "unknown");
        const error = await call.catch((error) => error);
        assert.deepEqual([error.retry, error.fields], [false, {}]);
      });
    }

    test("a call with once is sent again by itself, with the same id", async () => {
      const { socket, room } = await joinedRoom(NAME);
      const call = room.call("say", { text: "hello" }, { once: true, ...UNLIMITED });
      await world.settle();
      const [frame] = socket.take();
      assert.deepEqual([frame.once, typeof frame.id, frame.id.length <= 64], [true, "string", true]);
      await happen();
      await world.happen("pageshow");
      const next = await world.open();
      next.answer({ ok: { room: NAME } });
      assert.deepEqual(calls(next), [frame]);
      next.say({ id: frame.id, ok: 17 });
      assert.deepEqual(await outcome(call), { value: 17 });
    });
  });
}

describe("a call with once", () => {
  test("has an id that no other page has", async () => {
    const ids = [];
    for (let page = 0; page < 2; page++) {
      const { socket, room } = await joinedRoom(NAME);
      room.call("say", {}, { once: true, ...UNLIMITED });
      room.call("say", {}, { once: true, ...UNLIMITED });
      await world.settle();
      ids.push(...calls(socket).map(({ id }) => id));
    }
    assert.equal(new Set(ids).size, 4);
  });

  test("keeps its timeout over a reconnect", async () => {
    const { room } = await joinedRoom(NAME);
    const call = room.call("say", {}, { once: true, timeout: 1_000 });
    await world.advance(600);
    world.socket.drop();
    await world.advance(399);
    assert.equal(await outcome(call), "pending");
    await world.advance(1);
    assert.equal(await outcome(call), "timeout");
    const socket = await world.open();
    socket.answer({ ok: { room: NAME } });
    assert.deepEqual(socket.sent, []);
  });

  for (const [name, end] of Object.entries({
    "the client is closed": (room, live) => live.close(),
    "the room is left": (room) => room.leave(),
    "the join is refused": async () => {
      await world.advance(250);
      await world.open();
      world.socket.answer({ error: { code: "forbidden" } });
    },
  })) {
    test(`that was sent rejects with unknown when ${name} before it is sent again`, async () => {
      const { live, room } = await joinedRoom(NAME);
      room.on("error", () => {});
      const call = room.call("say", {}, { once: true });
      await world.settle();
      world.socket.drop();
      await end(room, live);
      assert.equal(await outcome(call), "unknown");
    });
  }

  test("of a room that was left rejects with unknown when the connection goes", async () => {
    const { room } = await joinedRoom(NAME);
    const call = room.call("say", {}, { once: true });
    await world.settle();
    room.leave();
    world.socket.drop();
    assert.equal(await outcome(call), "unknown");
  });

  test("that is false is none", async () => {
    const { socket, room } = await joinedRoom(NAME);
    room.call("say", {}, { once: false, ...UNLIMITED });
    await world.settle();
    assert.equal(typeof socket.sent[0].id, "number");
  });
});

describe("a stream", () => {
  /** A stream that is under way, and its id. */
  async function streaming(options) {
    const joined = await joinedRoom(NAME);
    const stream = joined.room.stream("history", { limit: 3 }, options);
    await world.settle();
    const [frame] = joined.socket.take();
    return { ...joined, stream, frame, id: frame.id };
  }

  test("is a call whose items are iterated over, to the end", async () => {
    const { socket, stream, frame, id } = await streaming();
    assert.deepEqual(frame, { room: NAME, event: "history", data: { limit: 3 }, id });
    const items = [];
    const loop = (async () => {
      for await (const item of stream) items.push(item);
    })();
    for (const item of [1, null, { a: 1 }]) socket.say({ id, item });
    await world.settle();
    assert.deepEqual([items, await outcome(loop)], [[1, null, { a: 1 }], "pending"]);
    socket.say({ id, item: 4 });
    socket.say({ id, ok: null });
    assert.deepEqual([await outcome(loop), items.at(-1)], [{ value: undefined }, 4]);
    assert.deepEqual([socket.sent, await stream.next()], [[], { value: undefined, done: true }]);
  });

  test("keeps what comes before it is read", async () => {
    const { socket, stream, id } = await streaming();
    for (const item of [1, 2]) socket.say({ id, item });
    socket.say({ id, ok: null });
    await world.settle();
    const items = [];
    for await (const item of stream) items.push(item);
    assert.deepEqual(items, [1, 2]);
  });

  test("has no timeout unless it is given one", async () => {
    const { stream } = await streaming();
    const next = stream.next();
    await world.advance(30_000);
    assert.equal(await outcome(next), "pending");
    const short = await streaming({ timeout: 100 });
    const ends = short.stream.next();
    await world.advance(100);
    assert.deepEqual([await outcome(ends), short.socket.take()], ["timeout", [{ cancel: short.id }]]);
  });

  test("that fails throws after its items, once", async () => {
    const { socket, stream, id } = await streaming();
    socket.say({ id, item: 1 });
    socket.say({ id, error: { code: "failed", message: "" } });
    assert.deepEqual(await stream.next(), { value: 1, done: false });
    assert.equal(await outcome(stream.next()), "failed");
    assert.deepEqual(await stream.next(), { value: undefined, done: true });
  });

  test("that nobody reads fails in silence", async (t) => {
    const unhandled = [];
    const listener = (error) => unhandled.push(error);
    process.on("unhandledRejection", listener);
    t.after(() => process.off("unhandledRejection", listener));
    const { socket, id } = await streaming();
    socket.say({ id, error: { code: "failed" } });
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(unhandled, []);
  });

  test("that is lost throws unknown", async () => {
    const { stream, socket } = await streaming();
    const next = stream.next();
    socket.drop();
    assert.equal(await outcome(next), "unknown");
  });

  test("whose loop is left is cancelled", async () => {
    const { socket, stream, id } = await streaming();
    socket.say({ id, item: 1 });
    socket.say({ id, item: 2 });
    for await (const item of stream) {
      assert.equal(item, 1);
      break;
    }
    assert.deepEqual(socket.take(), [{ cancel: id }]);
    socket.say({ id, item: 3 });
    socket.say({ id, error: { code: "cancelled" } });
    assert.deepEqual([await stream.next(), world.reported], [{ value: undefined, done: true }, []]);
  });

  test("that is returned while it is read ends at once", async () => {
    const { socket, stream, id } = await streaming();
    const reads = [stream.next(), stream.next()];
    assert.deepEqual(await outcome(stream.return("value")), { value: { value: "value", done: true } });
    assert.deepEqual(await Promise.all(reads), Array(2).fill({ value: undefined, done: true }));
    assert.deepEqual(socket.take(), [{ cancel: id }]);
    await stream.return();
    assert.deepEqual(socket.sent, []);
  });

  test("that has ended is not cancelled", async () => {
    const { socket, stream, id } = await streaming();
    socket.say({ id, ok: null });
    await stream.return();
    assert.deepEqual(socket.sent, []);
  });

  test("that is aborted throws, and is cancelled", async () => {
    const controller = new AbortController();
    const { socket, stream, id } = await streaming({ signal: controller.signal });
    const next = stream.next();
    controller.abort();
    assert.deepEqual([await outcome(next), socket.take()], ["cancelled", [{ cancel: id }]]);
  });

  test("of a room that is left throws at once", async () => {
    const { room } = await MOMENTS.left();
    assert.throws(() => room.stream("history"), { code: "not_joined" });
  });
});

describe("events of the connection", () => {
  test("are heard by their name", async () => {
    const { live, socket } = await openClient();
    const heard = [];
    const end = live.on("notice", (data) => heard.push(data));
    socket.say({ event: "notice", data: { text: "hi" } });
    socket.say({ event: "other", data: 1 });
    end();
    socket.say({ event: "notice", data: 2 });
    assert.deepEqual(heard, [{ text: "hi" }]);
  });
});

describe("an ask", () => {
  const ASK = { ask: 9, event: "confirm", data: { question: "sure?" } };

  for (const [name, fn, answer] of [
    ["a value", () => true, { ok: true }],
    ["a promise", async ({ question }) => question.length, { ok: 5 }],
    ["nothing", () => {}, { ok: null }],
    ["false", () => false, { ok: false }],
  ]) {
    test(`is answered with ${name}`, async () => {
      const { live, socket } = await openClient();
      live.answer("confirm", fn);
      socket.say(ASK);
      await world.settle();
      assert.deepEqual(socket.sent, [{ answer: 9, ...answer }]);
    });
  }

  test("that nothing answers is an unknown event", async () => {
    const { socket } = await openClient();
    socket.say(ASK);
    socket.say({ ...ASK, event: "constructor" });
    await world.settle();
    assert.deepEqual(socket.sent.map(({ answer, error }) => [answer, error.code]), Array(2).fill([9, "unknown_event"]));
  });

  test("is refused with a LiveError as it is", async () => {
    const { live, socket } = await openClient();
    live.answer("confirm", () => {
      throw new LiveError("invalid", "no", { fields: { question: ["too short"] } });
    });
    socket.say(ASK);
    await world.settle();
    const error = { code: "invalid", message: "no", fields: { question: ["too short"] } };
    assert.deepEqual([socket.sent, world.reported], [[{ answer: 9, error }], []]);
  });

  for (const [name, fn] of Object.entries({
    "an exception": () => {
      throw new Error("secret");
    },
    "a rejection": () => Promise.reject(new Error("secret")),
    "what cannot be encoded": () => 1n,
  })) {
    test(`fails with ${name}, which is reported and not told`, async () => {
      const { live, socket } = await openClient();
      live.answer("confirm", fn);
      socket.say(ASK);
      await world.settle();
      assert.deepEqual([socket.sent[0].error.code, JSON.stringify(socket.sent).includes("secret")], ["failed", false]);
      assert.equal(world.reported.length, 1);
    });
  }

  test("is not answered over another connection", async () => {
    const { live, socket } = await openClient();
    let resolve;
    live.answer("confirm", () => new Promise((done) => (resolve = done)));
    socket.say(ASK);
    socket.drop();
    await world.advance(250);
    await world.open();
    resolve(true);
    await world.settle();
    assert.deepEqual([socket.sent, world.socket.sent], [[], []]);
  });

  test("is answered by the last function that was given, until its end", async () => {
    const { live, socket } = await openClient();
    const endFirst = live.answer("confirm", () => 1);
    const endSecond = live.answer("confirm", () => 2);
    endFirst();
    socket.say(ASK);
    await world.settle();
    assert.equal(socket.take()[0].ok, 2);
    endSecond();
    socket.say(ASK);
    await world.settle();
    assert.equal(socket.take()[0].error.code, "unknown_event");
  });
});

test("a LiveError has a code, and what it is not told is empty", () => {
  const error = new LiveError("not_found");
  assert.deepEqual([error.message, error.fields, error.retry, error.retryAfter], ["not_found", {}, false, undefined]);
  assert.equal(String(new LiveError("invalid", "too long")), "LiveError: too long");
});
