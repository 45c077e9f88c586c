/** What tries a call: its form, the same as JSON, the code for it, and what is answered. */

import { clock, el, kept, pretty } from "./docs-dom.js";
import { FormError, createForm } from "./docs-form.js";

const shown = (ms) => `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;

const setMode = (modes, name) => {
  for (const [mode, { button, panel }] of Object.entries(modes)) {
    button.setAttribute("aria-selected", String(mode === name));
    button.tabIndex = mode === name ? 0 : -1;
    panel.hidden = mode !== name;
  }
};

/** Tabs, of which one is shown; arrows go from one to the other. */
const createTabs = (modes, onChoose) => {
  const names = Object.keys(modes);
  const list = el("div", { className: "tabs", role: "tablist" });
  names.forEach((name, index) => {
    const { button } = modes[name];
    button.onclick = () => onChoose(name);
    button.onkeydown = ({ key }) => {
      if (key !== "ArrowLeft" && key !== "ArrowRight") return;
      const next = names.at((index + (key === "ArrowLeft" ? -1 : 1)) % names.length);
      onChoose(next);
      modes[next].button.focus();
    };
    list.append(button);
  });
  return list;
};

/** The code of a call in a page. */
const code = (name, event, kind, data) => {
  const payload = data === undefined || JSON.stringify(data) === "{}" ? "" : `, ${JSON.stringify(data)}`;
  const room = `live.join(${JSON.stringify(name)})`;
  if (kind === "stream") return `for await (const item of ${room}.stream(${JSON.stringify(event)}${payload})) {}`;
  return `await ${room}.call(${JSON.stringify(event)}${payload})`;
};

/**
 * @param place the element to fill
 * @param console `{ key, event, kind, data, takesData, example, definitions, types, room(), name() }`; `types` is the
 *     element that shows the types of the payload and the answer
 */
export const createCall = (place, { key, event, kind, data, takesData, example, definitions, types, room, name }) => {
  const form = createForm(data, definitions);
  const text = el("textarea", { className: "mono", rows: 5, spellcheck: false, "aria-label": "The payload as JSON" });
  const problem = el("p", { className: "errors", hidden: true, role: "alert" });
  const modes = {
    form: { button: el("button", { type: "button", role: "tab" }, "Form"), panel: el("div", { className: "panel", role: "tabpanel" }, form.element) },
    json: { button: el("button", { type: "button", role: "tab" }, "JSON"), panel: el("div", { className: "panel", role: "tabpanel" }, text, problem) },
  };
  modes.types = { button: el("button", { type: "button", role: "tab" }, "Types"), panel: types };
  let mode = "form"; // or JSON, in which the payload is written

  const fail = (message = "") => {
    problem.textContent = message;
    problem.hidden = !message;
    text.setAttribute("aria-invalid", String(!!message));
  };

  /** The payload; undefined if it cannot be read, and then it is said why. */
  const read = () => {
    fail();
    try {
      if (mode === "form") return { value: form.get() };
      return { value: text.value.trim() ? JSON.parse(text.value) : undefined };
    } catch (error) {
      if (mode === "json") fail(error.message);
      else if (!(error instanceof FormError)) throw error;
      return undefined;
    }
  };

  const choose = (next) => {
    if (next === "types") return setMode(modes, next);
    if (next !== mode) {
      const payload = read();
      if (!payload) return;
      if (next === "json") text.value = JSON.stringify(payload.value ?? {}, null, 2);
      else form.set(payload.value);
      mode = next;
    }
    return setMode(modes, mode);
  };

  const fill = (value) => {
    form.set(value);
    form.clearErrors();
    text.value = JSON.stringify(value ?? {}, null, 2);
    fail();
  };

  const keep = () => {
    try {
      kept.set(key, mode === "form" ? form.get() : JSON.parse(text.value));
    } catch {
      // Half a JSON: what was kept before stays.
    }
  };

  const send = el("button", { type: "submit", className: "primary", title: "Ctrl + Enter" }, kind === "stream" ? "Start" : kind === "relay" ? "Relay" : "Send");
  const stop = el("button", { type: "button", hidden: true }, "Stop");
  const copy = el("button", { type: "button", className: "quiet", title: "Copy the JavaScript of this call" }, "Copy as code");
  const buttons = [send, stop];
  if (takesData && example !== null) {
    const button = el("button", { type: "button", className: "quiet" }, "Example");
    button.onclick = () => {
      fill(example);
      keep();
    };
    buttons.push(button);
  }
  if (takesData) {
    const button = el("button", { type: "button", className: "quiet" }, "Reset");
    button.onclick = () => {
      fill(undefined);
      kept.set(key, null);
      result.hidden = true;
    };
    buttons.push(button);
  }
  buttons.push(copy);

  const head = el("div", { className: "result-head" });
  const body = el("pre", { className: "json", tabIndex: 0, "aria-label": "The answer" });
  const result = el("div", { className: "result", hidden: true, "aria-live": "polite" }, head, body);

  const show = (state, took, value, note = "") => {
    result.hidden = false;
    result.dataset.state = state;
    head.replaceChildren(el("span", {}, state), el("span", { className: "took" }, took), el("span", { className: "note" }, note), el("time", {}, clock()));
    body.replaceChildren(value === undefined ? "" : pretty(value));
    body.hidden = value === undefined;
  };

  const showError = (error, took) => {
    const { code: known = "error", message, fields = {}, retryAfter } = error;
    show(known, took, undefined, retryAfter === undefined ? message : `${message} (again in ${shown(retryAfter)})`);
    result.classList.add("failed");
    if (mode === "form") form.showErrors(fields);
    else if (Object.keys(fields).length) {
      fail(Object.entries(fields).map(([path, messages]) => `${path || "payload"}: ${messages.join(" ")}`).join("\n"));
    }
  };

  let stream;
  stop.onclick = () => stream?.return();

  const iterate = async (joined, payload, started) => {
    stream = joined.stream(event, payload);
    stop.hidden = false;
    send.disabled = true;
    const items = [];
    try {
      for await (const item of stream) {
        items.push(item);
        show("items", shown(performance.now() - started), items, `${items.length}`);
      }
      show("ended", shown(performance.now() - started), items, `${items.length} ${items.length === 1 ? "item" : "items"}`);
    } finally {
      stop.hidden = true;
      send.disabled = false;
    }
  };

  const onSubmit = async (submitted) => {
    submitted.preventDefault();
    const payload = read();
    if (!payload) return;
    const joined = room();
    if (!joined) return;
    form.clearErrors();
    result.classList.remove("failed");
    const started = performance.now();
    const took = () => shown(performance.now() - started);
    try {
      if (kind === "stream") await iterate(joined, payload.value, started);
      else {
        send.disabled = true;
        const answer = await joined.call(event, payload.value);
        show(kind === "relay" ? "relayed" : "answer", took(), kind === "relay" ? undefined : answer);
      }
    } catch (error) {
      if (error.code === "cancelled" && kind === "stream") show("stopped", took());
      else showError(error, took());
    } finally {
      send.disabled = false;
    }
  };

  copy.onclick = async () => {
    const payload = read();
    if (!payload) return;
    await navigator.clipboard?.writeText(code(name(), event, kind, payload.value));
    copy.textContent = "Copied";
    setTimeout(() => (copy.textContent = "Copy as code"), 1500);
  };

  const element = el("form", { className: "call-form", noValidate: true, autocomplete: "off" });
  if (takesData) element.append(createTabs(modes, choose), modes.form.panel, modes.json.panel);
  const answer = types.querySelector(".result-type");
  if (takesData) element.append(types);
  if (answer.textContent.length < 40 && kind !== "relay") {
    const about = kind === "stream" ? "items of " : "answers ";
    buttons.push(el("span", { className: "answers" }, about, el("code", {}, ...answer.cloneNode(true).childNodes)));
  }
  element.append(el("div", { className: "row" }, ...buttons), result);
  element.addEventListener("submit", onSubmit);
  element.addEventListener("input", keep);
  element.addEventListener("keydown", (pressed) => {
    if (pressed.key !== "Enter" || !(pressed.ctrlKey || pressed.metaKey)) return;
    pressed.preventDefault();
    element.requestSubmit();
  });
  if (takesData) setMode(modes, mode);
  const before = kept.get(key);
  if (before !== null) fill(before);
  place.append(element);
};
