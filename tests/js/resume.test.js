/** Resuming by history: every state of a room with every event, positions that are none, and losses at random. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { joinedRoom, listen, openClient, useWorld, world } from "./world.js";

useWorld();

const NAME = "tickets/5";
const said = (at, data = at) => ({ room: NAME, event: "said", data, ...(at !== undefined && { at }) });
const EVENTS = ["said", "state", "presence", "left", "error"];

/** A room whose connection is open, and what it hears. */
async function started(options) {
  const { live, socket } = await openClient();
  const room = live.join(NAME, options);
  return { live, socket, room, heard: listen(room, ...EVENTS) };
}

/** Lose the connection, and have another. */
async function reconnect() {
  world.socket.drop();
  await world.advance(20_000);
  return world.open();
}

/** Every state that a room can be in, and how to get there. Those that have a position have e:3. */
const STATES = {
  "joining": () => started(),
  "joining since": () => started({ since: "e:3" }),
  async "joined"() {
    const joined = await started();
    joined.socket.answer({ ok: { room: NAME, at: "e:3", recovered: false, state: 0 } });
    return joined;
  },
  async "no history"() {
    const joined = await started();
    joined.socket.answer({ ok: { room: NAME, recovered: false, state: 0 } });
    return joined;
  },
  async "gap"() {
    const joined = await STATES.joined();
    joined.socket.say(said("e:30"));
    return joined;
  },
  async "refused"() {
    const joined = await STATES.gap();
    joined.socket.answer({ error: { code: "unavailable", retry: true, retry_after: 5 } });
    return joined;
  },
  async "lost"() {
    const joined = await STATES.joined();
    joined.socket.drop();
    return joined;
  },
  async "resuming"() {
    const joined = await STATES.joined();
    await reconnect();
    return joined;
  },
  async "resuming a gap"() {
    const joined = await STATES.gap();
    await reconnect();
    return joined;
  },
  async "shared"() {
    const joined = await STATES.joined();
    joined.live.join(NAME).on("error", () => {}); // it waits for a state, while the first goes on
    return joined;
  },
};

const frame = (frame) => () => world.socket.say(frame);
const answer = (answer) => () => world.socket.say({ id: world.joins.at(-1), ...answer });
const recovered = { room: NAME, at: "e:3", recovered: true, to: "e:5" };

