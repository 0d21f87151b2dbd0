import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { loadConfig } from "../../lib/config/load.js";
import { DEFAULTS, OPTIONS, optionAt, optionsTable } from "../../lib/config/options.js";
import { type FileConfig, fileSchema } from "../../lib/config/schema.js";
import { ERROR_CODES } from "../../lib/errors.js";
import { SAMPLE_KEY, withConfig } from "./sample.js";

const page = readFileSync(new URL("../../docs/configuration.md", import.meta.url), "utf8");

/** All key paths of a schema's input, `[]` for list entries. */
function schemaKeys(schema: unknown, prefix = ""): string[] {
  const definition = (schema as { _zod: { def: Record<string, unknown> } })._zod.def;
  if (definition.innerType !== undefined) return schemaKeys(definition.innerType, prefix);
  if (definition.element !== undefined) return schemaKeys(definition.element, `${prefix}[]`);
  const shape = definition.shape as Record<string, unknown> | undefined;
  if (shape === undefined) return [];
  return Object.entries(shape).flatMap(([key, value]) => {
    const path = prefix === "" ? key : `${prefix}.${key}`;
    return [path, ...schemaKeys(value, path)];
  });
}

test("every key of the schema is described, and nothing else", () => {
  assert.deepEqual(OPTIONS.map((option) => option.key).sort(), schemaKeys(fileSchema).sort());
});

test("the table in docs/configuration.md is the one the program knows", () => {
  assert.ok(page.includes(optionsTable()), `put this into docs/configuration.md:\n${optionsTable()}`);
});

test("the defaults in the table are what the schema fills in", () => {
  const minimal = {
    cluster: "c",
    keyFile: "k",
    nodes: [],
    segments: segments(),
    vips: [{ address: "192.0.2.9", segment: "external" }],
  };
  const filled: FileConfig = fileSchema.parse(minimal);
  const vip = filled.vips[0];
  assert.deepEqual(
    [
      filled.failoverTarget_ms,
      filled.backend,
      filled.stateDir,
      filled.logLevel,
      filled.ring.port,
      vip?.preferredHost,
      vip?.persistence,
    ],
    [
      DEFAULTS.failoverTarget_ms,
      DEFAULTS.backend,
      DEFAULTS.stateDir,
      DEFAULTS.logLevel,
      DEFAULTS.ringPort,
      DEFAULTS.preferredHost,
      DEFAULTS.persistence,
    ],
  );
  assert.equal(optionAt(["ring", "port"])?.fallback, `\`${filled.ring.port}\``);
  assert.equal(optionAt(["failoverTarget_ms"])?.fallback, `\`${filled.failoverTarget_ms}\``);
});

test("the example in docs/configuration.md loads", () => {
  const example = /```yaml\n([\s\S]*?)```/.exec(page)?.[1];
  assert.ok(example, "docs/configuration.md has an example");
  assert.match(SAMPLE_KEY, /^[0-9a-f]{64}$/);
  withConfig(example, (file) => assert.equal(loadConfig(file, { node: 1 }).nodes.length, 3));
});

test("error codes are sorted and unique", () => {
  assert.deepEqual([...ERROR_CODES], [...new Set(ERROR_CODES)].sort());
});

function segments() {
  return { external: { interface: "a", subnet: "192.0.2.0/24" }, internal: { interface: "b", subnet: "10.0.0.0/24" } };
}
