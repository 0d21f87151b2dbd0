// The version in package.json. Used by `--version` and by the daemon's status.

import { readFileSync } from "node:fs";

function packageVersion(): string {
  // Run from lib by tests and from dist/lib when built.
  for (const up of ["../", "../../"]) {
    try {
      const text = readFileSync(new URL(`${up}package.json`, import.meta.url), "utf8");
      const content = JSON.parse(text) as { readonly name?: unknown; readonly version?: unknown };
      if (content.name === "rainfront" && typeof content.version === "string") return content.version;
    } catch {
      // not here
    }
  }
  return "unknown";
}
export const VERSION = packageVersion();
