/** What the live pages share: the state of the connection, times, the count in the title, storage. */

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

/** Show the status of a connection in the page's banner. */
export function showStatus(live) {
  const root = document.getElementById("status");
  const [label, detail] = [root.querySelector(".status-label"), root.querySelector(".status-detail")];
  const retry = root.querySelector(".status-retry");
  let retryAt = 0;
  let clock = 0;

  const show = () => {
    const { state } = live.status;
    const shown = isOffline() ? "offline" : state;
    root.dataset.state = shown;
    // Only the label is read out: a countdown would not stop talking.
    if (label.textContent !== LABELS[shown]) label.textContent = LABELS[shown];
    const seconds = Math.max(0, Math.ceil((retryAt - performance.now()) / 1000));
    detail.textContent = shown === "waiting" ? `next try in ${seconds} s` : "";
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
  // What the browser says when the network is back: the client does not wait any longer.
  retry.addEventListener("click", () =>
    live.status.state === "closed" ? location.reload() : dispatchEvent(new Event("online")),
  );
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
