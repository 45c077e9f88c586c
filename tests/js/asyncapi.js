/** Parses a list of AsyncAPI documents from standard input, and prints what its own parser finds wrong with each. */

import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const told = [];
for (const given of JSON.parse(readFileSync(0, "utf8"))) {
  const { document, diagnostics } = await new Parser().parse(JSON.stringify(given));
  const problems = diagnostics.map(({ severity, code, path, message }) => ({ severity, code, path, message }));
  told.push({ isValid: document !== undefined, problems });
}
console.log(JSON.stringify(told));
