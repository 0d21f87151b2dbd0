// Whether there is a corosync on this machine to compare with. Called by benchRaincore.ts.

import { existsSync, readFileSync } from "node:fs";
import { z } from "zod";
import { DEBIAN_PACKAGES_FILE } from "../../lib/lab/paths.js";
import { onPath } from "../../lib/lab/tools.js";

const packagesSchema = z.looseObject({ corosyncOptional: z.record(z.string(), z.string()) });

/** Why it cannot take part, and what helps; undefined: it can. */
export function whyWithoutCorosync(): string | undefined {
  const { corosyncOptional } = packagesSchema.parse(JSON.parse(readFileSync(DEBIAN_PACKAGES_FILE, "utf8")));
  const missing = Object.entries(corosyncOptional).filter(([tool]) => !isThere(tool));
  if (missing.length === 0) return undefined;
  const tools = missing.map(([tool]) => tool).join(", ");
  const packages = [...new Set(missing.map(([, debianPackage]) => debianPackage))].join(" ");
  return `not installed: ${tools} (apt-get install --no-install-recommends ${packages})`;
}

/** A program by its name, a file by its absolute path. */
function isThere(tool: string): boolean {
  return tool.startsWith("/") ? existsSync(tool) : onPath(tool);
}
