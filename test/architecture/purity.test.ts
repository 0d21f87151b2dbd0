// The pure folders must be runnable by a simulator: everything that differs from run to run comes in from outside. The linter keeps the
// global clock and timers out; this keeps the rest out.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import { test } from "node:test";

const LIB = new URL("../../lib/", import.meta.url);
/** What each pure folder may import from outside itself. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  raincore: ["../errors.js", "node:crypto"],
  vip: ["../raincore/types.js", "../raincore/wire.js"],
  steering: ["node:crypto"],
};
/** The ways to randomness that node:crypto and the language have. */
const RANDOMNESS = /Math\.random|random(?:Bytes|Int|UUID|FillSync?)|getRandomValues/;

for (const [folder, allowed] of Object.entries(ALLOWED)) {
  const files = readdirSync(new URL(`${folder}/`, LIB)).map((name) => new URL(`${folder}/${name}`, LIB));

  test(`lib/${folder} imports nothing that has a clock, a socket or a side effect`, () => {
    assert.ok(files.length > 0);
    for (const file of files) {
      const imported = [...readFileSync(file, "utf8").matchAll(/(?:from|import\() ?"([^"]+)"/g)].map(
        (match) => match[1] ?? "",
      );
      const foreign = imported.filter((name) => !name.startsWith("./") && !allowed.includes(name));
      assert.deepEqual(foreign, [], basename(file.pathname));
    }
  });

  test(`lib/${folder} makes no randomness of its own`, () => {
    for (const file of files) assert.doesNotMatch(readFileSync(file, "utf8"), RANDOMNESS, basename(file.pathname));
  });
}