// What an event does in each state: what the listeners hear, "+" that a join is sent, without a position or since one,
// and at which position the room is then: "said +join @e:3". Of "-", it cannot happen there; ~ is nothing new at all.
const TABLE = {
  "the next event": [
    frame(said("e:4")),
    {
      "joined": "said @e:4",
      "no history": "said @e:4",
      "shared": "said @e:4",
    },
  ],
  "a known event": [frame(said("e:3")), { "no history": "said @e:3" }],
  "an older event": [frame(said("e:1")), { "no history": "said @e:1" }],
  "an event after a hole": [frame(said("e:5")), { "joined": "+join @e:3", "no history": "said @e:5", "shared": "@e:3" }],
  "the next event of another epoch": [
    frame(said("f:4")),
    { "joined": "+join @e:3", "no history": "said @f:4", "shared": "@e:3" },
  ],
  "an event whose position is none": [
    frame(said("junk")),
    { "joined": "+join @e:3", "no history": "+join @undefined", "shared": "@e:3" },
  ],
  "a volatile event": [
    frame(said(undefined)),
    { "joined": "said @e:3", "no history": "said @undefined", "shared": "said @e:3" },
  ],
  "a relayed event": [
    frame({ ...said(undefined), from: "7" }),
    { "joined": "said @e:3", "no history": "said @undefined", "shared": "said @e:3" },
  ],
  "the next placeholder": [
    frame({ room: NAME, at: "e:4" }),
    { "joined": "@e:4", "no history": "@e:4", "shared": "@e:4" },
  ],
  "a known placeholder": [frame({ room: NAME, at: "e:3" }), { "no history": "@e:3" }],
  "a placeholder after a hole": [
    frame({ room: NAME, at: "e:5" }),
    { "joined": "+join @e:3", "no history": "@e:5", "shared": "@e:3" },
  ],
  "a new state": [
    frame({ room: NAME, state: 9, at: "f:9" }),
    { "joined": "state @f:9", "no history": "state @f:9", "shared": "state @f:9" },
  ],
  "a new start without a state": [
    frame({ room: NAME, at: "f:9", recovered: false }),
    { "joined": "state @f:9", "no history": "state @f:9", "shared": "state @f:9" },
  ],
  "a change of presence": [
    frame({ room: NAME, presence: { joined: { 1: {} } }, v: 2 }),
    { "joined": "presence @e:3", "no history": "presence @undefined", "shared": "presence @e:3" },
  ],
  "it is taken out": [
    frame({ room: NAME, left: { code: 4403, reason: "" } }),
    { "joined": "left @e:3", "no history": "left @undefined" }, // one that is shared waits for the answer of its join
  ],
  "the join is answered: recovered": [
    answer({ ok: recovered }),
    {
      "joining": "state @e:3", // nothing to resume from: it starts at what is said
      "joining since": "@e:3",
      "joined": "-",
      "no history": "-",
      "gap": "state @e:3",
      "refused": "-",
      "lost": "-",
      "resuming": "@e:3",
      "resuming a gap": "state @e:3",
      "shared": "state @e:3",
    },
  ],
  "the join is answered: a state": [
    answer({ ok: { room: NAME, at: "f:9", recovered: false, state: 9 } }),
    {
      "joining": "state @f:9",
      "joining since": "state @f:9",
      "joined": "-",
      "no history": "-",
      "gap": "state @f:9",
      "refused": "-",
      "lost": "-",
      "resuming": "state @f:9",
      "resuming a gap": "state @f:9",
      "shared": "state @f:9",
    },
  ],
  "the join is answered: no history any more": [
    answer({ ok: { room: NAME, recovered: false, state: 9 } }),
    {
      "joining": "state @undefined",
      "joining since": "state @undefined",
      "joined": "-",
      "no history": "-",
      "gap": "state @undefined",
      "refused": "-",
      "lost": "-",
      "resuming": "state @undefined",
      "resuming a gap": "state @undefined",
      "shared": "state @undefined",
    },
  ],
  "the join is refused for now": [
    answer({ error: { code: "unavailable", retry: true, retry_after: 60 } }),
    {
      "joining": "error @undefined",
      "joining since": "error @e:3",
      "joined": "-",
      "no history": "-",
      "gap": "error @e:3",
      "refused": "-",
      "lost": "-",
      "resuming": "error @e:3",
      "resuming a gap": "error @e:3",
      "shared": "error @e:3",
    },
  ],
  "six seconds pass": [
    () => world.advance(6_000),
    { "refused": "+join @e:3", "lost": "@e:3" },
  ],
  "the connection is cut": [() => world.socket.drop(), {}],
  "it is cut, and made again": [
    reconnect,
    {
      "joining": "+join @undefined",
      "joining since": "+join since e:3 @e:3",
      "joined": "+join since e:3 @e:3",
      "no history": "+join @undefined",
      "gap": "+join @e:3",
      "refused": "+join @e:3",
      "lost": "+join since e:3 @e:3",
      "resuming": "+join since e:3 @e:3",
      "resuming a gap": "+join @e:3",
      "shared": "+join @e:3",
    },
  ],
  "another joins": [
    (joined) => joined.live.join(NAME),
    {
      "joining since": "+join @e:3", // it has no page to start from
      "joined": "+join @e:3",
      "no history": "+join @undefined",
      "lost": "@e:3",
      "resuming": "+join @e:3",
    },
  ],
};

/** The position in each state, where nothing happens to it. */
const POSITIONS = { "joining": undefined, "no history": undefined };
/** Of these, the next join is without a position, whatever the room has. */
const FRESH = ["gap", "refused", "resuming a gap", "shared"];

