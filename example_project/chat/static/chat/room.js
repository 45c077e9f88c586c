/** A chat room: what was said, what is on its way, and who one is. */

import { connect } from "../django_fastws/fastws.js";
import { countUnseen, dayOf, make, showStatus, store, timeElement } from "../page.js";

const KEPT = 300; // entries on the page
const TOGETHER = 5 * 60_000; // milliseconds between messages that show the name once

const page = document.getElementById("content");
const [scroll, log, outbox] = ["scroll", "log", "outbox"].map((id) => document.getElementById(id));
const [empty, latest, hint] = ["empty", "latest", "hint"].map((id) => document.getElementById(id));
const [composer, text] = ["composer", "text"].map((id) => document.getElementById(id));
const { room: roomName, liveRoom, key } = page.dataset;

const kept = {
  draft: store("sessionStorage", `chat:draft:${roomName}`, ""),
  recent: store("localStorage", "chat:recent", []),
};
const messages = new Map(); // by their number
const countUnseenMessage = countUnseen();

let room; // once one is in
let last; // entry of the log
let missed = 0;
let isFollowing = true; // the end of the conversation

// ── The room ──────────────────────────────────────────────────────────────────────────────────────────────────────────

function goIn() {
  const live = connect();
  room = live.join(liveRoom);
  room.on("state", start);
  room.on("said", (message) => {
    if (messages.has(message.id)) return; // the state had it
    add({ type: "said", ...message });
    if (message.key !== key) countUnseenMessage();
  });
  room.on("came", (person) => add({ type: "came", ...person }));
  room.on("went", (person) => add({ type: "went", ...person }));
  room.on("error", ({ message }) => (hint.textContent = message));
  room.on("left", ({ reason }) => (hint.textContent = reason || "You were taken out of this room."));
  showStatus(live);
}

/** At first, and whenever something may have been missed: begin with what the server has. */
function start(state) {
  log.replaceChildren();
  messages.clear();
  last = undefined;
  for (const message of state) show({ type: "said", ...message });
  showEmpty();
  if (isFollowing) toEnd();
}

// ── What happened ─────────────────────────────────────────────────────────────────────────────────────────────────────

const isMine = (entry) => entry.type === "said" && entry.key === key;

function entryElement(entry, before) {
  if (entry.type !== "said") return eventElement(entry);
  const isFirst =
    before?.type !== "said" ||
    before.key !== entry.key ||
    before.name !== entry.name ||
    new Date(entry.at) - new Date(before.at) > TOGETHER;
  const item = make("li", isMine(entry) ? "said mine" : "said");
  if (isFirst) {
    item.classList.add("first");
    item.append(nameElement(entry));
  }
  item.append(bubbleElement(entry.text, timeElement(entry.at)));
  return item;
}

function nameElement({ name: who, is_signed_in: isSignedIn }) {
  const line = make("p", "by");
  const label = make("bdi", "", who);
  label.style.setProperty("--hue", hueOf(who));
  line.append(label);
  if (isSignedIn) {
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

function eventElement({ type, name, at }) {
  const item = make("li", "event");
  item.append(make("bdi", "", name), type === "came" ? " came in · " : " left · ", timeElement(at));
  return item;
}

/** One hue for each name, the same on every page. */
function hueOf(who) {
  let hash = 0;
  for (const character of who) hash = (hash * 31 + character.codePointAt(0)) % 360;
  return hash;
}

function show(entry) {
  if (entry.type === "said") messages.set(entry.id, entry);
  if (!last || dayOf(last.at) !== dayOf(entry.at)) log.append(make("li", "day", dayOf(entry.at)));
  log.append(entryElement(entry, last));
  last = entry;
  while (log.childElementCount > KEPT) log.firstElementChild.remove();
}

function add(entry) {
  show(entry);
  showEmpty();
  if (isFollowing || isMine(entry)) {
    toEnd();
  } else if (entry.type === "said") {
    missed += 1;
    showLatest();
  }
}

function showEmpty() {
  empty.hidden = log.childElementCount + outbox.childElementCount > 0;
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

// ── What is on its way ────────────────────────────────────────────────────────────────────────────────────────────────

/** Say something. It waits for the connection, and is said once, however often that breaks. */
async function say(words) {
  const item = make("li", "said mine pending");
  item.append(bubbleElement(words, make("span", "time", "sending")));
  outbox.append(item);
  showEmpty();
  toEnd();
  try {
    await room.call("say", { text: words }, { once: true, queue: true, timeout: Infinity });
    item.remove();
  } catch (error) {
    item.className = "said mine failed";
    item.querySelector(".time").textContent = "not sent";
    item.append(problemElement(item, words, error));
    toEnd();
  }
  showEmpty();
}

function problemElement(item, words, error) {
  const problem = make("p", "problem", error.fields?.text?.join(" ") ?? error.message);
  const discard = () => {
    item.remove();
    showEmpty();
  };
  const edit = () => {
    discard();
    write([words, text.value].filter(Boolean).join("\n"));
    text.focus();
  };
  problem.append(" ", button("Edit", edit), " ", button("Discard", discard));
  return problem;
}

function button(label, action) {
  const element = make("button", "link", label);
  element.type = "button";
  element.addEventListener("click", action);
  return element;
}

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
  if (!words || !room) return;
  write("");
  text.focus();
  say(words);
});

// ── Who one is ────────────────────────────────────────────────────────────────────────────────────────────────────────

const naming = document.getElementById("naming");
if (naming) {
  // Enter and the button post the form, and the page comes again under the new name. Escape leaves all as it is.
  const ask = () => {
    naming.showModal();
    document.getElementById("new-name").select();
  };
  document.getElementById("rename").addEventListener("click", ask);
  naming.addEventListener("close", () => {
    if (!room) goIn();
    text.focus();
  });
  if (!("isNamed" in page.dataset)) ask();
}

// ── Start ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

kept.recent.write([roomName, ...kept.recent.read().filter((other) => other !== roomName)].slice(0, 8));
write(kept.draft.read());
if (!naming?.open) {
  goIn();
  if (matchMedia("(hover: hover)").matches) text.focus(); // on a phone it would bring up the keyboard
}
