/** Forms made of JSON Schemas. */

import { el } from "./docs-dom.js";
import { bounds, fits, references, resolve, typeName, understand } from "./docs-schema.js";

/**
 * An editor of one value: `{ element, get, set, child, control, onTouch }`. `get()` is undefined for what is left out;
 * it throws a `FormError` for what is no value at all. `child(segment)` is the part at a step of a dotted path.
 */
export class FormError extends Error {
  constructor(part, message) {
    super(message);
    this.part = part;
  }
}

const LONG = 500; // characters, from where a string has several lines
let ids = 0;

const INPUT_TYPES = { email: "email", uri: "url", date: "date", password: "password" };

const stringEditor = (schema) => {
  const isLong = schema.maxLength >= LONG && !schema.format;
  const hint = schema.examples?.[0] ?? schema.default ?? "";
  const placeholder = schema.format === "date-time" ? new Date().toISOString() : typeof hint === "string" ? hint : "";
  const control = isLong
    ? el("textarea", { rows: 2, placeholder })
    : el("input", { type: INPUT_TYPES[schema.format] ?? "text", placeholder });
  control.spellcheck = false;
  return {
    element: control,
    control,
    get: () => control.value,
    set: (value) => (control.value = typeof value === "string" ? value : value === undefined ? "" : JSON.stringify(value)),
  };
};

const numberEditor = (schema) => {
  const step = schema.multipleOf ?? (schema.type === "integer" ? 1 : "any");
  const { minimum: min, maximum: max } = schema;
  const control = el("input", { type: "number", step: String(step), inputMode: "decimal" });
  if (min !== undefined) control.min = min;
  if (max !== undefined) control.max = max;
  control.placeholder = schema.default ?? "";
  return {
    element: control,
    control,
    get: () => (control.value === "" ? undefined : Number(control.value)),
    set: (value) => (control.value = typeof value === "number" ? String(value) : ""),
  };
};

const constantEditor = (value) => {
  const element = el("output", { className: "mono constant" }, JSON.stringify(value));
  return { element, get: () => value, set: () => {} };
};

const choiceEditor = (values, schema) => {
  const control = el("select", {}, ...values.map((one, index) => el("option", { value: String(index) }, String(one))));
  const set = (value = schema.default) => {
    const index = values.findIndex((one) => JSON.stringify(one) === JSON.stringify(value));
    control.value = String(Math.max(index, 0));
  };
  set();
  return { element: control, control, get: () => values[control.value], set };
};

const booleanEditor = (schema) => {
  const control = el("input", { type: "checkbox", className: "switch", role: "switch" });
  const text = el("span", { className: "mono" });
  const show = () => (text.textContent = String(control.checked));
  control.addEventListener("input", show);
  const set = (value = schema.default) => {
    control.checked = value === true;
    show();
  };
  set();
  return { element: el("label", { className: "switched" }, control, text), control, get: () => control.checked, set };
};

const jsonEditor = () => {
  const control = el("textarea", { rows: 2, className: "mono", placeholder: "JSON", spellcheck: false });
  const editor = {
    element: control,
    control,
    get() {
      if (!control.value.trim()) return undefined;
      try {
        return JSON.parse(control.value);
      } catch (error) {
        throw new FormError(editor, error.message);
      }
    },
    set: (value) => (control.value = value === undefined ? "" : JSON.stringify(value, null, 2)),
  };
  return editor;
};

/** Fields of an object; and rows of keys and values, if it may have others. */
const objectEditor = (schema, definitions) => {
  const required = new Set(schema.required);
  const fields = new Map();
  for (const [name, one] of Object.entries(schema.properties ?? {})) {
    fields.set(name, createField(name, one, definitions, required.has(name)));
  }
  const element = el("div", { className: "fields" }, ...[...fields.values()].map((field) => field.element));
  const more = schema.additionalProperties ?? false;
  const rows = more && more !== true ? rowsEditor(more, definitions, true) : undefined;
  if (rows) element.append(rows.element);
  return {
    element,
    get: () => {
      const found = Object.entries(rows?.get() ?? {});
      for (const [name, field] of fields) {
        const one = field.get();
        if (one !== undefined) found.push([name, one]);
      }
      return Object.fromEntries(found); // in which "__proto__" is a name as any other
    },
    set: (value) => {
      for (const [name, field] of fields) field.set(Object.hasOwn(value ?? {}, name) ? value[name] : undefined);
      rows?.set(Object.fromEntries(Object.entries(value ?? {}).filter(([name]) => !fields.has(name))));
    },
    child: (segment) => fields.get(segment) ?? rows?.child(segment),
    parts: () => [...fields.values(), ...(rows?.parts() ?? [])],
  };
};