for (const [event, [happen, row]] of Object.entries(TABLE)) {
  describe(event, () => {
    for (const [state, start] of Object.entries(STATES)) {
      const position = state in POSITIONS ? POSITIONS[state] : "e:3";
      const expected = row[state] ?? `@${position}`;
      if (expected === "-") continue;
      test(`${state}: ${expected}`, async () => {
        const joined = await start();
        const { heard, room } = joined;
        const joins = world.socket.take().filter(({ join }) => join);
        world.joins = joins.map(({ id }) => id);
        heard.length = 0;
        await happen(joined);
        await world.settle();
        const sent = world.socket.take().filter(({ join }) => join);
        const asked = sent.map(({ since }) => (since ? `+join since ${since}` : "+join"));
        assert.equal([...heard.map(([name]) => name), ...asked, `@${room.at}`].join(" "), expected);
        assert.deepEqual(world.reported, []);

        // What was heard is what a reconnect goes on from.
        const again = (await reconnect()).take().filter(({ join }) => join);
        if (heard.some(([name]) => name === "left")) assert.deepEqual(again, []);
        else {
          const isFresh = (FRESH.includes(state) || asked.includes("+join") || event === "another joins")
            && !heard.some(([name]) => name === "state");
          assert.deepEqual(again.map(({ since }) => since), [isFresh ? undefined : room.at]);
        }
      });
    }
  });
}

test("the table has a cell for states that there are", () => {
  const known = new Set(Object.keys(STATES));
  const named = Object.values(TABLE).flatMap(([, row]) => Object.keys(row));
  assert.deepEqual(named.filter((state) => !known.has(state)), []);
});

// What is no position, whatever it is.
const JUNK = ["", "junk", "e", ":4", "e:", "e:x", "e:4.0", "e:-4", "e: 4", "4", 4, 0, null, true, {}, [], ["x"], { e: 4 }];

for (const at of JUNK) {
  describe(`${JSON.stringify(at)} as a position`, () => {
    for (const [kind, ok] of [
      ["a join", { at, recovered: false, state: 1 }],
      ["a join, recovered", { at, recovered: true }],
    ]) {
      test(`of ${kind} is none: it starts there, and has the position of the next event`, async () => {
        const { room, heard } = await joinedRoom(NAME, ok, { events: ["said", "state"] });
        assert.deepEqual([heard.length, heard[0][0], room.at], [1, "state", undefined]);
        const { sent } = await reconnect();
        assert.deepEqual(sent.map((frame) => "since" in frame), [false]);
        world.socket.answer({ ok: { room: NAME, ...ok } });
        world.socket.say(said("e:7"));
        world.socket.say(said("e:8"));
        assert.deepEqual([heard.slice(2), room.at], [[["said", "e:7"], ["said", "e:8"]], "e:8"]);
        assert.deepEqual([world.socket.sent, world.reported], [[], []]);
      });
    }

    test("of a room that has resumed changes nothing", async () => {
      const { socket, room, heard } = await started({ since: "e:3" });
      socket.answer({ ok: { room: NAME, at, recovered: true, to: at } });
      socket.say(said("e:4"));
      assert.deepEqual([heard, room.at, socket.sent, world.reported], [[["said", "e:4"]], "e:4", [], []]);
    });

    for (const frame of [said(at, 1), { room: NAME, at }]) {
      test(`of ${frame.event ? "an event" : "a placeholder"} is a loss, once`, async () => {
        const { socket, room, heard } = await joinedRoom(NAME, { at: "e:3", state: 0 }, { events: ["said", "state"] });
        heard.length = 0;
        for (let time = 0; time < 5; time++) socket.say(frame);
        assert.deepEqual(socket.sent.map(({ join, since }) => [join, since]), [[NAME, undefined]]);
        socket.answer({ ok: { room: NAME, at: "e:9", recovered: false, state: 9 } });
        socket.say(said("e:10"));
        assert.deepEqual([heard, room.at], [[["state", 9], ["said", "e:10"]], "e:10"]);
        assert.deepEqual([socket.sent, world.reported], [[], []]);
      });
    }

    test("of a new state is none", async () => {
      const { socket, room, heard } = await joinedRoom(NAME, { at: "e:3", state: 0 }, { events: ["said", "state"] });
      socket.say({ room: NAME, state: 1, at });
      assert.equal(room.at, undefined);
      socket.say(said("f:7"));
      assert.deepEqual(heard, [["state", 0], ["state", 1], ["said", "f:7"]]);
      assert.deepEqual([room.at, socket.sent, world.reported], ["f:7", [], []]);
    });
  });
}

