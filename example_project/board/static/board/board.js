/** The board: notes that are there to stay, and cursors that are not. */

import { Cuttable, showBar } from "../bar.js";
import { connect } from "../django_fastws/fastws.js";
import { byId, hueOf } from "../page.js";

const EVERY = 50; // milliseconds between two that are relayed
const TYPED = 400; // milliseconds after a key, when what is written goes out
const FADE = 5_000; // milliseconds after which a cursor that rests is gone
const STEP = 0.02; // of the board, for an arrow key
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

const page = byId("content");
const root = byId("board");
const problem = byId("problem");
const [noteTemplate, cursorTemplate] = ["note", "cursor"].map((id) => byId(id).content);
const notes = new Map(); // by their number: {element, x, y}
const cursors = new Map(); // by the key of who points
let people = new Map(); // who is here, by their key
let own; // number of the note that was added here last
let height = 0; // of the last note that was touched, above the others

const live = connect("/ws/live", { WebSocket: Cuttable });
const board = live.join(page.dataset.liveRoom);

const clamp = (number) => Math.min(1, Math.max(0, number));

/** Call the server, and say what it says if it refuses. */
async function call(event, data, options = {}) {
  problem.hidden = true;
  try {
    return await board.call(event, data, options);
  } catch (error) {
    problem.textContent = error.message;
    problem.hidden = false;
    return undefined;
  }
}

live.on("status", ({ state }) => {
  if (state === "open") problem.hidden = true; // that it was away
});

/** Pass something on to the others, not too often; whether it arrives is not worth a second try. */
function relay(event) {
  let timer;
  let last;
  return (data) => {
    last = data;
    timer ??= setTimeout(() => {
      timer = undefined;
      if (live.status.state === "open") board.call(event, last).catch(() => {});
    }, EVERY);
  };
}

// ── Notes ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

board.on("state", (all) => {
  for (const id of notes.keys()) if (!all.some((note) => note.id === id)) remove(id);
  for (const note of all) put(note);
});
board.on("put", put);
board.on("removed", ({ id }) => remove(id));
board.on("drag", ({ id, x, y }) => notes.has(id) && place(id, x, y));

/** A note, as it is now: applied twice, it does no harm. */
function put({ id, text, x, y, key, name }) {
  const { element } = notes.get(id) ?? create(id, key, name);
  const field = element.querySelector("textarea");
  if (field !== document.activeElement) field.value = text;
  element.querySelector(".grip").setAttribute("aria-label", `Move the note of ${name}: ${text || "empty"}`);
  place(id, x, y);
}

function place(id, x, y) {
  const note = notes.get(id);
  Object.assign(note, { x, y });
  note.element.style.setProperty("--x", x);
  note.element.style.setProperty("--y", y);
}

function remove(id) {
  notes.get(id)?.element.remove();
  notes.delete(id);
}

function create(id, key, name) {
  const element = noteTemplate.firstElementChild.cloneNode(true);
  const grip = element.querySelector(".grip");
  const field = element.querySelector("textarea");
  element.dataset.id = id;
  element.style.setProperty("--hue", hueOf(name));
  element.querySelector(".note-name").textContent = name;
  grip.addEventListener("pointerdown", (event) => drag(event, id));
  grip.addEventListener("keydown", (event) => nudge(event, id));
  listenToWriting(id, field);
  element.querySelector(".remove").addEventListener("click", () => call("remove", { id }));
  element.addEventListener("focusin", () => raise(element));
  const note = { element, x: 0, y: 0 };
  notes.set(id, note);
  root.append(element);
  raise(element);
  if (id === own) writeOn(id);
  return note;
}

