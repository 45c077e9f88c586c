/** The bar of every live page: how the connection stands, who is here, and a way to cut the connection. */

import { byId, hueOf, make } from "./page.js";

const AWAY = 5_000; // milliseconds for which a cut lasts

const LABELS = {
  connecting: "Connecting",
  open: "Connected",
  waiting: "Connection lost",
  offline: "Offline",
  closed: "Not connected",
};

const isHere = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);

/** Whether the device has no network. A server on the device itself needs none. */
const isOffline = () => !navigator.onLine && !isHere;

// What the browser says when the network is back: the client does not wait any longer.
const sayOnline = () => dispatchEvent(new Event("online"));

// ── A connection that can be cut ──────────────────────────────────────────────────────────────────────────────────────

let socket; // the last one
let back; // timer of the end of a cut; undefined while there is none
/** @type {(frame: any) => void} */
let heard = () => {}; // what the server says

/**
 * What `connect()` takes for its WebSocket, so that the page can cut it, and see what the server answers.
 *
 * It makes real ones, unless the connection is cut: then what comes of it is what comes of a network that is away.
 *
 * @type {any}
 */
export const Cuttable = function (url, protocols) {
  if (back) {
    const lost = { send() {}, close() {}, onclose: undefined };
    setTimeout(() => lost.onclose?.({ code: 1006, reason: "" }));
    return lost;
  }
  socket = new WebSocket(url, protocols);
  socket.addEventListener("message", ({ data }) => heard(JSON.parse(data)));
  return socket;
};

function cut() {
  back = setTimeout(reconnect, AWAY);
  socket?.close(4000, "cut by hand"); // with such a code, the client comes again
}

function reconnect() {
  clearTimeout(back);
  back = undefined;
  sayOnline();
}

// ── The bar ───────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Show the connection, and who is in the room; and, after a cut, what these rooms had missed. Once in a page. */
export function showBar(live, room, ...more) {
  showStatus(live);
  showPeople(room);
  showCut(live, [room, ...more]);
}

function showStatus(live) {
  const root = byId("status");
  const [label, detail] = [root.querySelector(".status-label"), root.querySelector(".status-detail")];
  const retry = root.querySelector(".status-retry");
  let retryAt = 0;
  let clock = 0;

  const show = () => {
    const { state, reason } = live.status;
    const shown = isOffline() ? "offline" : state;
    root.dataset.state = shown;
    // Only the label is read out: a countdown would not stop talking.
    if (label.textContent !== LABELS[shown]) label.textContent = LABELS[shown];
    const seconds = Math.max(0, Math.ceil((retryAt - performance.now()) / 1000));
    detail.textContent = shown === "waiting" ? `next try in ${seconds} s` : (reason ?? "");
    if (shown === "closed") byId("people").hidden = true; // nobody tells any more who comes and goes
    retry.hidden = shown !== "waiting" && shown !== "closed";
    retry.textContent = shown === "closed" ? "Reload" : "Retry now";
    clearTimeout(clock);
    if (shown === "waiting" && Number.isFinite(retryAt)) clock = setTimeout(show, 1000);
  };

  live.on("status", ({ retryIn = 0 }) => {
    retryAt = performance.now() + retryIn;
    show();
  });
  for (const type of ["online", "offline"]) addEventListener(type, show);
  retry.addEventListener("click", () => (live.status.state === "closed" ? location.reload() : reconnect()));
  show();
}

/** A dot for each person who is in a room. */
export function showPeople(room) {
  const list = byId("people");
  room.on("presence", (people) => {
    list.replaceChildren(
      ...[...people.values()].map(({ meta, connections }) => {
        const item = personElement("li", meta.name);
        item.title = connections > 1 ? `${meta.name}, on ${connections} pages` : meta.name;
        item.append(make("span", "visually-hidden", item.title));
        return item;
      }),
    );
    list.hidden = false;
  });
}

/** A dot with the first letter of a name, in its colour; for the eye alone. */
export function personElement(tag, name) {
  const element = make(tag, "person");
  const letter = make("span", "", [...name][0].toUpperCase());
  letter.setAttribute("aria-hidden", "true");
  element.style.setProperty("--hue", hueOf(name));
  element.append(letter);
  return element;
}

// ── A cut, and what comes back after it ───────────────────────────────────────────────────────────────────────────────

function showCut(live, rooms) {
  const button = byId("cut");
  const told = byId("resumed");
  const names = rooms.map((room) => room.name);
  let isAway = false;
  let answers = []; // to the joins after the cut

  button.addEventListener("click", () => {
    isAway = true;
    answers = [];
    told.textContent = `Cut for ${AWAY / 1000} s. Do something in the other window meanwhile.`;
    cut();
  });
  live.on("status", ({ state }) => {
    button.disabled = state !== "open";
    if (state === "waiting" && !isAway) told.textContent = ""; // of the cut before
  });
  heard = ({ ok }) => {
    if (!isAway || !names.includes(ok?.room)) return;
    answers.push(ok);
    if (answers.length < names.length) return;
    isAway = false;
    answers.sort((one, other) => names.indexOf(one.room) - names.indexOf(other.room));
    told.textContent = `Back. ${resultOf(answers)}`;
  };
}

/** What the answers to the joins say: see the page on the protocol. */
function resultOf(answers) {
  const offsetOf = (at) => Number(at.slice(at.lastIndexOf(":") + 1));
  if (answers.every(({ recovered }) => recovered)) {
    const missed = answers.map(({ room, at, to = at }) => [room, offsetOf(to) - offsetOf(at)]).filter(([, count]) => count);
    if (!missed.length) return "Resumed: nothing was missed.";
    const counts = missed.map(([room, count]) => `${count} ${count === 1 ? "event" : "events"} of ${room}`);
    return `Resumed: ${counts.join(" and ")} replayed, in order.`;
  }
  return answers.some(({ at }) => at)
    ? "More was missed than the history has: it began again with the state."
    : "This room keeps no history: it began again with its state.";
}
