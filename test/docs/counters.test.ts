// docs/counters.md explains every counter of the ring, of its network and of its services, and nothing else.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { DATAGRAM_COUNTERS } from "../../lib/session/datagramPort.js";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

interface Found {
  /** Names that stand in a call of `count`. */
  readonly names: ReadonlySet<string>;
  /** Beginnings of names whose end is computed: `lost_` of `lost_${reason}`. */
  readonly stems: ReadonlySet<string>;
  /** All text literals of the sources, for names and ends that are handed to `count` from elsewhere. */
  readonly literals: ReadonlySet<string>;
}

function sources(folder: string): string[] {
  const entries = readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile() && entry.name.endsWith(".ts"));
  return files.map((entry) => readFileSync(join(entry.parentPath, entry.name), "utf8"));
}

/** From behind an opening parenthesis to the one that closes it. */
function argumentAt(text: string, from: number): string {
  let depth = 1;
  let end = from;
  for (; end < text.length && depth > 0; end++) depth += text[end] === "(" ? 1 : text[end] === ")" ? -1 : 0;
  return text.slice(from, end - 1);
}

function findIn(texts: readonly string[]): Found {
  const names = new Set<string>(DATAGRAM_COUNTERS);
  const stems = new Set<string>();
  const literals = new Set<string>();
  for (const text of texts) {
    for (const [, literal] of text.matchAll(/"([a-z][a-z_]*)"/g)) literals.add(literal as string);
    for (const call of text.matchAll(/\bcount\(/g)) {
      const argument = argumentAt(text, call.index + call[0].length);
      // What is compared is no name.
      const named = argument.replaceAll(/[!=]==? "[^"]*"/g, "");
      for (const [, name] of named.matchAll(/"([a-z][a-z_]*)"/g)) names.add(name as string);
      for (const [, stem] of named.matchAll(/`([a-z_]+)\$\{/g)) stems.add(stem as string);
    }
    // The locks' events are counters by type and reason.
    if (text.includes('const cause = "reason" in event')) for (const stem of ["lost_", "refused_"]) stems.add(stem);
  }
  return { names, stems, literals };
}

const page = readFileSync(join(ROOT, "docs", "counters.md"), "utf8");
const rows = [...page.matchAll(/^\| `([a-z_]+)` \| (.+) \|$/gm)].map(([, name, meaning]) => ({ name, meaning }));
const documented = new Set(rows.map(({ name }) => name as string));
const found = findIn([...sources("lib/raincore"), ...sources("lib/session")]);

describe("docs/counters.md", () => {
  test("is compared with sources that count", () => {
    for (const name of ["token_received", "transport_failed", "path_up", "handshakes"])
      assert.ok(found.names.has(name));
    for (const stem of ["refused_", "lost_", "token_refused_"]) assert.ok(found.stems.has(stem), stem);
  });

  test("explains every counter that is named where it is counted", () => {
    assert.deepEqual(
      [...found.names].filter((name) => !documented.has(name)),
      [],
    );
  });

  test("explains counters for every computed name", () => {
    const withoutRow = [...found.stems].filter((stem) => ![...documented].some((name) => name.startsWith(stem)));
    assert.deepEqual(withoutRow, []);
  });

  test("explains nothing that is not counted", () => {
    const isCounted = (name: string): boolean =>
      found.names.has(name) ||
      found.literals.has(name) ||
      /** A property of that name, as of the locks' counters. */
      name === "malformed_carriage" ||
      [...found.stems].some((stem) => name.startsWith(stem) && found.literals.has(name.slice(stem.length)));
    assert.deepEqual(
      [...documented].filter((name) => !isCounted(name)),
      [],
    );
  });

  test("explains every cause for which a datagram is refused, and every way to lose membership", () => {
    const channel = readFileSync(join(ROOT, "lib", "raincore", "secureChannel.ts"), "utf8");
    const failures = /export type OpenFailure =([\s\S]*?);\n/.exec(channel)?.[1] ?? "";
    const causes = [...failures.matchAll(/\| "([a-z_]+)"/g)].map(([, cause]) => cause as string);
    assert.ok(causes.includes("forged"));
    const missing = causes.filter((cause) => cause !== "handshake" && !documented.has(`refused_${cause}`));
    assert.deepEqual(missing, []);
    const core = sources("lib/raincore").join("\n");
    const reasons = [...core.matchAll(/(?:\.onLost|#lose)\("([a-z_]+)"\)/g)].map(([, reason]) => reason as string);
    assert.ok(reasons.includes("merged"));
    assert.deepEqual(
      reasons.filter((reason) => !documented.has(`lost_${reason}`)),
      [],
    );
  });

  test("gives every counter a meaning", () => {
    for (const { name, meaning } of rows) assert.ok((meaning ?? "").length > 10, name);
  });
});
