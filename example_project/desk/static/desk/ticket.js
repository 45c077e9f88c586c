/** One ticket: two rooms over one socket, its own and that of the list. */

import { Cuttable, personElement, showBar, showPeople } from "../bar.js";
import { converse } from "../conversation.js";
import { connect } from "../django_fastws/fastws.js";
import { byId, countUnseen, make } from "../page.js";
import { followTickets } from "./tickets.js";

const TYPING = 4_000; // milliseconds for which somebody is typing, unless they say so again

const page = byId("content");
const { liveRoom, since, key, isAgent } = page.dataset;
const members = byId("members");
const problem = byId("kick-problem");
const typing = byId("typing");
const text = byId("text");
const countUnseenMessage = countUnseen();

let ticket; // the room
let people = new Map(); // who is in it, by their key
let read = Number(page.dataset.read); // number of a message
let newest = 0;

const live = connect("/ws/live", { WebSocket: Cuttable });
const desk = followTickets(live);

const conversation = converse({
  key,
  name: liveRoom,
  say: (words) => ticket.call("say", { text: words }, { once: true, queue: true, timeout: Infinity }),
  badgeOf: (entry) => (entry.is_agent ? ["agent", "agent"] : []),
});

const entryOf = (said) => ({ type: "said", id: said.number, ...said });

function start(messages) {
  newest = messages.at(-1)?.number ?? 0;
  conversation.start(messages.map(entryOf), (entry) => entry.number > read && entry.key !== key);
  markRead();
}

function goIn(options) {
  ticket = live.join(liveRoom, options);
  ticket.on("state", start);
  ticket.on("said", (said) => {
    if (!conversation.add(entryOf(said))) return;
    newest = said.number;
    writers.stop(said.key);
    if (said.key !== key) countUnseenMessage();
    markRead();
  });
  ticket.on("taken_out", ({ name, by, at }) => conversation.add({ type: "event", name, words: `was taken out by ${by}`, at }));
  ticket.on("typing", ({ is_typing: isTyping }, { from }) => (isTyping ? writers.start(from) : writers.stop(from)));
  ticket.on("presence", (present) => {
    people = present;
    showMembers();
    writers.show();
  });
  ticket.on("error", ({ message, retry }) => (retry ? conversation.hint(message) : showOut(message)));
  ticket.on("left", ({ reason }) => showOut(reason || "You were taken out of this ticket."));
}

// The page has brought what Django has read behind the position that it goes on from.
start(JSON.parse(byId("said").textContent));
goIn({ since });
markRead();
showBar(live, ticket, desk);

// ── What is read ──────────────────────────────────────────────────────────────────────────────────────────────────────

/** Mark what is on the page as read, as soon as somebody looks at it. */
function markRead() {
  if (document.hidden || newest <= read || !ticket) return;
  read = newest;
  ticket.call("read", { number: read }, { queue: true }).catch(() => {}); // the next one says it again
}
document.addEventListener("visibilitychange", markRead);

// ── Who is typing ─────────────────────────────────────────────────────────────────────────────────────────────────────

const writers = {
  timers: new Map(), // by key

  start(from) {
    clearTimeout(this.timers.get(from));
    this.timers.set(
      from,
      setTimeout(() => this.stop(from), TYPING),
    );
    this.show();
  },
  stop(from) {
    clearTimeout(this.timers.get(from));
    if (this.timers.delete(from)) this.show();
  },
  show() {
    const names = [...this.timers.keys()].map((from) => people.get(from)?.meta.name ?? "Somebody");
    typing.textContent = names.length ? `${names.join(" and ")} ${names.length > 1 ? "are" : "is"} typing…` : "";
  },
};

let told = 0; // when the others were told last
function tell(isTyping) {
  if (live.status.state !== "open") return;
  told = isTyping ? performance.now() : 0;
  ticket.call("typing", { is_typing: isTyping }).catch(() => {}); // it is not worth another try
}
text.addEventListener("input", () => {
  if (!text.value) tell(false);
  else if (!told || performance.now() - told > TYPING / 2) tell(true);
});

// ── Who is here ───────────────────────────────────────────────────────────────────────────────────────────────────────

function showMembers() {
  members.replaceChildren(
    ...[...people].map(([of, { meta, connections }]) => {
      const item = make("li", "member");
      const dot = personElement("span", meta.name);
      const about = make("span", "about");
      about.append(make("bdi", "", meta.name));
      const more = [meta.is_agent && "agent", connections > 1 && `${connections} pages`, of === key && "you"];
      about.append(make("span", "muted small", more.filter(Boolean).join(", ")));
      item.append(dot, about);
      if (isAgent !== undefined && of !== key) item.append(kickButton(of, meta.name));
      return item;
    }),
  );
}

function kickButton(of, name) {
  const button = make("button", "quiet", "Take out");
  button.type = "button";
  button.setAttribute("aria-label", `Take ${name} out`);
  button.addEventListener("click", async () => {
    problem.hidden = true;
    try {
      await ticket.call("kick", { key: Number(of) });
    } catch (error) {
      problem.textContent = error.message;
      problem.hidden = false;
    }
  });
  return button;
}

// ── Taken out ─────────────────────────────────────────────────────────────────────────────────────────────────────────

function showOut(reason) {
  people = new Map();
  showMembers();
  byId("people").hidden = true;
  const button = make("button", "link", "Come back");
  button.type = "button";
  button.addEventListener("click", () => {
    conversation.hint();
    const { at } = ticket;
    ticket.leave();
    goIn({ since: at });
    showPeople(ticket);
  });
  conversation.hint(`${reason} `, button);
}
