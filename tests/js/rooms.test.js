/** Rooms: joins that are shared, positions, what was missed, presence, newest values. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { client, joinedRoom, listen, openClient, useWorld, world } from "./world.js";

useWorld();

const NAME = "tickets/5";
const said = (at, data = at) => ({ room: NAME, event: "said", data, ...(at && { at }) });

/** Lose the connection, and have another. */
async function reconnect() {
  world.socket.drop();
  await world.advance(20_000);
  return world.open();
}

describe("a join", () => {
  test("is sent when hello is answered, and its state comes before its events", async () => {
    const { socket, heard } = await joinedRoom(NAME, { at: "e:3", state: [1] }, { events: ["said", "state"] });
    socket.say(said("e:4"));
    assert.deepEqual(heard, [["state", [1]], ["said", "e:4"]]);
  });

  test("has the position of the page, and no state if the events since then are to be had", async () => {
    const { live, socket } = await openClient();
    const room = live.join(NAME, { since: "e:3" });
    const heard = listen(room, "said", "state");
    assert.deepEqual(socket.sent.map(({ join, since }) => [join, since]), [[NAME, "e:3"]]);
    socket.answer({ ok: { room: NAME, at: "e:3", recovered: true, to: "e:5" } });
    for (const at of ["e:4", "e:5", "e:6"]) socket.say(said(at));
    assert.deepEqual(heard, [["said", "e:4"], ["said", "e:5"], ["said", "e:6"]]);
  });

  for (const since of ["", null, undefined]) {
    test(`of a page whose position is ${JSON.stringify(since)} has none`, async () => {
      const { live, socket } = await openClient();
      live.join(NAME, { since });
      assert.deepEqual(Object.keys(socket.sent[0]), ["join", "id"]);
    });
  }

  test("of a room without a state says that it starts, with undefined", async () => {
    const { heard } = await joinedRoom(NAME, {}, { events: ["state"] });
    assert.deepEqual(heard, [["state", undefined]]);
  });

  test("in a listener of the status is sent once", async () => {
    const { live } = client();
    live.on("status", ({ state }) => state === "open" && live.join(NAME));
    const { sent } = await world.open();
    assert.deepEqual(sent.map(({ join }) => join), [NAME]);
  });

  test("of a room with any name works", async () => {
    const { live, socket } = await openClient();
    for (const name of ["__proto__", "constructor", "with space/ü"]) {
      const heard = listen(live.join(name), "said");
      socket.answer({ ok: { room: name } });
      socket.say({ room: name, event: "said", data: name });
      assert.deepEqual(heard, [["said", name]]);
    }
  });
});

