/** Elements, and JSON as elements: nothing of what is shown is ever parsed as HTML. */

/** An element with properties, attributes (`aria-label`, `data-x`) and children. */
export const el = (tag, properties = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined) continue;
    if (name in element && !name.includes("-")) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
};

const token = (kind, text) => el("span", { className: kind }, text);

const write = (value, indent, into) => {
  if (value === null || typeof value !== "object") {
    const kind = typeof value === "string" ? "s" : typeof value === "number" ? "n" : "k";
    into.append(token(kind, JSON.stringify(value) ?? "undefined"));
    return;
  }
  const isArray = Array.isArray(value);
  const entries = Object.entries(value);
  if (!entries.length) {
    into.append(isArray ? "[]" : "{}");
    return;
  }
  const flat = isArray && entries.length <= 8 && value.every((one) => one === null || typeof one !== "object");
  const inner = `${indent}  `;
  into.append(isArray ? "[" : "{");
  entries.forEach(([key, one], index) => {
    if (index) into.append(",");
    into.append(flat ? (index ? " " : "") : `\n${inner}`);
    if (!isArray) into.append(token("p", JSON.stringify(key)), ": ");
    write(one, inner, into);
  });
  into.append(flat ? "" : `\n${indent}`, isArray ? "]" : "}");
};

/** A value as JSON, indented and coloured. */
export const pretty = (value) => {
  const fragment = document.createDocumentFragment();
  write(value, "", fragment);
  return fragment;
};

/** The time of day, with milliseconds. */
export const clock = (date = new Date()) =>
  `${date.toLocaleTimeString("en-GB")}.${String(date.getMilliseconds()).padStart(3, "0")}`;

/** What is kept while the tab is open, also over a reload. */
export const kept = {
  get(key) {
    try {
      return JSON.parse(sessionStorage.getItem(`fastws:${key}`) ?? "null");
    } catch {
      return null;
    }
  },
  set(key, value) {
    try {
      sessionStorage.setItem(`fastws:${key}`, JSON.stringify(value));
    } catch {
      // There is no storage, or no room in it: then nothing is kept.
    }
  },
};
