/** Log of frames: what a socket sends and receives, with times, and what is answered to what. */

import { clock, el, pretty } from "./docs-dom.js";

const MOST = 500; // frames that are kept
const PREVIEW = 160; // characters

/** What a frame is, in a few words: `{ label, room, kind, started }`. */
const describe = (frame, isSent, calls) => {
  if (frame === null || typeof frame !== "object") return { label: "?", kind: "other" };
  if (isSent) {
    const found = describeSent(frame);
    if (frame.id !== undefined) calls.set(frame.id, { ...found, at: performance.now() });
    return found;
  }
  if (frame.id !== undefined) {
    const call = calls.get(frame.id);
    if (!("item" in frame)) calls.delete(frame.id);
    const part = frame.error ? "error" : "item" in frame ? "item" : "answer";
    const recovered = call?.label === "join" && frame.ok?.recovered && "recovered";
    const label = `${call?.label ?? "?"} · ${frame.error?.code || recovered || part}`;
    return { label, room: call?.room, kind: part, took: call && performance.now() - call.at };
  }
  return describeReceived(frame);
};

const describeSent = (frame) => {
  if ("join" in frame) return { label: "join", room: frame.join, kind: "join" };
  if ("leave" in frame) return { label: "leave", room: frame.leave, kind: "join" };
  if ("hello" in frame) return { label: "hello", kind: "other" };
  if ("cancel" in frame) return { label: "cancel", kind: "other" };
  if ("answer" in frame) return { label: "answer", kind: "ask" };
  return { label: frame.event ?? "?", room: frame.room, kind: "call" };
};

const describeReceived = (frame) => {
  if ("ping" in frame) return { label: "ping", kind: "ping" };
  if ("ask" in frame) return { label: `ask · ${frame.event}`, kind: "ask" };
  if ("left" in frame) return { label: "left", room: frame.room, kind: "error" };
  if ("key" in frame) {
    const label = frame.removed ? `${frame.key} · removed` : frame.key;
    return { label: String(label), room: frame.room, kind: "event" };
  }
  const key = ["state", "presence", "present", "count", "recovered", "at"].find((one) => one in frame) ?? "?";
  const label = frame.event ?? { recovered: "lost", at: "position" }[key] ?? key;
  return { label: String(label), room: frame.room, kind: "event" };
};

const parsed = (text) => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

/** The log in an `<aside class="log">`. */
export const createLog = (aside, onAsk) => {
  const list = aside.querySelector(".frames");
  const count = aside.querySelector(".count");
  const latest = aside.querySelector(".latest");
  const find = aside.querySelector(".log-find");
  const empty = aside.querySelector(".log-empty");
  const calls = new Map();
  let rows = [];
  let total = 0;
  let isPaused = false;
  let missed = 0;
  let scheduled = false;
  const added = [];

  const flush = () => {
    scheduled = false;
    const follows = list.scrollHeight - list.scrollTop - list.clientHeight < 60;
    list.append(...added.splice(0).map((row) => row.element));
    while (rows.length > MOST) rows.shift().element.remove();
    empty.hidden = rows.length > 0;
    if (follows) list.scrollTop = list.scrollHeight;
  };

  const matches = (row) => !find.value || row.text.toLowerCase().includes(find.value.toLowerCase());

  const push = (row) => {
    total++;
    count.textContent = String(total);
    latest.textContent = row.label;
    if (isPaused) {
      missed++;
      aside.querySelector('[data-do="pause"]').textContent = `Resume (${missed} missed)`;
      return;
    }
    row.element.hidden = !matches(row);
    rows.push(row);
    added.push(row);
    if (!scheduled) {
      scheduled = true;
      requestAnimationFrame(flush);
    }
  };

  const rowOf = (text, isSent) => {
    const frame = parsed(text);
    const { label, room, kind, took } = describe(frame, isSent, calls);
    const time = clock();
    const head = el(
      "summary",
      {},
      el("time", {}, time),
      el("span", { className: "way", title: isSent ? "sent" : "received", "aria-label": isSent ? "sent" : "received" }, isSent ? "↑" : "↓"),
      el("span", { className: "label" }, label),
      ...(room ? [el("span", { className: "of" }, room)] : []),
      ...(took === undefined ? [] : [el("span", { className: "took" }, `${took < 10 ? took.toFixed(1) : Math.round(took)} ms`)]),
      el("span", { className: "preview" }, text.length > PREVIEW ? `${text.slice(0, PREVIEW)}…` : text),
    );
    const details = el("details", {}, head);
    details.addEventListener("toggle", () => {
      if (!details.open || details.children.length > 1) return;
      const size = new TextEncoder().encode(text).length;
      details.append(
        el("p", { className: "frame-size" }, `${size.toLocaleString("en")} bytes`),
        el("pre", { className: "json", tabIndex: 0 }, frame === undefined ? text : pretty(frame)),
      );
    });
    const element = el("li", { className: `frame ${isSent ? "sent" : "received"} is-${kind}` }, details);
    if (!isSent && kind === "ask" && frame !== null) onAsk(frame, element);
    return { element, label: `${isSent ? "↑" : "↓"} ${label}`, text: `${label} ${room ?? ""} ${text}`, raw: { time, sent: isSent, text } };
  };

  const note = (label, isProblem) => {
    const element = el("li", { className: `note${isProblem ? " problem" : ""}` }, el("time", {}, clock()), label);
    push({ element, label, text: label, raw: { time: clock(), note: label } });
  };

  find.addEventListener("input", () => {
    for (const row of rows) row.element.hidden = !matches(row);
    list.scrollTop = list.scrollHeight;
  });

  return {
    note,
    toEnd: () => (list.scrollTop = list.scrollHeight),
    clear() {
      rows = [];
      added.length = 0;
      list.replaceChildren();
      total = 0;
      count.textContent = "0";
      latest.textContent = "";
      empty.hidden = false;
    },
    pause(button) {
      isPaused = !isPaused;
      missed = 0;
      button.setAttribute("aria-pressed", String(isPaused));
      button.textContent = isPaused ? "Resume" : "Pause";
    },
    lines: () => rows.map((row) => JSON.stringify(row.raw)).join("\n"),
    /** A WebSocket whose frames are logged. */
    tap(onSocket) {
      return class extends WebSocket {
        constructor(url, protocols) {
          super(url, protocols);
          onSocket(this);
          calls.clear();
          this.addEventListener("open", () => note(`connected to ${new URL(url).pathname}`));
          this.addEventListener("message", ({ data }) => push(rowOf(String(data), false)));
          this.addEventListener("close", ({ code, reason }) =>
            note(`closed with ${code}${reason ? ` ${reason}` : ""}`, code !== 1000),
          );
        }

        send(data) {
          push(rowOf(String(data), true));
          super.send(data);
        }
      };
    },
  };
};
