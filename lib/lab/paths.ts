// Where the lab finds the programs it starts, and where it keeps its things.

import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The package's root, seen from its sources as well as from dist/. */
export const ROOT = (() => {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, "package.json"))) {
    const parent = dirname(folder);
    if (parent === folder) throw new Error("package.json of rainfront not found");
    folder = parent;
  }
  return folder;
})();

export const DAEMON_PROGRAM = join(ROOT, "dist/lib/cli/main.js");
export const LOAD_PROGRAM = join(ROOT, "dist/lib/lab/load.js");
export const HELD_PROGRAM = join(ROOT, "dist/lib/lab/held.js");

/** Program → Debian package, by what asks for them; the set-up (scripts/setup.mjs) installs from the same list. */
export const DEBIAN_PACKAGES_FILE = join(ROOT, "scripts/debian-packages.json");

/** Below the private /run of the lab's box: gone with it. */
export const STATE_ROOT = "/run/rflab";

/** The C++ tool that observes and probes. */
export function testhostProgram(): string {
  return process.env.RAINFRONT_TESTHOST ?? join(ROOT, "build/native/rainfront-testhost");
}
