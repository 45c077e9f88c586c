/** What the live pages share: the state of the connection, times, the count in the title, storage. */

const LABELS = {
  closed: "Not connected",
  connecting: "Connecting",
  connected: "Connected",
  reconnecting: "Reconnecting",
  offline: "Offline",
};

/** Show the state of a Live in the page's status. */
export function showStatus(live) {
  const root = document.getElementById("status");
  const [label, detail] = [root.querySelector(".status-label"), root.querySelector(".status-detail")];
  const retry = root.querySelector(".status-retry");
  retry.addEventListener("click", () => live.retry());
  const show = () => {
    const { state, secondsLeft } = live;
    root.dataset.state = state;
    // Only the label is read out: a countdown would not stop talking.
    if (label.textContent !== LABELS[state]) label.textContent = LABELS[state];
    detail.textContent = state === "reconnecting" && secondsLeft ? `in ${secondsLeft} s` : "";
    retry.hidden = !secondsLeft;
  };
  live.addEventListener("state", show);
  show();
}

/** Count in the title what comes while nobody looks. Returns the function that counts. */
export function countUnseen() {
  const title = document.title;
  let unseen = 0;
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) {
      unseen = 0;
      document.title = title;
    }
  });
  return () => {
    if (document.hidden) document.title = `(${++unseen}) ${title}`;
  };
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const calendar = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const both = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });

/** A <time> for an ISO 8601 string: the hour, and the day if it is asked for; all of it on hovering. */
export function timeElement(iso, { withDay = false } = {}) {
  const date = new Date(iso);
  const element = make("time", "time", (withDay ? both : clock).format(date));
  element.dateTime = iso;
  element.title = full.format(date);
  return element;
}

/** The day of an ISO 8601 string, as people call it. */
export function dayOf(iso) {
  const date = new Date(iso);
  const today = new Date();
  const yesterday = new Date(today);
  yesterday.setDate(today.getDate() - 1);
  if (date.toDateString() === today.toDateString()) return "Today";
  if (date.toDateString() === yesterday.toDateString()) return "Yesterday";
  return calendar.format(date);
}

/** An element with a class and text. Text is never taken for HTML. */
export function make(tag, className = "", text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}

/** JSON in localStorage or sessionStorage; where the browser allows none, nothing is kept. */
export function store(area, key, fallback) {
  return {
    read() {
      try {
        return JSON.parse(globalThis[area].getItem(key)) ?? fallback;
      } catch {
        return fallback;
      }
    },
    write(value) {
      try {
        globalThis[area].setItem(key, JSON.stringify(value));
      } catch {
        // Full, or forbidden.
      }
    },
  };
}

/** A key that nobody else has. (crypto.randomUUID is missing where the page came over plain HTTP.) */
export function uniqueKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