describe("a join that is refused", () => {
  const REFUSAL = { code: "forbidden", message: "no", retry: false };

  test("tells why, and is not tried again", async () => {
    const { live, socket } = await openClient();
    const heard = listen(live.join(NAME), "error", "state");
    socket.answer({ error: REFUSAL });
    assert.deepEqual(heard.map(([event, { name, code, message }]) => [event, name, code, message]), [
      ["error", "LiveError", "forbidden", "no"],
    ]);
    await reconnect();
    assert.deepEqual([world.socket.sent, world.reported], [[], []]);
  });

  test("is reported if nobody listens for errors, with the name of the room", async () => {
    const { live, socket } = await openClient();
    live.join(NAME);
    const heard = listen(live.join(NAME), "error");
    socket.answer({ error: REFUSAL });
    assert.deepEqual(world.reported.map(({ code, message }) => [code, message]), [["forbidden", "tickets/5: no"]]);
    assert.equal(heard[0][1].message, "no");
  });

  test("can be asked for again by the listener", async () => {
    const { live, socket } = await openClient();
    const again = [];
    live.join(NAME).on("error", () => again.push(...[live.join(NAME)].map((room) => listen(room, "state"))));
    socket.answer({ error: REFUSAL });
    socket.answer({ ok: { room: NAME, state: 1 } });
    assert.deepEqual(again, [[["state", 1]]]);
  });

  test("for now is tried again when the server says", async () => {
    const { live, socket } = await openClient();
    const heard = listen(live.join(NAME), "error", "state");
    socket.answer({ error: { code: "rate_limited", retry: true, retry_after: 1.5 } });
    assert.equal(heard[0][1].retryAfter, 1_500);
    await world.advance(1_499);
    assert.deepEqual(socket.sent, []);
    await world.advance(1);
    socket.answer({ ok: { room: NAME, state: 1 } });
    assert.deepEqual(heard[1], ["state", 1]);
  });

  test("for now is tried again after a wait that grows, if the server does not say when", async () => {
    const { live, socket } = await openClient();
    live.join(NAME).on("error", () => {});
    for (const wait of [250, 500, 1_000]) {
      socket.answer({ error: { code: "unavailable", retry: true } });
      socket.say({ ping: 1 });
      await world.advance(wait - 1);
      assert.deepEqual(socket.sent, []);
      await world.advance(1);
      assert.equal(socket.sent.length, 1);
    }
    socket.answer({ ok: { room: NAME, at: "e:1" } });
    socket.say(said("e:3"));
    socket.answer({ error: { code: "unavailable", retry: true } });
    await world.advance(250);
    assert.equal(socket.sent.length, 1, "after a join the waits start anew");
  });

  test("for now is not tried again when another join is under way, or was", async () => {
    const { live, socket } = await openClient();
    live.join(NAME).on("error", () => {});
    socket.answer({ error: { code: "unavailable", retry: true, retry_after: 1 } });
    live.join(NAME, { since: "e:1" });
    assert.equal(socket.sent.length, 1);
    await world.advance(1_000);
    socket.answer({ ok: { room: NAME } });
    assert.deepEqual(socket.sent, []);
  });

  for (const [name, end] of Object.entries({
    "the room is left": ({ room }) => room.leave(),
    "the connection is lost": () => world.socket.drop(),
    "the client is closed": ({ live }) => live.close(),
  })) {
    test(`for now is not tried again when ${name}`, async () => {
      const { live, socket } = await openClient();
      const room = live.join(NAME);
      room.on("error", () => {});
      socket.answer({ error: { code: "unavailable", retry: true, retry_after: 0.1 } });
      assert.equal(world.timers, 2);
      end({ live, room });
      assert.ok(world.timers <= 1, "that of the connection is left");
      await world.advance(200);
      assert.deepEqual(socket.sent.filter(({ join }) => join), []);
    });
  }

  test("while another join of it stands takes us out, and the server is told", async () => {
    const { live, socket, heard } = await joinedRoom(NAME, {}, { events: ["error"] });
    live.join(NAME).on("error", () => {});
    socket.answer({ error: REFUSAL });
    assert.deepEqual([heard.length, socket.take().map(({ leave }) => leave)], [1, [NAME]]);
    socket.say(said());
  });
});

