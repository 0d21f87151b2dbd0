// The pure folders must be runnable by a simulator: everything that differs from run to run comes in from outside. The linter keeps the
// global clock and timers out; this keeps the rest out.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const LIB = fileURLToPath(new URL("../../lib/", import.meta.url));
/** What each pure folder may import from outside itself, by its place in lib. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  raincore: ["errors.js"],
  vip: ["raincore/types.js", "raincore/wire.js"],
  // Of the addon and the configuration types alone, of which nothing is left when it runs.
  steering: ["messageKinds.js", "raincore/types.js", "node:crypto", "type config/config.js", "type native.js"],
};
/** The ways to randomness that node:crypto and the language have. */
const RANDOMNESS = /Math\.random|random(?:Bytes|Int|UUID|FillSync?)|getRandomValues/;

/** What a file imports: a place in lib, or the name of a package. */
function importsOf(file: string): string[] {
  const text = readFileSync(file, "utf8");
  const types = new Set([...text.matchAll(/^import type [^;]*? from "([^"]+)"/gm)].map((match) => match[1]));
  return [...text.matchAll(/(?:from|import\() ?"([^"]+)"/g)].map(([, name = ""]) => {
    const place = name.startsWith(".") ? relative(LIB, join(file, "..", name)) : name;
    return types.has(name) && ["native.js", "config/config.js"].includes(place) ? `type ${place}` : place;
  });
}

for (const [folder, allowed] of Object.entries(ALLOWED)) {
  const entries = readdirSync(join(LIB, folder), { recursive: true, encoding: "utf8" });
  const files = entries.filter((name) => name.endsWith(".ts")).map((name) => join(LIB, folder, name));

  test(`lib/${folder} imports nothing that has a clock, a socket or a side effect`, () => {
    assert.ok(files.length > 0);
    for (const file of files) {
      const foreign = importsOf(file).filter((name) => !name.startsWith(`${folder}/`) && !allowed.includes(name));
      assert.deepEqual(foreign, [], relative(LIB, file));
    }
  });

  test(`lib/${folder} makes no randomness of its own`, () => {
    for (const file of files) assert.doesNotMatch(readFileSync(file, "utf8"), RANDOMNESS, relative(LIB, file));
  });
}
