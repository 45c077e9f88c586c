/**
 * Browser client of django_fastws. What it offers is in fastws.d.ts, what is inside in internal.d.ts.
 *
 * @import * as Types from "./internal.js"
 */

// Milliseconds.
const STABLE = 5_000; // open for longer, resets the backoff
const PING_GRACE = 10_000;
const TIMEOUT = 10_000;

const MAX_WAITING = 100; // calls in a room
const PAGE_EVENTS = ["online", "pageshow", "visibilitychange", "pagehide"];

/** Full jitter, of at most 20 s. @param {number} attempt */
const backoff = (attempt) => Math.random() * Math.min(20_000, 500 * 2 ** attempt);

// randomUUID() needs https.
const makeClientId = () => `c-${crypto.getRandomValues(new Uint32Array(3)).join("-")}`;

/** @type {(fn: () => void, ms: number) => any} */
const after = (fn, ms) => setTimeout(fn, Math.min(ms, 2e9)); // more is none

/** A position, its epoch, and its offset. @type {(at: any) => any[]} */
const split = (at) => /^(.+):(\d+)$/.exec(at) ?? [];

/** @param {unknown} error */
const report = (error) => (globalThis.reportError ?? console.error)(error);

export class LiveError extends Error {
  name = "LiveError";

  constructor(/** @type {string} */ code, message = code, /** @type {Types.Details} */ details = {}) {
    super(message);
    this.code = code;
    this.fields = details.fields ?? {};
    this.retry = !!details.retry;
    this.retryAfter = details.retry_after && details.retry_after * 1000;
  }
}

const notJoined = (reason = "") => new LiveError("not_joined", reason || "not in the room");