describe("positions", () => {
  // The position so far, that of a frame, and what becomes of the frame: "new", "known" or "gap".
  const TABLE = [
    ["e:3", "e:4", "new"],
    ["e:9", "e:10", "new"],
    ["e:0", "e:1", "new"],
    ["e:999999999999", "e:1000000000000", "new"],
    ["a:b:3", "a:b:4", "new"],
    ["e:3", "e:3", "known"],
    ["e:3", "e:1", "known"],
    ["e:10", "e:9", "known"],
    ["e:3", "e:5", "gap"],
    ["e:3", "e:30", "gap"],
    ["e:3", "f:4", "gap"],
    ["e:3", "f:1", "gap"],
    ["a:b:3", "a:c:4", "gap"],
    ["e:3", "4", "gap"],
    ["e:3", "", "gap"],
    ["e:3", "e:x", "gap"],
    ["e:3", "e:4.5", "gap"],
    ["e:3", "e:-4", "gap"],
    [undefined, "e:7", "new"],
  ];
  for (const [last, at, expected] of TABLE) {
    test(`${last} and then ${JSON.stringify(at)} is ${expected}`, async () => {
      const { socket, heard } = await joinedRoom(NAME, last && { at: last, state: 0 }, { events: ["said", "state"] });
      heard.length = 0;
      socket.say({ ...said(), at, data: "it" });
      assert.deepEqual(heard, expected === "new" ? [["said", "it"]] : []);
      const joins = socket.take();
      assert.deepEqual(
        joins.map(({ join, since }) => [join, since]),
        expected === "gap" ? [[NAME, undefined]] : [],
      );
      await reconnect();
      const [{ since }] = world.socket.take();
      assert.equal(since, { new: at, known: last, gap: undefined }[expected]);
    });
  }

  test("go on over placeholders, which nobody hears", async () => {
    const { socket, heard } = await joinedRoom(NAME, { at: "e:3" }, { events: ["said", "undefined"] });
    socket.say({ room: NAME, at: "e:4" });
    socket.say(said("e:5"));
    assert.deepEqual([heard, socket.sent], [[["said", "e:5"]], []]);
  });

  test("stay where they are for what is volatile or relayed", async () => {
    const { socket, room } = await joinedRoom(NAME, { at: "e:3" });
    const frames = [];
    room.on("said", (data, frame) => frames.push([data, frame.at, frame.from]));
    socket.say(said(undefined, "volatile"));
    socket.say({ ...said(undefined, "relayed"), from: "7" });
    socket.say(said("e:4", "stored"));
    assert.deepEqual(frames, [["volatile", undefined, undefined], ["relayed", undefined, "7"], ["stored", "e:4", undefined]]);
  });

  test("are had with the join, so that a reconnect resumes even if nothing was received", async () => {
    await joinedRoom(NAME, { at: "e:3" });
    const { sent } = await reconnect();
    assert.deepEqual(sent.map(({ join, since }) => [join, since]), [[NAME, "e:3"]]);
  });

  test("resume without a state, and what was missed is heard once", async () => {
    const { heard } = await joinedRoom(NAME, { at: "e:3", state: 0 }, { events: ["said", "state"] });
    world.socket.say(said("e:4"));
    const socket = await reconnect();
    socket.say(said("e:9")); // of nothing that was asked for
    socket.answer({ ok: { room: NAME, at: "e:4", recovered: true, to: "e:6" } });
    for (const at of ["e:5", "e:6", "e:6", "e:7"]) socket.say(said(at));
    assert.deepEqual(heard, [["state", 0], ...["e:4", "e:5", "e:6", "e:7"].map((at) => ["said", at])]);
    assert.deepEqual(socket.sent, []);
  });

  test("start from the state when the rest is not to be had", async () => {
    const { heard } = await joinedRoom(NAME, { at: "e:3", state: 0 }, { events: ["said", "state"] });
    const socket = await reconnect();
    socket.answer({ ok: { room: NAME, at: "f:1", recovered: false, state: 1 } });
    socket.say(said("f:2"));
    assert.deepEqual(heard, [["state", 0], ["state", 1], ["said", "f:2"]]);
  });

  test("start from the state when the server has lost the thread", async () => {
    const { socket, heard } = await joinedRoom(NAME, { at: "e:3", state: 0 }, { events: ["said", "state"] });
    socket.say({ room: NAME, state: null, at: "e:9" });
    socket.say(said("e:10"));
    socket.say({ room: NAME, at: "f:1", recovered: false });
    socket.say(said("f:2"));
    assert.deepEqual(heard, [["state", 0], ["state", null], ["said", "e:10"], ["state", undefined], ["said", "f:2"]]);
    assert.deepEqual(socket.sent, []);
  });

  test("that are lost make one join, and until its answer nothing is believed", async () => {
    const { socket, heard } = await joinedRoom(NAME, { at: "e:3", state: 0 }, { events: ["said", "state", "presence"] });
    heard.length = 0;
    for (const at of ["e:5", "e:6", "e:4", "f:1"]) socket.say(said(at));
    socket.say({ room: NAME, presence: { joined: { 1: {} } }, v: 2 });
    assert.deepEqual([heard, socket.sent.length], [[], 1]);
    socket.answer({ ok: { room: NAME, at: "e:6", recovered: false, state: 6 } });
    socket.say(said("e:7"));
    assert.deepEqual([heard, socket.sent], [[["state", 6], ["said", "e:7"]], []]);
  });

  test("that are lost twice are asked for anew, also when the connection goes in between", async () => {
    const { heard } = await joinedRoom(NAME, { at: "e:3", state: 0 }, { events: ["state"] });
    world.socket.say(said("e:5"));
    const socket = await reconnect();
    assert.deepEqual(socket.sent.map(({ since }) => since), [undefined]);
    socket.answer({ ok: { room: NAME, at: "e:6", recovered: false, state: 6 } });
    socket.say(said("e:8"));
    socket.answer({ ok: { room: NAME, at: "e:8", recovered: false, state: 8 } });
    assert.deepEqual(heard, [["state", 0], ["state", 6], ["state", 8]]);
  });
});

