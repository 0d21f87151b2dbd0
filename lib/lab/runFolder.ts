// The folder of a running lab: its control socket and the logs of everything in it. One per lab, below one per user:
// $TMPDIR/rainfront-lab-UID/PID. Folders of labs that ended are removed at a later start; the latest few are kept for reading.

import { mkdirSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CONTROL_SOCKET_NAME } from "../config/options.js";
import { RainfrontError } from "../errors.js";

/** So many folders of ended labs are kept for reading. */
const KEPT = 5;

function userFolder(): string {
  const temporary = tmpdir();
  // The lab has a /run of its own, so nothing below the system's /run can be seen from inside.
  const base = temporary.startsWith("/run/") ? "/tmp" : temporary;
  return join(base, `rainfront-lab-${process.getuid?.() ?? 0}`);
}

export function makeRunFolder(): string {
  const ended = runFolders().filter((folder) => !folder.alive);
  for (const folder of ended.slice(KEPT)) rmSync(folder.path, { recursive: true, force: true });
  const path = join(userFolder(), String(process.pid));
  mkdirSync(userFolder(), { recursive: true, mode: 0o700 });
  const owner = statSync(userFolder());
  if (owner.uid !== process.getuid?.() || (owner.mode & 0o077) !== 0) {
    throw new RainfrontError("RF_LAB_REFUSED", `${userFolder()} is not a folder that only you can use`, {
      fix: "remove it, or set TMPDIR to a folder of your own",
    });
  }
  rmSync(path, { recursive: true, force: true }); // of an earlier process with our pid
  mkdirSync(path, { mode: 0o700 });
  return path;
}

export function removeRunFolder(path: string): void {
  rmSync(path, { recursive: true, force: true });
}

/** A lab's own control socket is named like a daemon's. */
export function controlSocketOf(runFolder: string): string {
  return join(runFolder, CONTROL_SOCKET_NAME);
}

/** Control sockets of the labs that run now, the latest first. */
export function liveControlSockets(): string[] {
  return runFolders()
    .filter((folder) => folder.alive)
    .map((folder) => controlSocketOf(folder.path));
}

interface RunFolder {
  readonly path: string;
  readonly made_ms: number;
  readonly alive: boolean;
}

function runFolders(): RunFolder[] {
  let names: string[];
  try {
    names = readdirSync(userFolder());
  } catch {
    return [];
  }
  return names
    .map((name) => ({
      path: join(userFolder(), name),
      made_ms: statSync(join(userFolder(), name), { throwIfNoEntry: false })?.mtimeMs ?? 0,
      alive: isLab(name),
    }))
    .sort((a, b) => b.made_ms - a.made_ms);
}

/** A process of that number runs and is a lab: numbers are used again. */
function isLab(pid: string): boolean {
  try {
    return /lab[/\\]main\.[jt]s/.test(readFileSync(`/proc/${pid}/cmdline`, "utf8"));
  } catch {
    return false;
  }
}