/** @type {(name?: string) => Types.Emitter} */
const createEmitter = (name) => {
  const listeners = new Set();
  return {
    on(event, fn) {
      const listener = { event, fn };
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    emit(event, ...args) {
      const called = [...listeners].filter((listener) => listener.event === event);
      if (event === "error" && !called.length) report(new LiveError(args[0].code, `${name}: ${args[0].message}`));
      for (const listener of called) {
        try {
          if (listeners.has(listener)) listener.fn(...args);
        } catch (error) {
          report(error);
        }
      }
    },
  };
};

/** @type {Types.CreateCall} */
const createCall = (subscription, room, event, data = {}, options = {}, item = () => {}) => {
  const { timeout = TIMEOUT, signal, once, queue } = options;
  const { connection, name, rooms, waiting } = subscription;
  if (!rooms.has(room)) throw notJoined();
  const id = once ? `${connection.secret}-${++connection.ids}` : ++connection.ids;
  const text = JSON.stringify({ room: name, event, data, id, once });
  let sent = false;
  /** @type {any} */
  let settle;
  const promise = new Promise((resolve, reject) => (settle = { resolve, reject }));

  /** @type {Types.Call} */
  const call = {
    promise,
    queue,
    send() {
      sent = true;
      connection.pending.set(id, (message) => {
        if ("item" in message) item(message.item);
        else if (message.error || "ok" in message) call.end(message.error, message.ok);
        else if (once && rooms.size) waiting.add(call);
        else call.fail();
      });
      connection.socket?.send(text);
    },
    fail(error) {
      call.end(sent ? new LiveError("unknown", "connection lost, the call may have happened") : error);
    },
    stop(code) {
      waiting.delete(call);
      if (connection.pending.delete(id)) connection.send({ cancel: id });
      call.end(new LiveError(code, `${event}: ${code}`));
    },
    end(error, ok) {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
      if (error) settle.reject(error);
      else settle.resolve(ok);
    },
  };

  const abort = () => call.stop("cancelled");
  const timer = timeout < Infinity ? after(() => call.stop("timeout"), timeout) : undefined;
  signal?.addEventListener("abort", abort);
  if (signal?.aborted) abort();
  else subscription.take(call);
  return call;
};

/** @type {Types.CreateStream} */
const createStream = (start) => {
  /** @type {any[]} */
  const steps = [];
  /** @type {Function} */
  let wake = () => {};
  const push = (/** @type {object} */ step) => {
    steps.push(step);
    wake();
  };
  const call = start((item) => push({ item }));
  call.promise.then(
    () => push({}),
    (error) => push({ error }),
  );
  const stream = (async function* () {
    for (;;) {
      while (!steps.length) await new Promise((resolve) => (wake = resolve));
      const { item, error } = steps.shift();
      if (error) throw error;
      if (item === undefined) return;
      yield item;
    }
  })();
  // The generator's own would wait for the next item.
  stream.return = async (value) => {
    steps.length = 0;
    push({});
    call.stop("cancelled");
    return { value: await value, done: true };
  };
  return stream;
};

/** @type {Types.CreateSubscription} */
const createSubscription = (connection, name, at) => ({
  connection,
  name,
  at,
  rooms: new Set(),
  waiting: new Set(),
  people: {},
  latest: new Map(),
  attempt: 0,
  joining: 0,
  joined: false,
  known: false,
  live: false,
  fresh: false,

  add(since) {
    connection.subscriptions.set(name, this);
    if (this.known || since !== this.at) this.restart();
    else if (!this.rooms.size) this.join();
    const subscription = this;
    const room = { ...createEmitter(name), ready: !this.fresh };
    this.rooms.add(room);
    return {
      name,
      get at() {
        return room.ready ? subscription.at : undefined;
      },
      on: room.on,
      call: async (...args) => createCall(subscription, room, ...args).promise,
      stream: (event, data, options) =>
        createStream((item) => createCall(subscription, room, event, data, { timeout: Infinity, ...options }, item)),
      leave: () => {
        if (this.rooms.size > 1) this.rooms.delete(room);
        else if (this.rooms.has(room)) this.end(notJoined());
      },
    };
  },

  take(call) {
    const retry = connection.status.state !== "closed";
    if (this.joined) call.send();
    else if (retry && (call.queue || !this.known) && this.waiting.size < MAX_WAITING) this.waiting.add(call);
    else call.end(new LiveError("unavailable", retry ? "not connected" : "closed", { retry }));
  },

  join() {
    clearTimeout(this.timer);
    if (connection.opened === Infinity) return;
    this.joining++;
    const [since, v] = this.fresh ? [] : [this.at, this.version];
    connection.request({ join: name, since, v }, (answer) => this.answered(answer, since));
  },

  answered({ ok, error }, since) {
    if (!this.rooms.size) return;
    this.joining--;
    if (ok) {
      this.joined = this.known = true;
      this.attempt = 0;
      for (const call of this.waiting) call.send();
      this.waiting.clear();
      if (since && ok.recovered) this.live = true;
      else this.reset(ok);
      this.update(ok);
    } else if (error && !this.joining) {
      if (!error.retry) return this.end(error, "error");
      this.timer = after(() => this.join(), error.retryAfter ?? backoff(this.attempt++));
      this.emit("error", error);
    }
  },

  restart() {
    if (this.fresh) return;
    this.fresh = true;
    this.join();
  },

  emit(event, ...args) {
    for (const room of this.rooms) room.emit(event, ...args);
  },

  receive(message) {
    if (!this.live) return;
    const { left, at } = message;
    if (left) {
      this.joined = this.known = this.live = false;
      if (!this.joining) this.end(notJoined(left.reason), "left", left);
    } else if ("state" in message || message.recovered === false) this.reset(message);
    else if (at === undefined || this.advance(at)) this.update(message);
  },

  advance(at) {
    const [, epoch, offset] = split(at);
    const [, lastEpoch = epoch, last = offset - 1] = split(this.at);
    const step = epoch === lastEpoch ? offset - last : NaN;
    if (step < 1) return false; // known
    this.live = step === 1;
    if (this.live) this.at = at;
    else this.restart(); // a gap
    return this.live;
  },

  reset({ at, state }) {
    [this.at] = split(at);
    this.live = true;
    this.fresh = false;
    for (const room of this.rooms) room.ready = true;
    this.emit("state", state);
    this.latest = new Map(Object.entries(state ?? {}));
    this.emit("latest", this.latest);
  },

  update(message) {
    const { present, presence, v, count, key, data, event, removed } = message;
    if (present || (presence && !(v <= this.version))) {
      this.version = v;
      for (const gone of presence?.left ?? []) delete this.people[gone];
      this.people = present ?? { ...this.people, ...presence.joined, ...presence.changed };
      this.emit("presence", new Map(Object.entries(this.people)));
    }
    if (count !== undefined) this.emit("count", count);
    if (key !== undefined) {
      if (removed) this.latest.delete(key);
      else this.latest.set(key, data);
      this.emit("latest", this.latest, key);
    } else if (event !== undefined) {
      for (const room of this.rooms) if (room.ready) room.emit(event, data, message);
    }
  },

  lose() {
    clearTimeout(this.timer);
    this.joined = this.live = false;
  },

  fail(error) {
    for (const call of this.waiting) call.fail(error);
  },

  end(error, event, detail = error) {
    const rooms = [...this.rooms];
    this.rooms.clear();
    clearTimeout(this.timer);
    connection.subscriptions.delete(name);
    if (this.joined || this.joining) connection.request({ leave: name });
    this.fail(error);
    if (event) for (const room of rooms) room.emit(event, detail);
  },
});

/** @type {Types.CreateConnection} */
const createConnection = (url, { protocols = ["fastws.v1.json"], WebSocket = globalThis.WebSocket, token }) => ({
  ...createEmitter(),
  client: makeClientId(),
  secret: makeClientId(),
  status: { state: "connecting" },
  pending: new Map(),
  subscriptions: new Map(),
  answers: new Map(),
  refreshed: false,
  ids: 0,
  attempt: 0,
  opened: Infinity,
  seen: 0,
  silence: 0,

  set(status) {
    this.status = status;
    this.emit("status", status);
  },

  async open() {
    const { pending } = this;
    clearTimeout(this.timer);
    this.seen = Date.now();
    this.silence = 35_000; // until hello is answered
    this.watch();
    this.set({ state: "connecting" });
    let code;
    try {
      this.token ??= await token?.();
      if (pending !== this.pending) return;
      code = 4400; // a bad URL is no better the next time
      const socket = (this.socket = new WebSocket(url, protocols));
      socket.onopen = () => socket === this.socket && this.hello();
      socket.onmessage = ({ data }) => socket === this.socket && this.receive(data);
      socket.onclose = ({ code, reason }) => socket === this.socket && this.lose(code, reason);
    } catch (error) {
      report(error);
      if (pending === this.pending) this.lose(code, String(error));
    }
  },

  hello() {
    this.request({ hello: { client: this.client, token: this.token } }, ({ ok, error }) => {
      if (ok) {
        this.opened = Date.now();
        this.silence = (ok.ping || Infinity) * 1000 + PING_GRACE;
        this.watch();
        for (const subscription of this.subscriptions.values()) subscription.join();
        this.set({ state: "open" });
      } else if (error) {
        if (error.code === "forbidden") this.client = makeClientId(); // another user has it
        this.lose(error.code === "unauthenticated" ? 4401 : 1006, error.message);
      }
    });
  },

  watch() {
    clearTimeout(this.watcher);
    this.seen = Math.min(this.seen, Date.now());
    const rest = this.seen + this.silence - Date.now();
    if (rest <= 0) this.lose();
    else if (rest < Infinity) this.watcher = after(() => this.watch(), rest);
  },

  request(frame, answered) {
    this.pending.set(++this.ids, answered);
    this.send({ ...frame, id: this.ids });
  },

  send(frame) {
    this.socket?.send(JSON.stringify(frame));
  },

  receive(text) {
    this.seen = Date.now();
    try {
      const message = JSON.parse(text);
      const { id, ask, room, event, data, error } = message;
      if (id !== undefined) {
        if (error) message.error = new LiveError(error.code, error.message, error);
        const answered = this.pending.get(id);
        if (!("item" in message)) this.pending.delete(id);
        answered?.(message);
      } else if (ask !== undefined) this.answer(message);
      else if (room !== undefined) this.subscriptions.get(room)?.receive(message);
      else if (event !== undefined) this.emit(event, data);
    } catch (error) {
      report(error);
    }
  },

  async answer({ ask, event, data }) {
    const { socket } = this;
    let frame;
    try {
      const fn = this.answers.get(event);
      if (!fn) throw new LiveError("unknown_event");
      frame = JSON.stringify({ answer: ask, ok: (await fn(data)) ?? null });
    } catch (error) {
      if (!(error instanceof LiveError)) report(error);
      const { code, message, fields } = error instanceof LiveError ? error : new LiveError("failed");
      frame = JSON.stringify({ answer: ask, error: { code, message, fields } });
    }
    socket?.send(frame);
  },

  drop() {
    const { socket, pending } = this;
    this.socket = undefined;
    this.pending = new Map();
    this.opened = Infinity;
    clearTimeout(this.timer);
    clearTimeout(this.watcher);
    for (const answered of pending.values()) answered?.({});
    for (const subscription of this.subscriptions.values()) subscription.lose();
    socket?.close(1000);
  },

  lose(code = 1006, reason = "") {
    if (Date.now() - this.opened > STABLE) {
      this.attempt = 0;
      this.refreshed = false;
    }
    this.drop();
    if (code === 4401 && token && !this.refreshed) {
      this.refreshed = true;
      this.token = undefined;
      this.open();
    } else if (code === 1008 || (code >= 4400 && code <= 4499)) this.end(code, reason);
    else {
      const announced = /^service restart;(\d{1,6})$/.exec(reason)?.[1];
      const retryIn = announced ? Math.random() * +announced : backoff(this.attempt++);
      this.timer = after(() => this.open(), retryIn);
      this.set({ state: "waiting", retryIn });
    }
  },

  end(code, reason) {
    if (this.status.state === "closed") return;
    this.drop();
    for (const type of PAGE_EVENTS) globalThis.removeEventListener?.(type, this);
    this.set({ state: "closed", code, reason });
    for (const subscription of this.subscriptions.values()) subscription.fail(new LiveError("unavailable"));
  },

  handleEvent({ type }) {
    if (type === "pagehide") {
      this.drop(); // a page with an open socket is not kept for the back button
      this.set({ state: "waiting", retryIn: Infinity });
    } else if (type !== "visibilitychange" || document.visibilityState === "visible") {
      this.attempt = 0;
      if (this.status.state === "waiting") this.open();
      else this.watch();
    }
  },
});

/** @type {Types.Connect} */
export const connect = (url = "/ws/live", options = {}) => {
  const target = new URL(url, globalThis.location?.href);
  target.protocol = target.protocol.replace("http", "ws");
  const connection = createConnection(target, options);
  const { subscriptions, answers } = connection;
  for (const type of PAGE_EVENTS) globalThis.addEventListener?.(type, connection);
  queueMicrotask(() => connection.status.state === "connecting" && connection.open()); // the caller listens by then
  return {
    get status() {
      return connection.status;
    },
    on: connection.on,
    answer(event, fn) {
      answers.set(event, fn);
      return () => answers.get(event) === fn && answers.delete(event);
    },
    join(name, { since } = {}) {
      since ||= undefined;
      return (subscriptions.get(name) ?? createSubscription(connection, name, since)).add(since);
    },
    close: () => connection.end(1000, ""),
  };
};
