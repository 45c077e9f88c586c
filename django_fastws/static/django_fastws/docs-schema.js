/** JSON Schemas as forms see them: references resolved, null apart, choices named. */

const PREFIX = "#/$defs/";
const NO_TYPE = "any";

/** A schema with its references resolved and its parts merged. */
export const resolve = (schema, definitions) => {
  let found = schema === true || schema === undefined ? {} : schema;
  for (let steps = 0; found.$ref?.startsWith(PREFIX) && steps < 20; steps++) {
    const { $ref, ...beside } = found;
    const name = $ref.slice(PREFIX.length);
    found = { title: name, ...definitions[name], ...beside };
  }
  if (found.allOf) {
    const { allOf, ...rest } = found;
    found = Object.assign({}, ...allOf.map((part) => resolve(part, definitions)), rest);
  }
  return found;
};

/**
 * What a form makes an editor of: `kind` is one of string, number, boolean, choice, array, object, union, any.
 *
 * @returns {{kind: string, schema: object, isNullable: boolean, variants?: object[], values?: any[]}}
 */
export const understand = (schema, definitions) => {
  const whole = resolve(schema, definitions);
  const choices = whole.anyOf ?? whole.oneOf ?? (Array.isArray(whole.type) && whole.type.map((type) => ({ type })));
  if (choices) {
    const beside = { ...whole };
    for (const key of ["anyOf", "oneOf", "type"]) delete beside[key];
    const others = choices.filter((one) => resolve(one, definitions).type !== "null");
    const isNullable = others.length < choices.length;
    if (others.length !== 1) return { kind: others.length ? "union" : "any", schema: beside, isNullable, variants: others };
    const inner = understand(Array.isArray(whole.type) ? { ...beside, ...others[0] } : others[0], definitions);
    return { ...inner, schema: { ...inner.schema, ...beside, title: inner.schema.title }, isNullable: isNullable || inner.isNullable };
  }
  if ("const" in whole) return { kind: "choice", schema: whole, isNullable: false, values: [whole.const] };
  if (whole.enum) {
    const values = whole.enum.filter((one) => one !== null);
    return { kind: "choice", schema: whole, isNullable: values.length < whole.enum.length, values };
  }
  const kind = { integer: "number", null: "any" }[whole.type] ?? whole.type ?? (whole.properties ? "object" : NO_TYPE);
  const open = kind === "object" && !whole.properties && (whole.additionalProperties ?? true) === true;
  return { kind: open ? NO_TYPE : kind, schema: whole, isNullable: false };
};

/** The definitions that a schema is, apart from null. */
export const references = ({ $ref, anyOf, oneOf }) => {
  const choices = (anyOf ?? oneOf ?? []).filter((one) => one.type !== "null");
  return [$ref, choices.length === 1 ? choices[0].$ref : undefined].filter(Boolean);
};

/** What a type is called in one or two words. `within` are the references that it is in, at which a recursion ends. */
export const typeName = (schema, definitions, within = []) => {
  const { kind, schema: inner, variants, isNullable } = understand(schema, definitions);
  const named = schema.$ref?.slice(PREFIX.length);
  if (named && within.includes(schema.$ref)) return named;
  const deeper = schema.$ref ? [...within, schema.$ref] : within;
  const base = (() => {
    if (kind === "union") return variants.map((one) => typeName(one, definitions, deeper)).join(" | ");
    if (kind === "array") {
      return inner.prefixItems ? "tuple" : `${typeName(inner.items ?? {}, definitions, deeper)}[]`;
    }
    if (kind === "object") return inner.title ?? "object";
    if (kind === "number") return inner.type === "integer" ? "integer" : "number";
    if (kind === "choice") return named ?? (inner.const === undefined ? "enum" : "constant");
    if (kind === "string") return inner.format ?? "string";
    return kind;
  })();
  return isNullable ? `${base} | null` : base;
};

/** The bounds of a schema in words. */
export const bounds = (schema) => {
  const found = [];
  const between = (least, most, unit) => {
    if (least === undefined && most === undefined) return;
    const range = least === undefined ? `at most ${most}` : most === undefined ? `at least ${least}` : `${least}–${most}`;
    found.push(`${least === most ? least : range} ${(most ?? least) === 1 ? unit.replace(/s$/, "") : unit}`.trim());
  };
  between(schema.minimum, schema.maximum, "");
  if (schema.exclusiveMinimum !== undefined) found.push(`over ${schema.exclusiveMinimum}`);
  if (schema.exclusiveMaximum !== undefined) found.push(`under ${schema.exclusiveMaximum}`);
  if (schema.multipleOf !== undefined) found.push(`by ${schema.multipleOf}`);
  between(schema.minLength, schema.maxLength, "characters");
  between(schema.minItems, schema.maxItems, "items");
  if (schema.pattern) found.push(`matches ${schema.pattern}`);
  if (schema.default !== undefined) found.push(`default ${JSON.stringify(schema.default)}`);
  return found.join(", ");
};

/** Whether a value may be meant by a schema, as far as one can see at a glance. */
export const fits = (value, schema, definitions) => {
  const { kind, schema: inner, values } = understand(schema, definitions);
  if (kind === "choice") return values.includes(value);
  if (kind === "object") {
    if (value === null || typeof value !== "object" || Array.isArray(value)) return false;
    return Object.entries(inner.properties ?? {}).every(([name, one]) => {
      const { const: constant } = resolve(one, definitions);
      return constant === undefined || value[name] === constant;
    });
  }
  return kind === "any" || (kind === "array" ? Array.isArray(value) : typeof value === kind);
};
