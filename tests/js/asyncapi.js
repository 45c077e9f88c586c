/** Parses an AsyncAPI document from standard input, and prints what its own parser finds wrong, as JSON. */

import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const { document, diagnostics } = await new Parser().parse(readFileSync(0, "utf8"));
const problems = diagnostics.map(({ severity, code, path, message }) => ({ severity, code, path, message }));
console.log(JSON.stringify({ isValid: document !== undefined, problems }));