/** Rows of values that can be added and removed: of a list, or with keys of an object. */
const rowsEditor = (schema, definitions, hasKeys, least = 0) => {
  const list = el("ol", { className: hasKeys ? "rows keyed" : "rows" });
  let rows = [];
  const touched = () => list.dispatchEvent(new Event("input", { bubbles: true }));
  const add = (value, key = "") => {
    const editor = createPart(schema, definitions);
    const name = hasKeys ? el("input", { className: "mono key", value: key, placeholder: "key", "aria-label": "Key" }) : undefined;
    const remove = el("button", { type: "button", className: "remove", "aria-label": "Remove", title: "Remove" }, "×");
    const row = { editor, name, element: el("li", {}, ...(name ? [name] : []), el("div", {}, editor.element), remove) };
    remove.onclick = () => {
      const next = row.element.nextElementSibling ?? row.element.previousElementSibling;
      rows = rows.filter((one) => one !== row);
      row.element.remove();
      (next?.querySelector("input, textarea, select") ?? button).focus();
      touched();
    };
    if (value !== undefined) editor.set(value);
    rows.push(row);
    list.append(row.element);
    return row;
  };
  const button = el("button", { type: "button", className: "add" }, hasKeys ? "Add a key" : "Add an item");
  button.onclick = () => {
    const row = add();
    touched();
    (row.name ?? row.editor.element.querySelector?.("input, textarea, select") ?? row.editor.control)?.focus();
  };
  for (let count = 0; count < least; count++) add();
  return {
    element: el("div", { className: "rows-editor" }, list, button),
    get: () =>
      hasKeys
        ? Object.fromEntries(rows.map((row) => [row.name.value, row.editor.get() ?? null]))
        : rows.map((row) => row.editor.get() ?? null),
    set: (value) => {
      rows = [];
      list.replaceChildren();
      for (const [key, one] of Object.entries(value ?? {})) add(one, key);
    },
    child: (segment) => (hasKeys ? rows.find((row) => row.name.value === segment) : rows[segment])?.editor,
    parts: () => rows.map((row) => row.editor),
  };
};

const tupleEditor = (schema, definitions) => {
  const fields = schema.prefixItems.map((one, index) => createField(String(index), one, definitions, true));
  return {
    element: el("div", { className: "fields tuple" }, ...fields.map((field) => field.element)),
    get: () => fields.map((field) => field.get() ?? null),
    set: (value) => fields.forEach((field, index) => field.set(value?.[index])),
    child: (segment) => fields[segment],
    parts: () => fields,
  };
};

/** One of several types. The editor of each is made when it is chosen. */
const unionEditor = (variants, definitions) => {
  const names = variants.map((one) => typeName(one, definitions));
  const select = el("select", { "aria-label": "Type" }, ...names.map((name, index) => el("option", { value: String(index) }, name)));
  const place = el("div", { className: "variant" });
  let editor;
  const choose = (index) => {
    select.value = String(index);
    editor = createPart(variants[index], definitions);
    place.replaceChildren(editor.element);
  };
  select.onchange = () => choose(select.value);
  choose(0);
  return {
    element: el("div", { className: "union" }, select, place),
    get control() {
      return editor.control;
    },
    get: () => editor.get(),
    set: (value) => {
      choose(Math.max(variants.findIndex((one) => fits(value, one, definitions)), 0));
      if (value !== undefined) editor.set(value);
    },
    child: (segment) => editor.child?.(segment),
    parts: () => [editor],
  };
};

const editorOf = ({ kind, schema, variants, values }, definitions) => {
  if (kind === "string") return stringEditor(schema);
  if (kind === "number") return numberEditor(schema);
  if (kind === "boolean") return booleanEditor(schema);
  if (kind === "choice" && values.length === 1) return constantEditor(values[0]);
  if (kind === "choice") return choiceEditor(values, schema);
  if (kind === "union") return unionEditor(variants, definitions);
  if (kind === "object") return objectEditor(schema, definitions);
  if (kind !== "array") return jsonEditor();
  if (schema.prefixItems) return tupleEditor(schema, definitions);
  return rowsEditor(schema.items ?? {}, definitions, false, schema.minItems);
};

/** The definitions whose editors are being made, outermost first: one within itself is edited as JSON, or begins as null. */
const making = [];

const createEditor = (schema, definitions, understood) => {
  const names = references(schema);
  if (names.some((name) => making.includes(name))) return { ...jsonEditor(), isRecursive: true };
  making.push(...names);
  try {
    return editorOf(understood, definitions);
  } finally {
    making.length -= names.length;
  }
};