describe("a server that is never right", () => {
  const ANSWERS = {
    "says that it has recovered what nobody asked for": { at: "e:3", recovered: true },
    "answers with a position that its events do not follow": { at: "e:3", recovered: false, state: 0 },
    "answers without a position": { recovered: false, state: 0 },
  };
  for (const [name, ok] of Object.entries(ANSWERS)) {
    test(`and ${name} is asked once for each answer`, async () => {
      const { socket } = await joinedRoom(NAME, ok);
      for (let answers = 1; answers <= 5; answers++) {
        for (const at of ["f:30", "junk", "g:1", null, "h:7"]) socket.say(said(at));
        const joins = socket.take();
        assert.deepEqual(joins.map(({ join, since }) => [join, since]), [[NAME, undefined]]);
        socket.say({ id: joins[0].id, ok: { room: NAME, ...ok } });
        assert.deepEqual(socket.sent, [], "an answer alone asks for nothing");
      }
    });
  }
});

describe("the position of a room", () => {
  test("is in its listeners that of what they hear", async () => {
    const { live, socket } = await openClient();
    const room = live.join(NAME);
    const seen = [];
    for (const event of ["state", "said"]) room.on(event, () => seen.push([event, room.at]));
    socket.answer({ ok: { room: NAME, at: "e:3", recovered: false, state: 0 } });
    socket.say(said("e:4"));
    socket.say(said(undefined));
    socket.say({ room: NAME, at: "e:5" });
    socket.say({ room: NAME, state: 1, at: "f:0" });
    socket.say(said("f:1"));
    assert.deepEqual(seen, [
      ["state", "e:3"], ["said", "e:4"], ["said", "e:4"], ["state", "f:0"], ["said", "f:1"],
    ]);
  });

  test("goes on with a page that comes back, as if it had not been away", async () => {
    const first = await joinedRoom(NAME, { at: "e:3", state: 0 });
    first.socket.say(said("e:4"));
    const kept = first.room.at;
    first.live.close();
    const { socket, heard } = await started({ since: kept });
    assert.equal(socket.sent[0].since, "e:4");
    socket.answer({ ok: { room: NAME, at: "e:4", recovered: true, to: "e:5" } });
    socket.say(said("e:5"));
    assert.deepEqual(heard, [["said", "e:5"]]);
  });

  test("stays what it was while the connection is lost, and when it is closed", async () => {
    const { live, socket, room } = await joinedRoom(NAME, { at: "e:3" });
    socket.drop();
    assert.equal(room.at, "e:3");
    live.close();
    assert.equal(room.at, "e:3");
  });

  test("of one that comes later is not known before its state", async () => {
    const { live, socket, room } = await joinedRoom(NAME, { at: "e:3", state: 0 });
    const second = live.join(NAME, { since: "e:1" });
    socket.say(said("e:4"));
    assert.deepEqual([room.at, second.at], ["e:4", undefined]);
    socket.answer({ ok: { room: NAME, at: "e:4", recovered: false, state: 4 } });
    assert.deepEqual([room.at, second.at], ["e:4", "e:4"]);
  });

  for (const since of ["", null, undefined]) {
    test(`that is ${JSON.stringify(since)} is none, and such joins are one`, async () => {
      const { live, socket } = await openClient();
      const rooms = ["", null, undefined, since].map((since) => live.join(NAME, { since }));
      assert.deepEqual(socket.take().map((frame) => Object.keys(frame)), [["join", "id"]]);
      assert.deepEqual(rooms.map(({ at }) => at), Array(4).fill(undefined));
    });
  }
});

