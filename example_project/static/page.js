/** What the pages share: elements, times, colours of people, the count in the title, storage. */

/** An element of the template, by its id. @type {(id: string) => any} */
export const byId = (id) => document.getElementById(id);

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

/** One hue for each name, the same on every page. */
export function hueOf(name) {
  let hash = 0;
  for (const character of name) hash = (hash * 31 + character.codePointAt(0)) % 360;
  return (hash * 211) % 360; // names that are alike have colours that are not
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