/** An editor with a place for errors; with a switch for null, where that may be. */
const createPart = (schema, definitions, switches) => {
  const understood = understand(schema, definitions);
  const editor = createEditor(schema, definitions, understood);
  const errors = el("p", { className: "errors", id: `errors-${++ids}`, hidden: true });
  const element = el("div", { className: "part" }, editor.element, errors);
  let isNull = false;
  const nullSwitch = understood.isNullable
    ? el("button", { type: "button", className: "null", "aria-pressed": "false", title: "Send null" }, "null")
    : undefined;
  const setNull = (value) => {
    isNull = value;
    nullSwitch?.setAttribute("aria-pressed", String(value));
    editor.element.hidden = value;
  };
  if (nullSwitch) {
    nullSwitch.onclick = () => {
      setNull(!isNull);
      nullSwitch.dispatchEvent(new Event("input", { bubbles: true }));
    };
    if (switches) switches.append(nullSwitch);
    else element.prepend(nullSwitch);
    setNull(!!editor.isRecursive);
  }
  return {
    element,
    understood,
    get control() {
      return editor.control;
    },
    get: () => (isNull ? null : editor.get()),
    set: (value) => {
      setNull(understood.isNullable && (value === null || (value === undefined && !!editor.isRecursive)));
      if (!isNull) editor.set(value);
    },
    child: (segment) => editor.child?.(segment),
    parts: () => editor.parts?.() ?? [],
    showErrors: (messages) => {
      errors.textContent = messages.join(" ");
      errors.hidden = !messages.length;
      const { control } = editor;
      element.classList.toggle("invalid", messages.length > 0);
      if (!control) return;
      if (messages.length) {
        control.setAttribute("aria-invalid", "true");
        control.setAttribute("aria-describedby", errors.id);
      } else {
        control.removeAttribute("aria-invalid");
        control.removeAttribute("aria-describedby");
      }
    },
  };
};

/** A part with its name, type and description. One that may be left out is made when it is wanted. */
const createField = (name, schema, definitions, isRequired) => {
  const understood = understand(schema, definitions);
  const { description } = schema.description ? schema : understood.schema;
  const switches = el("span", { className: "switches" });
  const about = bounds({ ...understood.schema, ...resolve(schema, definitions) });
  const label = el("label", { className: "field-name", id: `field-${++ids}` }, name);
  const head = el(
    "div",
    { className: "field-head" },
    label,
    el("span", { className: "field-type" }, typeName(schema, definitions)),
    ...(about ? [el("span", { className: "field-bounds" }, about)] : []),
    switches,
  );
  const place = el("div");
  const element = el("div", { className: `field ${understood.kind}` }, head);
  if (description) element.append(el("p", { className: "field-doc" }, description));
  element.append(place);
  let part;
  const make = () => {
    if (part) return part;
    part = createPart(schema, definitions, switches);
    place.append(part.element);
    if (part.control && !isHeavy) {
      part.control.id = `field-${++ids}`;
      label.htmlFor = part.control.id;
    }
    return part;
  };
  const isHeavy = understood.kind === "object" || understood.kind === "array" || understood.kind === "union";
  if (isHeavy) {
    place.setAttribute("role", "group");
    place.setAttribute("aria-labelledby", label.id);
  }
  let include;
  if (isRequired) {
    make();
    head.append(el("span", { className: "required" }, "required"));
  } else {
    include = el("input", { type: "checkbox", className: "include", "aria-label": `Send ${name}`, title: "Send this field" });
    head.prepend(include);
    if (!isHeavy) make();
    include.onchange = () => {
      if (include.checked) make();
      element.classList.toggle("left-out", !include.checked);
      place.hidden = isHeavy && !include.checked;
    };
    place.addEventListener("input", () => !include.checked && include.click());
    switches.addEventListener("input", () => !include.checked && include.click());
    element.classList.add("left-out");
  }
  return {
    element,
    get: () => (include && !include.checked ? undefined : make().get()),
    set: (value) => {
      if (include) {
        include.checked = value !== undefined;
        include.onchange();
      }
      if (value !== undefined || part) make().set(value);
    },
    child: (segment) => part?.child(segment),
    parts: () => part?.parts() ?? [],
    showErrors: (messages) => {
      if (!part && !messages.length) return;
      make().showErrors(messages);
      if (messages.length) place.hidden = false;
      element.classList.toggle("invalid", messages.length > 0);
    },
  };
};

/** A form for a value: `{ element, get, set, showErrors, clearErrors }`. */
export const createForm = (schema, definitions) => {
  const part = createPart(schema, definitions);
  const all = (one) => [one, ...one.parts().flatMap(all)];
  const clearErrors = () => all(part).forEach((one) => one.showErrors?.([]));
  return {
    element: part.element,
    set: part.set,
    clearErrors,
    get() {
      clearErrors();
      try {
        return part.get();
      } catch (error) {
        if (error instanceof FormError) all(part).find((one) => one.control === error.part.control)?.showErrors([error.message]);
        throw error;
      }
    },
    /** Show messages by dotted path, each at the nearest part that there is; steps that name a type are passed over. */
    showErrors(fields) {
      const found = new Map();
      for (const [path, messages] of Object.entries(fields)) {
        let at = part;
        const rest = [];
        for (const segment of path ? path.split(".") : []) {
          const next = at.child?.(segment);
          if (next) at = next;
          else rest.push(segment);
        }
        const texts = rest.length ? messages.map((message) => `${rest.join(".")}: ${message}`) : messages;
        found.set(at, [...(found.get(at) ?? []), ...texts]);
      }
      for (const [at, texts] of found) at.showErrors(texts);
      const [first] = found.keys();
      first?.element.querySelector("[aria-invalid]")?.focus();
    },
  };
};