describe("join, leave, join", () => {
  const OLD = [
    ["an event", said("e:4")],
    ["an event without a position", said()],
    ["a placeholder", { room: NAME, at: "e:4" }],
    ["a state", { room: NAME, state: "old", at: "e:9" }],
    ["a loss", { room: NAME, at: "e:9", recovered: false }],
    ["who is present", { room: NAME, present: { old: {} }, v: 9 }],
    ["a change of presence", { room: NAME, presence: { joined: { old: {} } }, v: 9 }],
    ["how many are present", { room: NAME, count: 9 }],
    ["a value", { room: NAME, key: "old", data: 1 }],
    ["the end", { room: NAME, left: { code: 4403, reason: "old" } }],
  ];
  const EVENTS = ["said", "state", "presence", "count", "latest", "left"];

  for (const [name, frame] of OLD) {
    test(`${name} of the former join is not taken for one of the new`, async () => {
      const { live, socket, room, heard: before } = await joinedRoom(NAME, { at: "e:3", state: 0 }, { events: EVENTS });
      before.length = 0;
      room.leave();
      const heard = listen(live.join(NAME), ...EVENTS);
      const [leave, join] = socket.take();
      assert.deepEqual([leave.leave, join.join, join.since], [NAME, NAME, undefined]);
      socket.say(frame);
      socket.say({ id: leave.id, ok: null });
      assert.deepEqual([before, heard], [[], []]);
      socket.say({ id: join.id, ok: { room: NAME, at: "e:3", state: 3, recovered: false } });
      socket.say(said("e:4", "new"));
      assert.deepEqual(before, []);
      assert.deepEqual(heard.filter(([event]) => event !== "latest"), [["state", 3], ["said", "new"]]);
      assert.deepEqual(socket.sent, []);
    });
  }

  test("before the first is answered takes the answer of the last", async () => {
    const { live, socket } = await openClient();
    live.join(NAME).leave();
    live.join(NAME, { since: "e:1" }).leave();
    const heard = listen(live.join(NAME), "state");
    const frames = socket.take();
    assert.deepEqual(frames.map((frame) => Object.keys(frame)[0]), ["join", "leave", "join", "leave", "join"]);
    frames.forEach(({ id }, index) => {
      socket.say({ id, ok: index % 2 ? null : { room: NAME, state: index } });
      socket.say(said(undefined, index));
    });
    assert.deepEqual(heard, [["state", 4]]);
  });

  test("is not ended by an error of the first", async () => {
    const { live, socket } = await openClient();
    live.join(NAME).leave();
    const heard = listen(live.join(NAME), "state", "error");
    const [first, , second] = socket.take();
    socket.say({ id: first.id, error: { code: "forbidden" } });
    socket.say({ id: second.id, ok: { room: NAME, state: 1 } });
    assert.deepEqual([heard, socket.sent, world.reported], [[["state", 1]], [], []]);
  });

  test("without a connection is one join", async () => {
    const { live } = client();
    live.join(NAME).leave();
    live.join(NAME);
    live.join("other").leave();
    const { sent } = await world.open();
    assert.deepEqual(sent.map(({ join, leave }) => [join, leave]), [[NAME, undefined]]);
  });

  test("and leave is the end: nothing is joined after a reconnect", async () => {
    const { live, room } = await joinedRoom(NAME);
    room.leave();
    live.join(NAME).leave();
    const { sent } = await reconnect();
    assert.deepEqual(sent, []);
  });
});

