/** Validates values against a schema of a JSON Schema document, all from standard input; prints which fit. */

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(createRequire(import.meta.url).resolve("@asyncapi/parser"));
const { default: Ajv } = require("ajv/dist/2020.js");

const { document, schema, values } = JSON.parse(readFileSync(0, "utf8"));
const ajv = new Ajv({ strict: false, validateFormats: false });
const valid = ajv.compile({ ...document, ...schema });
console.log(JSON.stringify(values.map((value) => valid(value))));
