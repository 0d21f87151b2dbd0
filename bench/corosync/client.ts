// Compiles cpg_client.c into build-bench/ when it is not there or older than its source.

import { mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { run } from "../../lib/lab/commands.js";
import { ROOT } from "../../lib/lab/paths.js";

const SOURCE = join(ROOT, "bench", "corosync", "cpg_client.c");
const FOLDER = join(ROOT, "build-bench");

/** The path of the program. */
export async function buildClient(): Promise<string> {
  const program = join(FOLDER, "cpg_client");
  if (changed_ms(program) > changed_ms(SOURCE)) return program;
  mkdirSync(FOLDER, { recursive: true });
  await run(["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", program, SOURCE, "-lcpg"]);
  return program;
}

function changed_ms(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}
