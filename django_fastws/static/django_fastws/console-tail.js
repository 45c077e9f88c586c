/** Live tail of a room, in the console: joins the live room of the tail, and writes what comes, the newest first. */

import { LiveError, connect } from "./fastws.js";

const MOST_LINES = 500;

const tail = document.querySelector("#tail");
const part = (name) => tail.querySelector(`[data-part="${name}"]`);
const [status, pause, clear, again, count, log] = ["status", "pause", "clear", "again", "count", "log"].map(part);

let isPaused = false;
let waiting = [];
let total = 0;

const el = (tag, className, text) => {
  const made = document.createElement(tag);
  made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
};

const tell = (state, text) => {
  status.dataset.state = state;
  status.textContent = text;
};

/** What cannot be seen, or turns the text around it, is written as an escape. */
const printable = (text) =>
  text.replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/gu, (one) =>
    "\n\u200c\u200d".includes(one) ? one : `\\u{${one.codePointAt(0).toString(16)}}`,
  );

const pretty = (text, isWhole) => {
  if (!isWhole) return text;
  try {
    const data = JSON.parse(text);
    if (typeof data === "string") return data;
    return typeof data === "object" && data !== null ? JSON.stringify(data, null, 1) : text;
  } catch {
    return text;
  }
};

const line = ({ event, key, data, bytes, removed, skipped }) => {
  const item = el("li", skipped ? "fw-skipped" : "");
  const head = el("p", "fw-head");
  head.append(el("time", "", new Date().toLocaleTimeString()));
  if (skipped) {
    head.append(el("span", "", `${skipped} more, which came too fast to be shown`));
    item.append(head);
    return item;
  }
  head.append(el("bdi", "fw-event", printable(event)));
  if (key !== undefined) head.append(el("bdi", "fw-key", printable(key)));
  if (removed) head.append(el("span", "fw-quiet", "removed"));
  if (bytes) head.append(el("span", "fw-quiet", `the first ${data.length} characters of ${bytes} bytes`));
  item.append(head);
  if (data !== undefined) item.append(el("pre", "fw-data", printable(pretty(data, !bytes))));
  return item;
};

const write = (items) => {
  log.prepend(...items.map(line).reverse());
  while (log.childElementCount > MOST_LINES) log.lastElementChild.remove();
};

const showCount = () => {
  const held = waiting.length ? `, ${waiting.length} not shown while it is paused` : "";
  count.textContent = total || held ? `${total} received${held}` : "";
};

const take = (item) => {
  if (!item.skipped) total += 1;
  if (isPaused) {
    waiting.push(item);
    waiting = waiting.slice(-MOST_LINES);
  } else {
    write([item]);
  }
  showCount();
};

const follow = async () => {
  again.hidden = true;
  tell("waiting", "connecting");
  const live = connect(tail.dataset.live);
  const room = live.join(tail.dataset.room);
  // A join that is refused for good has no other sign.
  const refused = new Promise((_, reject) => {
    room.on("error", (error) => error.retry || reject(error));
    room.on("left", ({ reason }) => reject(new LiveError("forbidden", reason || "taken out of the room")));
  });
  const run = async () => {
    for await (const item of room.stream("follow")) {
      if (item.following) tell("open", "live");
      else if (item.over) return item.over === "time" ? "ended after 10 minutes" : "ended: that were many events";
      else take(item);
    }
    return "ended";
  };
  try {
    tell("closed", await Promise.race([run(), refused]));
  } catch (error) {
    tell("bad", error instanceof LiveError ? `${error.code}: ${error.message}` : String(error));
  } finally {
    live.close();
    again.hidden = false;
  }
};

pause.addEventListener("click", () => {
  isPaused = !isPaused;
  pause.setAttribute("aria-pressed", String(isPaused));
  pause.textContent = isPaused ? "Go on" : "Pause";
  if (!isPaused) {
    write(waiting);
    waiting = [];
  }
  showCount();
});
clear.addEventListener("click", () => {
  log.replaceChildren();
  waiting = [];
  total = 0;
  showCount();
});
again.addEventListener("click", follow);
pause.hidden = clear.hidden = false;
await follow();
