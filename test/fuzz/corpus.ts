// The files of a corpus: one input each, named by its hash, so that the same input is there once. Used by worker.ts and main.ts.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const SUFFIX = ".bin";

export function hashOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex").slice(0, 16);
}

export function readCorpus(folder: string): Uint8Array[] {
  if (!existsSync(folder)) return [];
  const names = readdirSync(folder).filter((name) => name.endsWith(SUFFIX));
  return names.sort().map((name) => Uint8Array.from(readFileSync(join(folder, name))));
}

/** Makes the folder hold these inputs and no others; the answer is how many came in and how many went. */
export function writeCorpus(folder: string, inputs: readonly Uint8Array[]): { added: number; removed: number } {
  mkdirSync(folder, { recursive: true });
  const wanted = new Map(inputs.map((input) => [`${hashOf(input)}${SUFFIX}`, input]));
  const present = readdirSync(folder).filter((name) => name.endsWith(SUFFIX));
  const superfluous = present.filter((name) => !wanted.has(name));
  for (const name of superfluous) rmSync(join(folder, name));
  const fresh = [...wanted].filter(([name]) => !present.includes(name));
  for (const [name, input] of fresh) writeFileSync(join(folder, name), input);
  return { added: fresh.length, removed: superfluous.length };
}

/** Where a failing input goes; the name says what it does to which target. */
export function writeFinding(folder: string, target: string, kind: string, input: Uint8Array): string {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `${target}-${kind}-${hashOf(input)}${SUFFIX}`);
  writeFileSync(file, input);
  return file;
}