describe("two joins of one room", () => {
  test("are one, whose answer and events both have", async () => {
    const { live, socket } = await openClient();
    const heard = [live.join(NAME), live.join(NAME)].map((room) => listen(room, "state", "said"));
    assert.equal(socket.sent.length, 1);
    socket.answer({ ok: { room: NAME, state: 1 } });
    socket.say(said(undefined, 2));
    assert.deepEqual(heard, [
      [["state", 1], ["said", 2]],
      [["state", 1], ["said", 2]],
    ]);
  });

  test("are left one by one: the server is told of the last", async () => {
    const { live, socket } = await openClient();
    const rooms = [live.join(NAME), live.join(NAME)];
    const heard = rooms.map((room) => listen(room, "said"));
    socket.answer({ ok: { room: NAME } });
    rooms[0].leave();
    rooms[0].leave();
    socket.say(said(undefined, 1));
    assert.deepEqual([heard, socket.sent], [[[], [["said", 1]]], []]);
    rooms[1].leave();
    assert.deepEqual(socket.take().map(({ leave }) => leave), [NAME]);
    rooms[1].leave();
    socket.say(said(undefined, 2));
    assert.deepEqual([heard[1].length, socket.sent], [1, []]);
  });

  test("of which the second is later gets a state, and no event before it; the first misses nothing", async () => {
    const { live, socket, heard: first } = await joinedRoom(NAME, { at: "e:3", state: 0 }, { events: ["state", "said"] });
    const second = listen(live.join(NAME), "state", "said");
    assert.deepEqual(socket.sent.map(({ join, since }) => [join, since]), [[NAME, undefined]]);
    socket.say(said("e:4"));
    socket.answer({ ok: { room: NAME, at: "e:4", recovered: false, state: 4 } });
    socket.say(said("e:5"));
    assert.deepEqual(second, [["state", 4], ["said", "e:5"]]);
    assert.deepEqual(first, [["state", 0], ["said", "e:4"], ["state", 4], ["said", "e:5"]]);
  });

  test("that start from different positions get a state", async () => {
    const { live, socket } = await openClient();
    const first = listen(live.join(NAME, { since: "e:3" }), "state", "said");
    const second = listen(live.join(NAME), "state", "said");
    const third = listen(live.join(NAME), "state", "said");
    const [one, two, ...others] = socket.take();
    assert.deepEqual([one.since, two.since, others], ["e:3", undefined, []]);
    socket.say({ id: one.id, ok: { room: NAME, at: "e:3", recovered: true } });
    socket.say(said("e:4"));
    socket.say({ id: two.id, ok: { room: NAME, at: "e:4", recovered: false, state: 4 } });
    socket.say(said("e:5"));
    assert.deepEqual(first, [["said", "e:4"], ["state", 4], ["said", "e:5"]]);
    assert.deepEqual([second, third], Array(2).fill([["state", 4], ["said", "e:5"]]));
  });

  for (const error of [{ code: "forbidden" }, { code: "unavailable", retry: true, retry_after: 1 }]) {
    test(`of which the first is answered with ${error.code} have the answer of the second`, async () => {
      const { live, socket } = await openClient();
      const rooms = [live.join(NAME, { since: "e:3" }), live.join(NAME)];
      const heard = rooms.map((room) => listen(room, "state", "error"));
      const [first, second] = socket.take();
      socket.say({ id: first.id, error });
      socket.say({ id: second.id, ok: { room: NAME, at: "e:4", recovered: false, state: 4 } });
      assert.deepEqual(heard, Array(2).fill([["state", 4]]));
      await world.advance(1_000);
      assert.deepEqual([socket.sent, world.reported], [[], []]);
    });
  }

  test("of which the second comes while the connection is lost get a state", async () => {
    const { live } = await joinedRoom(NAME, { at: "e:3", state: 0 });
    world.socket.drop();
    const second = listen(live.join(NAME), "state");
    await world.advance(20_000);
    const socket = await world.open();
    assert.deepEqual(socket.sent.map(({ since }) => since), [undefined]);
    socket.answer({ ok: { room: NAME, at: "e:9", recovered: false, state: 9 } });
    assert.deepEqual(second, [["state", 9]]);
  });

  test("are one again after a reconnect", async () => {
    const { live } = await joinedRoom(NAME, { at: "e:3" });
    live.join(NAME);
    world.socket.answer({ ok: { room: NAME, at: "e:3", recovered: false } });
    const { sent } = await reconnect();
    assert.deepEqual(sent.map(({ join, since }) => [join, since]), [[NAME, "e:3"]]);
  });

  test("that find a gap ask once", async () => {
    const { live, socket } = await joinedRoom(NAME, { at: "e:3" });
    live.join(NAME);
    socket.say(said("e:9"));
    live.join(NAME);
    assert.equal(socket.sent.length, 1);
  });
});

describe("a reconnect", () => {
  test("joins every room again, each from its position", async () => {
    const { live, socket } = await openClient();
    for (const [name, at] of [["a", "e:1"], ["b", undefined], ["c", "f:7"]]) {
      live.join(name);
      socket.answer({ ok: { room: name, at } });
    }
    const { sent } = await reconnect();
    assert.deepEqual(sent.map(({ join, since }) => [join, since]), [["a", "e:1"], ["b", undefined], ["c", "f:7"]]);
  });

  test("before the answer asks from the same position", async () => {
    const { live } = await openClient();
    live.join(NAME, { since: "e:3" });
    const { sent } = await reconnect();
    assert.deepEqual(sent.map(({ join, since }) => [join, since]), [[NAME, "e:3"]]);
  });

  test("gets the state of a room without history each time", async () => {
    const { heard } = await joinedRoom(NAME, { state: 1 }, { events: ["state"] });
    const socket = await reconnect();
    assert.equal(socket.sent[0].since, undefined);
    socket.answer({ ok: { room: NAME, state: 2 } });
    assert.deepEqual(heard, [["state", 1], ["state", 2]]);
  });

  test("after the back/forward cache resumes, too", async () => {
    await joinedRoom(NAME, { at: "e:3" });
    await world.happen("pagehide");
    await world.happen("pageshow");
    const { sent } = await world.open();
    assert.deepEqual(sent.map(({ join, since }) => [join, since]), [[NAME, "e:3"]]);
  });
});

