/**
 * A WebSocket that comes back by itself.
 *
 * Events:
 *   "state"    `state` or `secondsLeft` has changed
 *   "open"     a connection stands; it comes again after each reconnect
 *   "message"  `detail` is what came, decoded from JSON
 *
 * States: "connecting" for the first time, "connected", "reconnecting", "offline" (lost, and the device has no
 * network), "closed" (before open() and after close()).
 */

const FIRST_DELAY = 500; // milliseconds, doubled with every attempt
const LONGEST_DELAY = 20_000;
const PATIENCE = 10_000; // for a handshake
const PROVEN = 5_000; // a connection that stood this long starts the delays anew

const isHere = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);

/** Whether the device has no network. A server on the device itself needs none. */
const isOffline = () => !navigator.onLine && !isHere;

export class Live extends EventTarget {
  #address;
  #socket = null;
  #timer = 0;
  #attempt = 0;
  #openedAt = 0;
  #retryAt = 0;
  #state = "closed";

  /** @param {() => string} address gives the URL or path for each attempt; http becomes ws. */
  constructor(address) {
    super();
    this.#address = address;
    addEventListener("online", () => this.#wake());
    addEventListener("offline", () => isOffline() && this.#isWanted() && this.#lost());
    document.addEventListener("visibilitychange", () => document.hidden || this.#wake());
    // A page that waits in the back-forward cache must not hold a connection.
    addEventListener("pagehide", () => this.#drop());
    addEventListener("pageshow", (event) => event.persisted && this.retry());
  }

  get state() {
    return this.#state;
  }

  /** Whole seconds until the next attempt; 0 while one is under way. */
  get secondsLeft() {
    return this.#retryAt ? Math.max(0, Math.ceil((this.#retryAt - performance.now()) / 1000)) : 0;
  }

  open() {
    if (!this.#isWanted()) this.#connect("connecting");
  }

  close() {
    this.#drop();
    this.#attempt = 0;
    this.#set("closed");
  }

  /** Give up the connection or the wait, if any, and connect at once. */
  retry() {
    if (this.#isWanted()) this.#connect(this.#state === "connecting" ? "connecting" : "reconnecting");
  }

  /** Send JSON. Returns whether there is a connection to send on; that it arrives, only an answer can tell. */
  send(data) {
    if (this.#state !== "connected" || this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(data));
    return true;
  }

  #isWanted() {
    return this.#state !== "closed";
  }

  #connect(state) {
    this.#drop();
    this.#set(state);
    const url = new URL(this.#address(), location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = new WebSocket(url);
    this.#socket = socket;
    this.#timer = setTimeout(() => this.#lost(), PATIENCE);
    socket.onopen = () => {
      clearTimeout(this.#timer);
      this.#openedAt = performance.now();
      this.#set("connected");
      this.dispatchEvent(new Event("open"));
    };
    socket.onmessage = ({ data }) => this.dispatchEvent(new CustomEvent("message", { detail: JSON.parse(data) }));
    socket.onclose = () => this.#lost();
  }

  #lost() {
    if (this.#openedAt && performance.now() - this.#openedAt > PROVEN) this.#attempt = 0;
    this.#drop();
    // Many pages lose their server at once; chance keeps them from coming back at once.
    const longest = Math.min(FIRST_DELAY * 2 ** this.#attempt++, LONGEST_DELAY);
    // Without a network the attempts are rare, but they go on: browsers are not always right about it.
    this.#retryAt = performance.now() + (isOffline() ? LONGEST_DELAY : longest * (0.5 + Math.random() / 2));
    this.#count();
  }

  /** Tell the seconds, one by one, and connect after the last. */
  #count() {
    const left = this.#retryAt - performance.now();
    if (left <= 0) {
      this.#connect(this.#state);
      return;
    }
    this.#set(isOffline() ? "offline" : "reconnecting");
    this.#timer = setTimeout(() => this.#count(), left % 1000 || 1000);
  }

  /** Something has changed for the better. */
  #wake() {
    if (this.#isWanted() && this.#state !== "connected") this.retry();
  }

  #drop() {
    clearTimeout(this.#timer);
    this.#retryAt = this.#openedAt = 0;
    const socket = this.#socket;
    this.#socket = null;
    if (socket) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    }
  }

  #set(state) {
    this.#state = state;
    this.dispatchEvent(new Event("state"));
  }
}
