// One daemon per state folder. The lock is a file with the owner's pid and start time, so that a second daemon can say
// who runs even if that process is stopped and answers nothing, and so that a number used again is not taken for the
// daemon. A lock whose owner is gone is taken over. Called by control.ts before anything else is touched.

import { existsSync, linkSync, lstatSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { RainfrontError } from "../errors.js";

const LOCK_NAME = "daemon.lock";

interface Owner {
  readonly pid: number;
  /** Clock ticks since boot at which the process began, from /proc. */
  readonly started: string;
  readonly boot: string;
}

export interface DaemonLock {
  release(): void;
}

/** Takes the lock of a state folder, which must exist. Throws RF_ALREADY_RUNNING with the pid if a live process has it. */
export function acquireDaemonLock(stateDir: string): DaemonLock {
  const path = join(stateDir, LOCK_NAME);
  const mine = `${JSON.stringify(self())}\n`;
  const draft = `${path}.${process.pid}`;
  writeFileSync(draft, mine, { mode: 0o600 });
  try {
    // link() either makes the complete file or fails: nobody sees a lock without its owner.
    while (!tryLink(draft, path)) removeIfStale(path);
  } finally {
    rmSync(draft, { force: true });
  }
  return {
    release: () => {
      if (readText(path) === mine) rmSync(path, { force: true });
    },
  };
}

/** The folder of the socket and the lock: made with mode 0700, refused if others could put files there. */
export function prepareStateDir(stateDir: string): void {
  try {
    makeFolders(stateDir);
  } catch (error) {
    throw new RainfrontError("RF_STATE_DIR", `${stateDir} cannot be made: ${(error as Error).message}`, {
      fix: "run as root, or set stateDir to a folder you may write to",
      cause: error,
    });
  }
  const stat = lstatSync(stateDir);
  const uid = process.geteuid?.() ?? 0;
  if (!stat.isDirectory()) {
    throw new RainfrontError("RF_STATE_DIR", `${stateDir} is not a folder`, { fix: "set stateDir to a folder" });
  }
  if (stat.uid !== uid) {
    throw new RainfrontError("RF_STATE_DIR", `${stateDir} belongs to user ${stat.uid}, rainfront runs as ${uid}`, {
      fix: `run: chown ${uid} ${stateDir}`,
    });
  }
  if ((stat.mode & 0o022) !== 0) {
    throw new RainfrontError("RF_STATE_DIR", `others may write to ${stateDir}`, { fix: `run: chmod 700 ${stateDir}` });
  }
}

/** Not mkdir's own `recursive`: in places such as /proc it never returns. */
function makeFolders(folder: string): void {
  if (existsSync(folder)) return;
  makeFolders(dirname(folder));
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
}

/** The pid in the lock beside a socket, if that process lives. For messages about a daemon that does not answer. */
export function lockOwner(socketPath: string): number | undefined {
  const owner = parseOwner(readText(join(dirname(socketPath), LOCK_NAME)));
  return owner !== undefined && isAlive(owner) ? owner.pid : undefined;
}

function tryLink(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

function removeIfStale(path: string): void {
  const seen = readText(path);
  const owner = parseOwner(seen);
  if (owner !== undefined && isAlive(owner)) throw alreadyRunning(owner.pid);
  // Another daemon may take the stale lock over at the same moment. Renaming takes exactly one file away: if that was
  // not the stale one, it is put back.
  const aside = `${path}.stale.${process.pid}`;
  try {
    renameSync(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    throw error;
  }
  if (readText(aside) !== seen) tryLink(aside, path);
  rmSync(aside, { force: true });
}

export function alreadyRunning(pid: number | undefined): RainfrontError {
  const who = pid === undefined ? "a rainfront daemon" : `a rainfront daemon, pid ${pid},`;
  return new RainfrontError("RF_ALREADY_RUNNING", `${who} already runs on this node`, {
    fix: "stop it with: rainfront down",
  });
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

function parseOwner(text: string | undefined): Owner | undefined {
  try {
    const value = JSON.parse(text ?? "") as Partial<Owner> | null;
    if (typeof value?.pid !== "number" || typeof value.started !== "string" || typeof value.boot !== "string") {
      return undefined;
    }
    return { pid: value.pid, started: value.started, boot: value.boot };
  } catch {
    return undefined;
  }
}

function self(): Owner {
  return { pid: process.pid, started: startTime(process.pid) ?? "", boot: bootId() };
}

function isAlive(owner: Owner): boolean {
  return owner.boot === bootId() && startTime(owner.pid) === owner.started;
}

function bootId(): string {
  return readText("/proc/sys/kernel/random/boot_id")?.trim() ?? "";
}

/** Field 22 of /proc/PID/stat; a zombie counts as gone. */
function startTime(pid: number): string | undefined {
  const stat = readText(`/proc/${pid}/stat`);
  // The command's name, field 2, may have spaces and brackets of its own.
  const fields = stat?.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields === undefined || fields[0] === "Z" ? undefined : fields[19];
}