describe("a room that the server takes us out of", () => {
  const LEFT = { code: 4403, reason: "kicked" };

  test("tells why, and is not joined again", async () => {
    const { socket, heard } = await joinedRoom(NAME, {}, { events: ["left", "said"] });
    socket.say({ room: NAME, left: LEFT });
    socket.say(said());
    assert.deepEqual([heard, socket.sent], [[["left", LEFT]], []]);
    const { sent } = await reconnect();
    assert.deepEqual(sent, []);
  });

  test("can be joined again, also by the listener", async () => {
    const { live, socket, room } = await joinedRoom(NAME);
    room.on("left", () => live.join(NAME));
    socket.say({ room: NAME, left: LEFT });
    assert.deepEqual(socket.take().map(({ join }) => join), [NAME]);
  });

  test("while another join is under way waits for its answer", async () => {
    const { live, socket, heard } = await joinedRoom(NAME, {}, { events: ["left", "state"] });
    live.join(NAME);
    socket.say({ room: NAME, left: LEFT });
    socket.answer({ ok: { room: NAME, state: 2 } });
    assert.deepEqual(heard, [["state", undefined], ["state", 2]]);
  });
});

describe("presence", () => {
  const person = (name, connections = 1) => ({ meta: { name }, connections });

  /** A room whose presence is known, and what its listener has had, as objects. */
  async function presentRoom(ok = { present: { 1: person("ada") }, v: 7 }) {
    const joined = await joinedRoom(NAME, ok);
    const maps = [];
    joined.room.on("presence", (people) => maps.push(people));
    return { ...joined, maps, last: () => Object.fromEntries(maps.at(-1)) };
  }

  test("is a Map, first of the snapshot and then with every change", async () => {
    const { live, socket } = await openClient();
    const heard = listen(live.join(NAME), "presence");
    socket.answer({ ok: { room: NAME, present: { 1: person("ada") }, v: 7 } });
    socket.say({ room: NAME, presence: { joined: { 2: person("bob") } }, v: 8 });
    socket.say({ room: NAME, presence: { changed: { 1: person("ada", 2) } }, v: 9 });
    socket.say({ room: NAME, presence: { left: ["2"], joined: {}, changed: {} }, v: 10 });
    socket.say({ room: NAME, present: { 3: person("eve") }, v: 1 });
    assert.deepEqual(
      heard.map(([, people]) => [people instanceof Map, Object.fromEntries(people)]),
      [
        [true, { 1: person("ada") }],
        [true, { 1: person("ada"), 2: person("bob") }],
        [true, { 1: person("ada", 2), 2: person("bob") }],
        [true, { 1: person("ada", 2) }],
        [true, { 3: person("eve") }],
      ],
    );
    assert.equal(new Set(heard.map(([, people]) => people)).size, 5, "each is a Map of its own");
  });

  test("does not go back: a change that is in the snapshot is ignored", async () => {
    const { socket, maps } = await presentRoom();
    for (const v of [6, 7]) socket.say({ room: NAME, presence: { left: ["1"] }, v });
    assert.deepEqual(maps, []);
  });

  test("of one who leaves and comes back at once is the newest", async () => {
    const { socket, last } = await presentRoom();
    socket.say({ room: NAME, presence: { left: ["1"], joined: { 1: person("ada", 2) } }, v: 8 });
    assert.deepEqual(last(), { 1: person("ada", 2) });
  });

  test("goes on after a reconnect from its version, with what has changed", async () => {
    const { last } = await presentRoom();
    const socket = await reconnect();
    assert.equal(socket.sent[0].v, 7);
    socket.answer({ ok: { room: NAME, presence: { joined: { 2: person("bob") }, left: ["1"], changed: {} }, v: 9 } });
    assert.deepEqual(last(), { 2: person("bob") });
    assert.equal((await reconnect()).sent[0].v, 9);
  });

  test("starts anew after a reconnect to a server that does not know the version", async () => {
    const { last } = await presentRoom();
    const socket = await reconnect();
    socket.answer({ ok: { room: NAME, present: { 3: person("eve") }, v: 1 } });
    socket.say({ room: NAME, presence: { joined: { 4: person("joe") } }, v: 2 });
    assert.deepEqual(last(), { 3: person("eve"), 4: person("joe") });
  });

  test("has keys that are only keys", async () => {
    const { live, socket } = await openClient();
    const heard = listen(live.join(NAME), "presence");
    const [{ id }] = socket.take();
    const keys = ["__proto__", "constructor", "toString"];
    const people = keys.map((key) => `"${key}": {"meta": null, "connections": 1}`).join();
    socket.say(`{"id": ${id}, "ok": {"room": "${NAME}", "present": {${people}}, "v": 1}}`);
    socket.say(`{"room": "${NAME}", "presence": {"joined": {"valueOf": {}}, "left": ["constructor"]}, "v": 2}`);
    socket.say(`{"room": "${NAME}", "presence": {"changed": {"__proto__": {"connections": 2}}}, "v": 3}`);
    socket.say(`{"room": "${NAME}", "presence": {"left": ["__proto__"]}, "v": 4}`);
    assert.deepEqual(heard.map(([, { size }]) => size), [3, 3, 3, 2]);
    assert.equal(heard[2][1].get("__proto__").connections, 2);
    assert.deepEqual([...heard[3][1].keys()].sort(), ["toString", "valueOf"]);
    assert.equal({}.connections, undefined);
  });

  test("that comes twice is the same: who has joined may be in the snapshot, who has left may be none of it", async () => {
    const { socket, last } = await presentRoom();
    const changes = { joined: { 1: person("ada"), 2: person("bob") }, left: ["9"], changed: {} };
    for (const v of [8, 9]) socket.say({ room: NAME, presence: changes, v });
    assert.deepEqual(last(), { 1: person("ada"), 2: person("bob") });
    socket.say({ room: NAME, presence: { joined: {}, left: [], changed: { 3: person("eve") } }, v: 10 });
    assert.deepEqual(last(), { 1: person("ada"), 2: person("bob"), 3: person("eve") });
  });

  test("goes on over numbers that are left out: several changes may be one", async () => {
    const { socket, last } = await presentRoom();
    socket.say({ room: NAME, presence: { joined: { 2: person("bob") }, left: [], changed: {} }, v: 12 });
    assert.deepEqual(last(), { 1: person("ada"), 2: person("bob") });
    assert.equal((await reconnect()).sent[0].v, 12);
  });

  test("goes on after a reconnect in which nothing has changed, and says nothing", async () => {
    const { maps } = await presentRoom();
    const socket = await reconnect();
    socket.answer({ ok: { room: NAME, presence: { joined: {}, left: [], changed: {} }, v: 7 } });
    assert.deepEqual(maps, []);
    assert.equal((await reconnect()).sent[0].v, 7);
  });

  test("goes on beside events that were missed", async () => {
    const { room, last } = await presentRoom({ at: "e:3", state: 0, present: { 1: person("ada") }, v: 7 });
    const heard = listen(room, "state", "said");
    const socket = await reconnect();
    assert.deepEqual([socket.sent[0].since, socket.sent[0].v], ["e:3", 7]);
    const presence = { joined: { 2: person("bob") }, left: [], changed: {} };
    socket.answer({ ok: { room: NAME, at: "e:3", to: "e:4", recovered: true, presence, v: 8 } });
    socket.say({ room: NAME, event: "said", data: 4, at: "e:4" });
    assert.deepEqual(heard, [["said", 4]]);
    assert.deepEqual(last(), { 1: person("ada"), 2: person("bob") });
  });

  test("of a room that is left and joined anew has nothing of before", async () => {
    const { live, room, socket } = await presentRoom();
    room.leave();
    const again = live.join(NAME);
    const heard = listen(again, "presence");
    const { v } = socket.sent.at(-1);
    assert.equal(v, undefined);
    socket.say({ room: NAME, presence: { joined: { 9: person("old") }, left: [], changed: {} }, v: 8 });
    socket.answer({ ok: { room: NAME, present: { 3: person("eve") }, v: 3 } });
    socket.say({ room: NAME, presence: { joined: {}, left: [], changed: { 3: person("eve", 2) } }, v: 4 });
    assert.deepEqual(heard.map(([, people]) => Object.fromEntries(people)), [
      { 3: person("eve") },
      { 3: person("eve", 2) },
    ]);
  });

  test("is told to one that joins later at once, with the state, and the first misses nothing meanwhile", async () => {
    const { live, socket, maps, last } = await presentRoom({ state: 1, present: { 1: person("ada") }, v: 7 });
    const heard = listen(live.join(NAME), "state", "presence");
    assert.equal(socket.sent.at(-1).v, undefined, "all who are present are asked for");
    const changes = { joined: { 2: person("bob") }, left: [], changed: {} };
    socket.say({ room: NAME, presence: changes, v: 8 });
    assert.equal(maps.length, 1);
    socket.answer({ ok: { room: NAME, state: 2, present: { 1: person("ada"), 2: person("bob") }, v: 8 } });
    socket.say({ room: NAME, presence: changes, v: 8 });
    assert.deepEqual(heard.at(-2), ["state", 2]);
    assert.deepEqual(Object.fromEntries(heard.at(-1)[1]), last());
    assert.deepEqual(last(), { 1: person("ada"), 2: person("bob") });
  });

  test("of two joins that share one answer is told to both", async () => {
    const { live, socket } = await openClient();
    const heard = [live.join(NAME), live.join(NAME)].map((room) => listen(room, "state", "presence"));
    socket.answer({ ok: { room: NAME, state: 1, present: { 1: person("ada") }, v: 7 } });
    for (const one of heard) {
      assert.deepEqual(one.map(([event]) => event), ["state", "presence"]);
      assert.deepEqual(Object.fromEntries(one[1][1]), { 1: person("ada") });
    }
  });

  test("is asked for as a whole behind a gap of events", async () => {
    const { socket, last } = await presentRoom({ at: "e:3", present: { 1: person("ada") }, v: 7 });
    socket.say({ room: NAME, event: "said", data: 5, at: "e:5" });
    assert.deepEqual([socket.sent.at(-1).since, socket.sent.at(-1).v], [undefined, undefined]);
    socket.say({ room: NAME, presence: { joined: { 2: person("bob") }, left: [], changed: {} }, v: 8 });
    socket.answer({ ok: { room: NAME, at: "e:6", recovered: false, present: { 3: person("eve") }, v: 9 } });
    assert.deepEqual(last(), { 3: person("eve") });
  });

  test("may be a number only, also after a reconnect", async () => {
    const { live, socket } = await openClient();
    const heard = listen(live.join(NAME), "count", "presence");
    socket.answer({ ok: { room: NAME, count: 3 } });
    socket.say({ room: NAME, count: 0 });
    const next = await reconnect();
    assert.equal(next.sent[0].v, undefined);
    next.answer({ ok: { room: NAME, count: 5 } });
    assert.deepEqual(heard, [["count", 3], ["count", 0], ["count", 5]]);
  });
});

