/** A chat room: what was said in this tab, what waits to be sent, and who one is. */

import { Live } from "../live.js";
import { countUnseen, dayOf, make, showStatus, store, timeElement, uniqueKey } from "../page.js";

const KEPT = 300; // entries of history
const PATIENCE = 8_000; // milliseconds for a message to come back; then the connection is taken for dead
const RELOAD = 5_000; // milliseconds that a reload may take before it counts as having been away
const TOGETHER = 5 * 60_000; // milliseconds between messages that show the name once

const page = document.getElementById("content");
const [scroll, log, outbox] = ["scroll", "log", "outbox"].map((id) => document.getElementById(id));
const [empty, latest, hint] = ["empty", "latest", "hint"].map((id) => document.getElementById(id));
const [composer, text, nameShown] = ["composer", "text", "name"].map((id) => document.getElementById(id));
const { room, socket } = page.dataset;
const isSignedIn = "signedIn" in page.dataset;

const kept = {
  history: store("sessionStorage", `chat:history:${room}`, []),
  outbox: store("sessionStorage", `chat:outbox:${room}`, []),
  draft: store("sessionStorage", `chat:draft:${room}`, ""),
  leftAt: store("sessionStorage", `chat:left:${room}`, null),
  name: store("localStorage", "chat:name", null),
  recent: store("localStorage", "chat:recent", []),
};
const history = kept.history.read(); // {type: message | user_joined | user_left | gap, at, ...}
const waiting = kept.outbox.read(); // {id, text, problem?}
const seen = new Set(history.map(({ id }) => id).filter(Boolean));

let name = kept.name.read();
let wasCutAt = history.length > 0 && new Date() - new Date(kept.leftAt.read()) > RELOAD ? kept.leftAt.read() : null;
let missed = 0;
let deadline = 0;
let isFollowing = true; // the end of the conversation

const live = new Live(() => `${socket}?${new URLSearchParams({ name: name ?? "" })}`);
const countUnseenMessage = countUnseen();

// ── What happened ─────────────────────────────────────────────────────────────────────────────────────────────────────

const isMine = (entry) => entry.type === "message" && entry.mine;

function entryElement(entry, before) {
  if (entry.type !== "message") return eventElement(entry);
  const isFirst =
    before?.type !== "message" ||
    before.name !== entry.name ||
    isMine(before) !== isMine(entry) ||
    new Date(entry.at) - new Date(before.at) > TOGETHER;
  const item = make("li", isMine(entry) ? "said mine" : "said");
  if (isFirst) {
    item.classList.add("first");
    item.append(nameElement(entry));
  }
  item.append(bubbleElement(entry.text, timeElement(entry.at)));
  return item;
}

function nameElement({ name: who, signed_in: hasAccount }) {
  const line = make("p", "by");
  const label = make("bdi", "", who);
  label.style.setProperty("--hue", hueOf(who));
  line.append(label);
  if (hasAccount) {
    const badge = make("span", "badge", "✓");
    badge.title = "Signed in";
    badge.setAttribute("role", "img");
    badge.setAttribute("aria-label", "signed in");
    line.append(badge);
  }
  return line;
}

function bubbleElement(words, ...more) {
  const bubble = make("div", "bubble");
  const content = make("p", "text", words);
  content.dir = "auto";
  bubble.append(content, ...more);
  return bubble;
}

function eventElement(entry) {
  const item = make("li", "event");
  if (entry.type === "gap") {
    const [from, to] = [timeElement(entry.from), timeElement(entry.at)];
    if (from.textContent === to.textContent) item.append("Away for a moment at ", to);
    else item.append("Away from ", from, " to ", to, ": what others wrote meanwhile is missing here");
  } else {
    item.append(make("bdi", "", entry.name), entry.type === "user_joined" ? " came in · " : " left · ", timeElement(entry.at));
  }
  return item;
}

/** One hue for each name, the same on every page. */
function hueOf(who) {
  let hash = 0;
  for (const character of who) hash = (hash * 31 + character.codePointAt(0)) % 360;
  return hash;
}

function show(entry, before) {
  if (!before || dayOf(before.at) !== dayOf(entry.at)) log.append(make("li", "day", dayOf(entry.at)));
  log.append(entryElement(entry, before));
  if (log.childElementCount > 2 * KEPT) log.firstElementChild.remove();
  empty.hidden = true;
}

function add(entry) {
  show(entry, history.at(-1));
  history.push(entry);
  history.splice(0, history.length - KEPT);
  kept.history.write(history);
  if (isFollowing || isMine(entry)) {
    toEnd();
  } else if (entry.type === "message") {
    missed += 1;
    showLatest();
  }
}

// ── Where one reads ───────────────────────────────────────────────────────────────────────────────────────────────────

function toEnd() {
  scroll.scrollTop = scroll.scrollHeight;
  isFollowing = true;
  missed = 0;
  showLatest();
}

function showLatest() {
  latest.hidden = missed === 0;
  latest.textContent = missed === 1 ? "1 new message ↓" : `${missed} new messages ↓`;
}

latest.addEventListener("click", () => {
  toEnd();
  text.focus();
});
scroll.addEventListener("scroll", () => {
  isFollowing = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 60;
  if (isFollowing && missed) toEnd();
});
new ResizeObserver(() => isFollowing && toEnd()).observe(scroll); // a keyboard that comes up hides nothing

