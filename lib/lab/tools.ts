// The programs that the lab needs. Missing ones are named in one line before anything is built.

import { accessSync, constants, readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { RainfrontError } from "../errors.js";
import type { LabBackend, ScenarioName } from "./options.js";
import { DAEMON_PROGRAM, DEBIAN_PACKAGES_FILE, LOAD_PROGRAM, testhostProgram } from "./paths.js";

const toolsSchema = z.record(z.string(), z.string());
const packagesSchema = z.looseObject({ lab: toolsSchema, labOptional: toolsSchema });

/** Programs without which a scenario says nothing. Others that are missing cost a part of it only. */
const NEEDED_BY: Readonly<Partial<Record<ScenarioName, readonly string[]>>> = { stress: ["stress-ng"] };

function debianPackages(): z.infer<typeof packagesSchema> {
  return packagesSchema.parse(JSON.parse(readFileSync(DEBIAN_PACKAGES_FILE, "utf8")));
}

/** A user's PATH often lacks the folders where these programs are. */
export function completePath(): void {
  const folders = (process.env.PATH ?? "").split(":").filter((folder) => folder !== "");
  for (const folder of ["/usr/sbin", "/sbin", "/usr/bin", "/bin"]) if (!folders.includes(folder)) folders.push(folder);
  process.env.PATH = folders.join(":");
}

export function requireTools(backend: LabBackend, scenario?: ScenarioName): void {
  const { lab, labOptional } = debianPackages();
  const special = scenario === undefined ? [] : (NEEDED_BY[scenario] ?? []);
  const needed = [
    ...Object.entries(lab),
    ...Object.entries(labOptional).filter(([program]) => special.includes(program)),
  ];
  const packages = new Set(needed.filter(([program]) => !onPath(program)).map(([, debianPackage]) => debianPackage));
  if (packages.size > 0) {
    const list = [...packages].join(" ");
    throw new RainfrontError("RF_LAB_TOOL_MISSING", `the lab needs these Debian packages: ${list}`, {
      fix: `apt-get install ${list}`,
    });
  }
  const built = [testhostProgram(), LOAD_PROGRAM, ...(backend === "none" ? [] : [DAEMON_PROGRAM])];
  const missing = built.find((file) => !usable(file, constants.R_OK));
  if (missing !== undefined) {
    throw new RainfrontError("RF_LAB_TOOL_MISSING", `${missing} is not there`, { fix: "npm run build" });
  }
}

/** Why a part of a scenario that uses this program has to be skipped; undefined when it can be done. */
export function whyWithout(program: string): string | undefined {
  if (onPath(program)) return undefined;
  const debianPackage = debianPackages().labOptional[program] ?? program;
  return `${program} is not installed (apt-get install ${debianPackage})`;
}

export function onPath(program: string): boolean {
  return (process.env.PATH ?? "").split(":").some((folder) => usable(join(folder, program), constants.X_OK));
}

function usable(file: string, mode: number): boolean {
  try {
    accessSync(file, mode);
    return true;
  } catch {
    return false;
  }
}