test("one that joins later has all who are present, though nothing has changed", async () => {
  const { live, socket } = await joinedRoom(NAME, { at: "e:3", present: { 1: {} }, v: 7 });
  const heard = listen(live.join(NAME), "presence");
  assert.deepEqual(socket.sent.map(({ since, v }) => [since, v]), [[undefined, undefined]]);
  socket.answer({ ok: { room: NAME, at: "e:3", recovered: false, present: { 1: {} }, v: 7 } });
  assert.deepEqual(heard.map(([, people]) => [...people.keys()]), [["1"]]);
});

describe("a page over a bad network", () => {
  /** A server with a history that is kept for a while, behind a network that loses, repeats and cuts. */
  class Server {
    epoch = 1;
    log = [];
    number = 0;
    kept = 0;
    states = 0;
    resumes = 0;

    constructor(random) {
      this.random = random;
    }

    chance(one) {
      return this.random() * one < 1;
    }

    position(offset = this.log.length) {
      return `${this.epoch}:${offset}`;
    }

    frame(offset) {
      const number = this.log[offset - 1];
      const at = this.position(offset);
      return number === null ? { room: NAME, at } : said(at, number);
    }

    /** Broadcast; null is in place of what is not for this client. */
    broadcast() {
      this.log.push(this.chance(5) ? null : ++this.number);
      if (!this.chance(12)) world.socket.say(this.frame(this.log.length));
      if (this.chance(8)) world.socket.say(this.frame(1 + Math.floor(this.random() * this.log.length)));
      if (this.chance(10)) world.socket.say(said(undefined, 0));
    }

    /** Another data set, with a history of its own. */
    restore() {
      this.epoch++;
      this.log = this.log.slice(0, Math.floor(this.random() * this.log.length)).filter((number) => number !== null);
      this.kept = 0;
    }

    answerJoins() {
      for (const { join, id, since } of world.socket.take()) {
        if (!join) continue;
        if (this.chance(10)) {
          world.socket.say({ id, error: { code: "unavailable", retry: true, retry_after: 0.01 } });
          continue;
        }
        const [epoch, offset] = since?.split(":") ?? [];
        if (epoch === String(this.epoch) && +offset >= this.kept && +offset <= this.log.length) {
          this.resumes++;
          world.socket.say({ id, ok: { room: NAME, at: since, recovered: true, to: this.position() } });
          for (let next = +offset + 1; next <= this.log.length; next++) world.socket.say(this.frame(next));
        } else {
          this.states++;
          const state = this.log.filter((number) => number !== null);
          world.socket.say({ id, ok: { room: NAME, at: this.position(), recovered: false, state } });
        }
      }
    }
  }

  for (let seed = 1; seed <= 40; seed++) {
    test(`shows in the end what there is, each once: ${seed}`, async () => {
      let last = seed * 7_919;
      const random = () => (last = (last * 48_271) % 2_147_483_647) / 2_147_483_647;
      const server = new Server(random);
      const { live } = await openClient();
      let shown = [];
      const room = live.join(NAME);
      room.on("error", () => {});
      room.on("state", (state) => (shown = [...state]));
      room.on("said", (number) => number && shown.push(number));
      server.answerJoins();
      for (let step = 0; step < 400; step++) {
        server.broadcast();
        assert.deepEqual(shown, [...new Set(shown)].sort((a, b) => a - b), "in order, and none twice");
        assert.ok(world.socket.sent.filter(({ join }) => join).length <= 1, "one join for a loss");
        if (server.chance(3)) server.answerJoins();
        if (server.chance(40)) server.kept = server.log.length - 3;
        if (server.chance(100)) {
          server.restore();
          await reconnect();
        }
        if (server.chance(25)) {
          world.socket.drop();
          if (server.chance(2)) server.broadcast(); // nobody is there
          await world.advance(20_000);
          await world.open();
        }
        await world.advance(10);
      }
      server.log.push(++server.number); // a hole is seen by what comes behind it
      server.random = () => 0.999; // the network is well again
      world.socket.say(server.frame(server.log.length));
      for (let time = 0; time < 3; time++) {
        await world.advance(20);
        server.answerJoins();
      }
      assert.deepEqual(shown, server.log.filter((number) => number !== null));
      assert.ok(server.states > 0 && server.resumes > 0);
    });
  }
});
