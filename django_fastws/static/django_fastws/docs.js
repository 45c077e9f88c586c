/** The docs page of live rooms: a console that joins rooms, sends events and shows frames. */

import { createCall } from "./docs-call.js";
import { clock, el, kept, pretty } from "./docs-dom.js";
import { createLog } from "./docs-log.js";
import { connect } from "./fastws.js";

const $ = (selector, within = document) => within.querySelector(selector);
const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];
const page = JSON.parse($("#page-data").textContent);

// The connection

const status = $(".status");
const token = $("#token");
const stale = $(".stale");
let live;
let socket;
let wasOpen = false;

const log = createLog($(".log"), (frame, row) => ask(frame, row));
const Tapped = log.tap((opened) => (socket = opened));

/** Ask the developer what the server asks this client. */
const ask = ({ ask: number, event }, row) => {
  const form = $("#ask").content.firstElementChild.cloneNode(true);
  row.append(form);
  live.answer(event, () =>
    new Promise((resolve, reject) => {
      form.onsubmit = (submitted) => {
        submitted.preventDefault();
        try {
          resolve(JSON.parse(form.elements.answer.value));
          form.remove();
        } catch (error) {
          form.elements.answer.setCustomValidity(error.message);
          form.reportValidity();
          form.elements.answer.setCustomValidity("");
        }
      };
      $('[data-do="refuse"]', form).onclick = () => {
        reject(new Error(`ask ${number} was refused in the console`));
        form.remove();
      };
    }),
  );
};

const showStatus = ({ state, retryIn, code, reason }) => {
  const words = {
    connecting: "connecting",
    open: "connected",
    waiting: Number.isFinite(retryIn) ? `again in ${(retryIn / 1000).toFixed(1)} s` : "waiting",
    closed: `closed ${code ?? ""} ${reason ?? ""}`.trim(),
  };
  status.dataset.state = state;
  status.textContent = words[state];
  if (state !== "open") return;
  if (wasOpen) lookForChanges();
  wasOpen = true;
};

/** After a reconnect the server may be another one, with other rooms. */
const lookForChanges = async () => {
  try {
    const response = await fetch(document.body.dataset.schema, { method: "HEAD" });
    const tag = response.headers.get("ETag")?.match(/"([^"]*)"/)?.[1];
    stale.hidden = !response.ok || !tag || tag === page.fingerprint;
  } catch {
    // It is gone again: the next reconnect looks.
  }
};

const open = () => {
  live?.close();
  if (!page.live) return showStatus({ state: "closed", reason: "not served" });
  live = connect(page.live, { WebSocket: Tapped, token: () => token.value || undefined });
  live.on("status", showStatus);
  for (const { joined, join } of rooms) for (const name of [...joined.keys()]) join(name);
};

// Rooms

const linkTo = (anchor) => $$(".room-link").find((link) => decodeURIComponent(link.hash.slice(1)) === anchor);

const MOST_PEOPLE = 200; // that are shown of a room

/** One who is present, with its card as JSON in one line. */
const createPerson = (key, { meta, connections }) => {
  const card = meta === null ? "" : JSON.stringify(meta);
  const more = el("span", { className: "connections", title: `${connections} connections` }, `×${connections}`);
  return el(
    "li",
    { className: "person", title: card },
    el("span", { className: "here", "aria-hidden": "true" }),
    el("code", {}, key),
    el("span", { className: "person-card" }, card),
    ...(connections > 1 ? [more] : []),
  );
};