describe("newest values", () => {
  test("are a Map: of the state, and with each value that comes or goes", async () => {
    const { live, socket } = await openClient();
    const heard = [];
    const room = live.join("prices");
    room.on("latest", (latest, key) => heard.push([key, Object.fromEntries(latest)]));
    room.on("state", (state) => heard.push(["state", state]));
    socket.answer({ ok: { room: "prices", state: { BTC: 1 } } });
    socket.say({ room: "prices", key: "ETH", data: 2 });
    socket.say({ room: "prices", key: "BTC", data: null });
    socket.say({ room: "prices", key: "ETH", removed: true });
    assert.deepEqual(heard, [
      ["state", { BTC: 1 }],
      [undefined, { BTC: 1 }],
      ["ETH", { BTC: 1, ETH: 2 }],
      ["BTC", { BTC: null, ETH: 2 }],
      ["ETH", { BTC: null }],
    ]);
    const again = await reconnect();
    again.answer({ ok: { room: "prices", state: { LTC: 3 } } });
    assert.deepEqual(heard.at(-1), [undefined, { LTC: 3 }]);
  });

  test("have keys that are only keys", async () => {
    const { socket, room } = await joinedRoom("prices");
    const maps = listen(room, "latest");
    socket.say('{"room": "prices", "key": "__proto__", "data": 1}');
    assert.equal(maps[0][1].get("__proto__"), 1);
    socket.say('{"room": "prices", "key": "__proto__", "removed": true}');
    assert.equal(maps[0][1].size, 0);
  });

  for (const state of [null, 0, "text", [1, 2], true]) {
    test(`of the state ${JSON.stringify(state)} are no trouble`, async () => {
      const { heard } = await joinedRoom(NAME, { state }, { events: ["state"] });
      assert.deepEqual([heard, world.reported], [[["state", state]], []]);
    });
  }
});

