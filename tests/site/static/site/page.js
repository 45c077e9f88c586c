/**
 * A page that does what a test tells it to, through `page`, and records what it sees.
 */

const { connect } = await import(document.querySelector("script").dataset.client);

const record = { statuses: [], closes: [], sent: [], heard: [], shown: [], violations: [] };
const rooms = new Map();

class Socket extends WebSocket {
  constructor(...args) {
    super(...args);
    this.addEventListener("close", ({ code, reason }) => record.closes.push([code, reason]));
  }

  send(text) {
    record.sent.push(JSON.parse(text));
    super.send(text);
  }
}

addEventListener("pageshow", ({ persisted }) => record.shown.push(persisted));
addEventListener("securitypolicyviolation", ({ violatedDirective }) => record.violations.push(violatedDirective));

globalThis.page = {
  record,
  rooms,
  /** The notes of the last state and since then, as a page shows them that applies what it hears idempotently. */
  notes: [],
  tokens: [],

  connect({ withTokens = false } = {}) {
    const token = withTokens ? async () => page.tokens.shift() : undefined;
    page.live = connect(undefined, { WebSocket: Socket, token });
    page.live.on("status", (status) => record.statuses.push(status));
    page.live.on("greeting", (data) => record.heard.push(["live", "greeting", data]));
  },

  /** Join a room, which is `key` from now on. */
  join(name, key = name) {
    const room = page.live.join(name);
    rooms.set(key, room);
    for (const event of ["state", "noted", "left", "error"]) {
      room.on(event, (data) => record.heard.push([key, event, data]));
    }
    room.on("state", (state) => (page.notes = [...(state?.notes ?? [])]));
    room.on("noted", ({ text }) => page.notes.includes(text) || page.notes.push(text));
  },

  async call(key, event, data, options) {
    try {
      return { ok: await rooms.get(key).call(event, data, options) };
    } catch (error) {
      const { name, code, message, fields, retry } = error;
      return { error: { name, code, message, fields, retry } };
    }
  },

  async stream(key, event, data) {
    const items = [];
    for await (const item of rooms.get(key).stream(event, data)) items.push(item);
    return items;
  },

  /** What one room has heard of an event. */
  heard: (key, event) => record.heard.filter((one) => one[0] === key && one[1] === event).map((one) => one[2]),

  async until(condition) {
    while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
  },
};
document.documentElement.dataset.ready = "";
