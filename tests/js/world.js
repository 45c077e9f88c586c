/**
 * What the client sees of its surroundings, under the control of a test: clock, chance, page and sockets.
 */

import { after, afterEach, beforeEach } from "node:test";

import { connect } from "../../django_fastws/static/django_fastws/fastws.js";

/** A socket whose other end is played by the test. */
export class FakeSocket {
  readyState = 0;
  /** What the client has sent, decoded. */
  sent = [];
  /** With which arguments the client has closed it. */
  closed = undefined;
  onopen = null;
  onmessage = null;
  onclose = null;

  constructor(url, protocols) {
    this.url = String(url);
    if (!/^wss?:/.test(this.url)) throw new SyntaxError(`the scheme of ${this.url} is not allowed`);
    this.protocols = protocols;
    world.sockets.push(this);
  }

  send(text) {
    if (this.readyState === 0) throw new Error("InvalidStateError: the socket is connecting");
    if (this.readyState === 1) this.sent.push(JSON.parse(text));
  }

  close(...args) {
    this.closed ??= args;
    if (this.readyState < 2) this.readyState = 2;
  }

  /** What was sent since the last call of this. */
  take() {
    return this.sent.splice(0);
  }

  open() {
    this.readyState = 1;
    this.onopen?.({});
  }

  /** A frame of the server. Text is sent as it is. */
  say(frame) {
    this.onmessage?.({ data: typeof frame === "string" ? frame : JSON.stringify(frame) });
  }

  /** Answer the last frame that was sent and not taken. */
  answer(answer) {
    const { id } = this.take().at(-1);
    this.say({ id, ...answer });
  }

  /** The connection is closed by the server, or by the network. */
  drop(code = 1006, reason = "") {
    this.readyState = 3;
    this.onclose?.({ code, reason });
  }
}

class World {
  now = 1_800_000_000_000;
  random = 0.5;
  sockets = [];
  reported = [];
  page = new EventTarget();
  document = { visibilityState: "visible" };
  #timers = new Map();
  #lastTimer = 0;

  install() {
    Object.assign(globalThis, {
      document: this.document,
      location: { href: "https://example.org/desk/5?x=1" },
      reportError: (error) => this.reported.push(error),
      addEventListener: this.page.addEventListener.bind(this.page),
      removeEventListener: this.page.removeEventListener.bind(this.page),
      setTimeout: (fn, ms) => {
        const delay = ms > 0x7fff_ffff ? 1 : ms; // as in browsers, and in Node
        this.#timers.set(++this.#lastTimer, { fn, at: this.now + delay });
        return this.#lastTimer;
      },
      clearTimeout: (timer) => this.#timers.delete(timer),
    });
    Date.now = () => this.now;
    Math.random = () => (typeof this.random === "function" ? this.random() : this.random);
  }

  get socket() {
    return this.sockets.at(-1);
  }

  get timers() {
    return this.#timers.size;
  }

  /** Let everything happen that waits for nothing but its turn. */
  async settle() {
    for (let turn = 0; turn < 30; turn++) await undefined;
  }

  /** Let time pass, with what is due in it. */
  async advance(ms) {
    const end = this.now + ms;
    for (;;) {
      await this.settle();
      const next = Math.min(...[...this.#timers.values()].map(({ at }) => at));
      if (!(next <= end)) break;
      this.now = Math.max(this.now, next);
      for (const [timer, { fn, at }] of this.#timers) {
        if (at <= this.now && this.#timers.delete(timer)) fn();
      }
    }
    this.now = end;
  }

  /** Let time pass as a laptop does that sleeps: nothing happens in it. */
  sleep(ms) {
    this.now += ms;
  }

  /** An event of the page. */
  async happen(type, visibilityState = "visible") {
    this.document.visibilityState = visibilityState;
    this.page.dispatchEvent(new Event(type));
    await this.settle();
  }

  /** Open the last socket, and answer to its hello. */
  async open(hello = { ping: 25, version: "1" }) {
    await this.settle();
    this.socket.open();
    this.socket.answer({ ok: hello });
    await this.settle();
    return this.socket;
  }
}

/** The world of the test that runs. */
export let world = new World();

const real = { now: Date.now, random: Math.random, setTimeout, clearTimeout };

/** Give each test of a file a new world. */
export function useWorld() {
  beforeEach(() => {
    world = new World();
    world.install();
  });
  afterEach(() => new Promise((resolve) => setImmediate(resolve))); // a rejection that nobody takes is this test's
  after(() => {
    Date.now = real.now;
    Math.random = real.random;
    Object.assign(globalThis, { setTimeout: real.setTimeout, clearTimeout: real.clearTimeout });
  });
}

/** A client in this world, and what it says about its state. */
export function client(options = {}, url = undefined) {
  const live = connect(url, { WebSocket: FakeSocket, ...options });
  const states = [];
  live.on("status", (status) => states.push(status));
  return { live, states };
}

/** A client whose connection is open. */
export async function openClient(options = {}) {
  const { live, states } = client(options);
  await world.open();
  return { live, states, socket: world.socket };
}

/** A room that is joined, with what its listeners get of some events. */
export async function joinedRoom(name = "tickets/5", ok = {}, { events = [], options } = {}) {
  const { live, socket, states } = await openClient(options);
  const room = live.join(name);
  const heard = listen(room, ...events);
  socket.answer({ ok: { room: name, recovered: false, ...ok } });
  await world.settle();
  return { live, states, socket, room, heard };
}

/** All that comes of some events of a room, as [event, first argument]. */
export function listen(room, ...events) {
  const heard = [];
  for (const event of events) room.on(event, (detail) => heard.push([event, detail]));
  return heard;
}

/** A promise whose end is of no interest. */
export function ignored(promise) {
  promise.catch(() => {});
}

/** How a promise stands: "pending", its value, or its error's code. */
export async function outcome(promise) {
  await world.settle();
  return Promise.race([
    promise.then(
      (value) => ({ value }),
      (error) => error.code ?? error,
    ),
    Promise.resolve().then(() => Promise.resolve()).then(() => Promise.resolve()).then(() => "pending"),
  ]);
}