describe("a room", () => {
  test("whose listener throws goes on, and so does its position", async () => {
    const { socket, room, heard } = await joinedRoom(NAME, { at: "e:3" }, { events: ["said"] });
    const end = room.on("said", () => {
      throw new Error("on purpose");
    });
    for (const event of ["state", "presence", "left", "error"]) {
      room.on(event, () => {
        throw new Error("on purpose");
      });
    }
    socket.say(said("e:4"));
    socket.say({ room: NAME, present: {}, v: 1 });
    socket.say({ room: NAME, state: 1, at: "e:4" });
    end();
    socket.say(said("e:5"));
    socket.say({ room: NAME, left: { code: 1000, reason: "" } });
    assert.deepEqual(heard, [["said", "e:4"], ["said", "e:5"]]);
    assert.equal(world.reported.length, 4);
  });

  test("that is left by its listener hears nothing more", async () => {
    const { live, socket } = await openClient();
    const room = live.join(NAME);
    const heard = listen(room, "presence", "said");
    room.on("state", () => room.leave());
    socket.answer({ ok: { room: NAME, state: 1, present: {}, v: 1 } });
    socket.say(said());
    assert.deepEqual([heard, socket.take().map(({ leave }) => leave)], [[], [NAME]]);
  });

  test("knows its name", async () => {
    const { room } = await joinedRoom(NAME);
    assert.equal(room.name, NAME);
  });
});