/** The console of a kind of room: its memberships, its state and its calls. */
const createRoom = (section) => {
  const key = section.dataset.room;
  const { parts, calls, keyed, presence } = page.rooms[key];
  const form = $("form.join", section);
  const list = $(".memberships", section);
  const problem = $(".problem", section);
  const dot = linkTo(key)?.querySelector(".joined-dot");
  const stateNow = $(".state-now", section);
  const presentNow = $(".present-now", section);
  const joined = new Map();
  const states = new Map();
  const presents = new Map();
  const seen = new Map();
  let current;

  const inputs = $$("input", form);
  const nameOf = () => parts.map((part) => (typeof part === "string" ? part : form.elements[part.name].value)).join("");
  const remember = () => kept.set(`joined:${key}`, [...joined.keys()]);

  const fail = (message = "") => {
    problem.textContent = message;
    problem.hidden = !message;
  };

  const showState = () => {
    const found = states.get(current);
    stateNow.hidden = !found;
    if (!found) return;
    $("span", stateNow).textContent = keyed ? `of ${current}, now` : `of ${current}, when it was joined`;
    $("time", stateNow).textContent = found.at;
    $("pre", stateNow).replaceChildren(found.value === undefined ? "" : pretty(found.value));
  };

  let isDrawing = false;
  const showValues = (name, values) => {
    states.set(name, { value: Object.fromEntries(values), at: clock() });
    if (isDrawing) return;
    isDrawing = true; // once for all values that come until then
    requestAnimationFrame(() => {
      isDrawing = false;
      showState();
    });
  };

  const showPresent = () => {
    const found = presents.get(current);
    presentNow.hidden = !found;
    if (!found) return;
    const { people, count, at } = found;
    $("span", presentNow).textContent = `${count} in ${current}, now`;
    $("time", presentNow).textContent = at;
    const rest = people.length - MOST_PEOPLE;
    $(".people", presentNow).hidden = !people.length;
    $(".people", presentNow).replaceChildren(
      ...people.slice(0, MOST_PEOPLE).map(([who, one]) => createPerson(who, one)),
      ...(rest > 0 ? [el("li", {}, `and ${rest} more`)] : []),
    );
  };

  const hearPresent = (name, count, people = []) => {
    presents.set(name, { people, count, at: clock() });
    showPresent();
  };

  const show = () => {
    list.replaceChildren(
      ...[...joined.keys()].map((name) => {
        const choose = el("button", { type: "button", "aria-pressed": String(name === current), title: "Send events here" }, name);
        choose.onclick = () => {
          current = name;
          show();
        };
        const leave = el("button", { type: "button", className: "remove", "aria-label": `Leave ${name}`, title: "Leave" }, "×");
        leave.onclick = () => {
          joined.get(name).leave();
          drop(name);
          inputs[0]?.focus();
        };
        return el("li", { className: "membership" }, choose, leave);
      }),
    );
    if (dot) dot.hidden = !joined.size;
    showState();
    if (presence) showPresent();
    remember();
  };

  const drop = (name) => {
    joined.delete(name);
    states.delete(name);
    presents.delete(name);
    if (current === name) current = [...joined.keys()].at(-1);
    show();
  };

  const showEvent = (card, event, name, data) => {
    const count = (seen.get(event) ?? 0) + 1;
    seen.set(event, count);
    const badge = $(".seen", card);
    badge.hidden = false;
    badge.textContent = `${count} received`;
    const last = $(".last", card);
    last.hidden = false;
    $("span", last).textContent = `last, in ${name}`;
    $("time", last).textContent = clock();
    $("pre", last).replaceChildren(pretty(data));
  };

  const join = (name) => {
    fail();
    const room = live.join(name);
    joined.set(name, room);
    current = name;
    room.on("state", (value) => {
      if (value !== undefined) states.set(name, { value, at: clock() });
      showState();
    });
    if (keyed) room.on("latest", (values) => joined.get(name) === room && showValues(name, values));
    if (presence) {
      room.on("presence", (people) => joined.get(name) === room && hearPresent(name, people.size, [...people]));
      room.on("count", (count) => joined.get(name) === room && hearPresent(name, count));
    }
    room.on("error", (error) => {
      fail(`${name}: ${error.code}: ${error.message}${error.retry ? " (it is tried again)" : ""}`);
      if (!error.retry && joined.get(name) === room) drop(name);
    });
    room.on("left", ({ code, reason }) => {
      fail(`${name}: taken out with ${code}${reason ? ` ${reason}` : ""}`);
      if (joined.get(name) === room) drop(name);
    });
    for (const card of $$(".card.event", section)) {
      const { event } = card.dataset;
      room.on(event, (data) => showEvent(card, event, name, data));
    }
    show();
    return room;
  };

  /** The name that is written; undefined if something of it is missing, which then has the focus. */
  const written = () => {
    const missing = inputs.find((input) => !input.value);
    for (const input of inputs) input.setAttribute("aria-invalid", String(input === missing));
    if (!missing) return nameOf();
    fail(`The name needs ${missing.name}.`);
    missing.focus();
    return undefined;
  };

  const enter = () => {
    const name = written();
    if (name === undefined || !live) return undefined;
    if (!joined.has(name)) return join(name);
    current = name;
    show();
    return joined.get(name);
  };

  form.addEventListener("submit", (submitted) => {
    submitted.preventDefault();
    kept.set(`params:${key}`, Object.fromEntries(inputs.map((input) => [input.name, input.value])));
    enter();
  });
  for (const [name, value] of Object.entries(kept.get(`params:${key}`) ?? {})) {
    if (form.elements[name]) form.elements[name].value = value;
  }

  for (const card of $$(".card.call", section)) {
    const { event } = card.dataset;
    const make = () => {
      const place = $(".try", card);
      if (place.children.length) return;
      createCall(place, {
        ...calls[event],
        key: `call:${key}:${event}`,
        event,
        definitions: page.definitions,
        types: $(".types", card),
        room: () => joined.get(current) ?? enter(),
        name: () => current ?? nameOf(),
      });
    };
    card.addEventListener("toggle", () => {
      if (card.open) make();
      kept.set(`open:${card.id}`, card.open);
    });
    if (kept.get(`open:${card.id}`)) card.open = true;
  }

  return { section, form, join, joined, before: kept.get(`joined:${key}`) ?? [] };
};