/** Send what is written while it is written: who leaves the page loses nothing. It waits for a connection that is away. */
function listenToWriting(id, field) {
  let timer;
  let typed; // not what the field has: a state from before may come into that
  let isUnderWay = false;

  const write = async () => {
    clearTimeout(timer);
    timer = undefined;
    if (isUnderWay) return; // what is new by then follows
    isUnderWay = true;
    let text;
    do {
      text = typed;
      await call("write", { id, text }, { once: true, queue: true, timeout: Infinity });
    } while (text !== typed);
    isUnderWay = false;
  };

  field.addEventListener("input", () => {
    typed = field.value;
    clearTimeout(timer);
    timer = setTimeout(write, TYPED);
  });
  field.addEventListener("change", () => timer !== undefined && write());
}

function raise(element) {
  element.style.zIndex = ++height;
}

const relayDrag = relay("drag");

function drag(down, id) {
  if (down.button !== 0) return;
  const { element, x, y } = notes.get(id);
  const free = { width: root.clientWidth - element.offsetWidth, height: root.clientHeight - element.offsetHeight };
  const grip = down.currentTarget;
  const end = new AbortController();
  const options = { signal: end.signal };
  raise(element);
  grip.setPointerCapture(down.pointerId);
  element.classList.add("dragged");
  const move = (event) => {
    place(id, clamp(x + (event.clientX - down.clientX) / free.width), clamp(y + (event.clientY - down.clientY) / free.height));
    relayDrag({ id, x: notes.get(id).x, y: notes.get(id).y });
  };
  const drop = () => {
    end.abort();
    element.classList.remove("dragged");
    const now = notes.get(id); // unless somebody has taken it away meanwhile
    if (now && (now.x !== x || now.y !== y)) call("move", { id, x: now.x, y: now.y });
  };
  grip.addEventListener("pointermove", move, options);
  grip.addEventListener("pointerup", drop, options);
  grip.addEventListener("pointercancel", drop, options);
}

function nudge(event, id) {
  const arrow = ARROWS[event.key];
  if (!arrow) return;
  event.preventDefault();
  const { x, y } = notes.get(id);
  place(id, clamp(x + arrow[0] * STEP), clamp(y + arrow[1] * STEP));
  call("move", { id, x: notes.get(id).x, y: notes.get(id).y });
}

byId("add").addEventListener("click", async () => {
  own = await call("add", { x: 0.1 + 0.8 * Math.random(), y: 0.1 + 0.8 * Math.random() });
  writeOn(own);
});

/** Begin to write on a note, if it is there: its event may come before the answer to the call, or behind it. */
function writeOn(id) {
  notes.get(id)?.element.querySelector("textarea").focus();
}

// ── Cursors ───────────────────────────────────────────────────────────────────────────────────────────────────────────

const relayCursor = relay("cursor");

root.addEventListener("pointermove", (event) => {
  const area = root.getBoundingClientRect();
  relayCursor({ x: clamp((event.clientX - area.left) / area.width), y: clamp((event.clientY - area.top) / area.height) });
});

board.on("cursor", ({ x, y }, { from }) => {
  const cursor = cursors.get(from) ?? newCursor(from);
  cursor.element.style.setProperty("--x", x);
  cursor.element.style.setProperty("--y", y);
  clearTimeout(cursor.timer);
  cursor.timer = setTimeout(() => hide(from), FADE);
});

function newCursor(from) {
  const cursor = { element: cursorTemplate.firstElementChild.cloneNode(true), timer: undefined };
  cursors.set(from, cursor);
  nameCursor(from);
  root.append(cursor.element);
  return cursor;
}

/** Who points. A cursor is relayed at once, so that it may come before it is told who is here. */
function nameCursor(from) {
  const { element } = cursors.get(from);
  const name = people.get(from)?.meta.name ?? "Somebody";
  element.style.setProperty("--hue", hueOf(name));
  element.querySelector(".cursor-name").textContent = name;
}

function hide(from) {
  clearTimeout(cursors.get(from)?.timer);
  cursors.get(from)?.element.remove();
  cursors.delete(from);
}

board.on("presence", (present) => {
  const gone = [...people.keys()].filter((from) => !present.has(from));
  people = present;
  for (const from of gone) hide(from);
  for (const from of cursors.keys()) nameCursor(from);
});

showBar(live, board);