// ── What waits ────────────────────────────────────────────────────────────────────────────────────────────────────────

function showOutbox() {
  kept.outbox.write(waiting);
  outbox.replaceChildren(...waiting.map(waitingElement));
  empty.hidden = history.length + waiting.length > 0;
  const count = waiting.filter(({ problem }) => !problem).length;
  if (count < waiting.length) hint.textContent = "A message was not sent.";
  else if (count === 0 || live.state === "connected") hint.textContent = "";
  else hint.textContent = `${count === 1 ? "1 message waits" : `${count} messages wait`} for the connection.`;
}

function waitingElement(message) {
  const item = make("li", message.problem ? "said mine failed" : "said mine pending");
  item.append(bubbleElement(message.text, make("span", "time", message.problem ? "not sent" : live.state === "connected" ? "sending" : "waiting")));
  if (message.problem) {
    const line = make("p", "problem", message.problem);
    line.append(" ", button("Edit", () => edit(message)), " ", button("Discard", () => forget(message.id)));
    item.append(line);
  }
  return item;
}

function button(label, action) {
  const element = make("button", "link", label);
  element.type = "button";
  element.addEventListener("click", action);
  return element;
}

function edit(message) {
  forget(message.id);
  write([message.text, text.value].filter(Boolean).join("\n"));
  text.focus();
}

function forget(id) {
  const index = waiting.findIndex((message) => message.id === id);
  if (index >= 0) waiting.splice(index, 1);
  showOutbox();
  return index >= 0;
}

/** Send what waits. What was sent before a connection broke is sent again: nobody shows one id twice. */
function flush() {
  for (const { id, text: words, problem } of waiting) if (!problem) live.send({ id, text: words });
  watch();
}

/** A connection on which nothing comes back is dead, whatever the browser believes. */
function watch() {
  clearTimeout(deadline);
  deadline = 0;
  if (waiting.some(({ problem }) => !problem) && live.state === "connected") {
    deadline = setTimeout(() => live.retry(), PATIENCE);
  }
}

// ── What comes ────────────────────────────────────────────────────────────────────────────────────────────────────────

live.addEventListener("message", ({ detail: message }) => {
  if (message.type === "welcome") {
    nameShown.textContent = message.name;
  } else if (message.type === "error") {
    const failed = waiting.find(({ id }) => id === message.id);
    if (failed) failed.problem = message.message;
    showOutbox();
    watch();
    toEnd();
  } else if (message.type === "message") {
    const mine = Boolean(message.id) && forget(message.id);
    if (mine) watch();
    if (message.id && seen.has(message.id)) return;
    seen.add(message.id);
    add({ ...message, mine });
    if (!mine) countUnseenMessage();
  } else if (message.type === "user_joined" || message.type === "user_left") {
    add(message);
  }
});

live.addEventListener("open", () => {
  if (wasCutAt) add({ type: "gap", from: wasCutAt, at: new Date().toISOString() });
  wasCutAt = null;
  flush();
});

live.addEventListener("state", () => {
  if (live.state !== "connected" && live.state !== "connecting") wasCutAt ??= new Date().toISOString();
  showOutbox();
});

addEventListener("pagehide", () => kept.leftAt.write(new Date().toISOString()));

// ── What one writes ───────────────────────────────────────────────────────────────────────────────────────────────────

function write(words) {
  text.value = words;
  wrote();
}

function wrote() {
  kept.draft.write(text.value);
  text.style.height = "auto";
  text.style.height = `${text.scrollHeight}px`;
}

text.addEventListener("input", wrote);
text.addEventListener("keydown", (event) => {
  // Enter also picks a word of an input method.
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    composer.requestSubmit();
  }
});
composer.addEventListener("submit", (event) => {
  event.preventDefault();
  const words = text.value.trim();
  if (!words) return;
  const message = { id: uniqueKey(), text: words };
  waiting.push(message);
  showOutbox();
  live.send(message);
  if (!deadline) watch();
  write("");
  toEnd();
  text.focus();
});

// ── Who one is ────────────────────────────────────────────────────────────────────────────────────────────────────────

const naming = document.getElementById("naming");
if (naming) {
  const field = document.getElementById("new-name");
  const ask = () => {
    field.value = name ?? "";
    naming.showModal();
    field.select();
  };
  document.getElementById("rename").addEventListener("click", ask);
  // Enter, the button and Escape all end here; Escape keeps the name, or makes one a guest.
  naming.querySelector("form").addEventListener("submit", () => {
    const isNew = field.value.trim() !== name;
    name = field.value.trim();
    kept.name.write(name);
    if (isNew) {
      live.close();
      wasCutAt = null;
    }
  });
  naming.addEventListener("close", () => {
    name ??= "";
    live.open();
    text.focus();
  });
  if (name === null) ask();
}

// ── Start ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

kept.recent.write([room, ...kept.recent.read().filter((other) => other !== room)].slice(0, 8));
history.forEach((entry, index) => show(entry, history[index - 1]));
write(kept.draft.read());
showStatus(live);
showOutbox();
toEnd();
if (isSignedIn || name !== null) live.open();