const rooms = $$("section.room").map(createRoom);
open();
for (const { join, before } of rooms) for (const name of before) if (live) join(name);

// The page around them

const find = $("#find");
const search = () => {
  const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const item of $$(".rooms > li")) {
    const own = item.dataset.words.toLowerCase();
    const events = $$("li", item);
    const isMatch = (text) => words.every((word) => text.includes(word));
    for (const event of events) event.hidden = !isMatch(`${own} ${event.dataset.words.toLowerCase()}`);
    item.hidden = !isMatch(own) && events.every((event) => event.hidden);
  }
};
find.addEventListener("input", search);
find.addEventListener("keydown", ({ key }) => {
  if (key !== "Enter") return;
  const item = $$(".rooms > li").find((one) => !one.hidden);
  const link = item && ($$("li", item).find((one) => !one.hidden && find.value)?.querySelector("a") ?? $("a", item));
  link?.click();
});

/** Open what the address names. */
const reveal = () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target?.tagName === "DETAILS") target.open = true;
  target?.scrollIntoView();
};
window.addEventListener("hashchange", reveal);
if (location.hash) reveal();

const watcher = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      linkTo(target.id)?.setAttribute("aria-current", String(isIntersecting));
    }
  },
  { rootMargin: "-30% 0px -60% 0px" },
);
for (const { section } of rooms) watcher.observe(section);

for (const example of $$("pre.example")) example.replaceChildren(pretty(JSON.parse(example.textContent)));

const setTheme = (theme) => {
  if (theme) document.documentElement.dataset.theme = theme;
};
try {
  setTheme(localStorage.getItem("fastws:theme"));
} catch {
  // There is no storage: the theme is the system's.
}

const aside = $(".log");
const showLog = (isOpen) => {
  aside.classList.toggle("open", isOpen);
  $(".log-toggle", aside).setAttribute("aria-expanded", String(isOpen));
  if (isOpen) log.toEnd();
};

const actions = {
  theme() {
    const { dataset } = document.documentElement;
    const isDark = dataset.theme ? dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    setTheme(isDark ? "light" : "dark");
    try {
      localStorage.setItem("fastws:theme", dataset.theme);
    } catch {
      // It is kept until the page is left.
    }
  },
  close: () => live?.close(),
  reload: () => location.reload(),
  pause: (button) => log.pause(button),
  clear: () => log.clear(),
  async copy(button) {
    await navigator.clipboard?.writeText(log.lines());
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  },
  log: () => showLog(!aside.classList.contains("open")),
};
document.addEventListener("click", ({ target }) => {
  const button = target.closest?.("[data-do]");
  if (button) actions[button.dataset.do]?.(button);
});

$(".popover").addEventListener("submit", (submitted) => {
  submitted.preventDefault();
  $(".connection").open = false;
  open();
});

$("form.raw").addEventListener("submit", (submitted) => {
  submitted.preventDefault();
  const { value } = submitted.target.elements.frame;
  if (!value.trim()) return;
  if (socket?.readyState === WebSocket.OPEN) socket.send(value);
  else log.note("not sent: there is no connection", true);
});

const isWriting = (target) => target.closest?.("input, textarea, select, [contenteditable]");
document.addEventListener("keydown", (pressed) => {
  if (pressed.key === "Escape") {
    if (document.activeElement === find) {
      find.value = "";
      search();
      find.blur();
    }
    $(".connection").open = false;
    showLog(false);
    return;
  }
  if (pressed.ctrlKey || pressed.metaKey || pressed.altKey || isWriting(pressed.target)) return;
  const current = rooms.find(({ section }) => section.getBoundingClientRect().bottom > innerHeight * 0.3) ?? rooms[0];
  const targets = {
    "/": () => find,
    l: () => (showLog(true), $(".frames")),
    j: () => current && ($("input", current.form) ?? $("button", current.form)),
  };
  const target = targets[pressed.key.toLowerCase()]?.();
  if (!target) return;
  pressed.preventDefault();
  target.focus();
  target.select?.();
});
