// Whoever started the lab through npm may be killed without a word to us. Then the lab must end too, so this watches the
// processes between npm and us. A lab that was started directly depends on nobody.

import { readFileSync } from "node:fs";

const POLL_MS = 500;

export interface Caller {
  readonly pid: number;
  readonly parent: number;
  /** Start time in clock ticks: a number that comes again with another start time is another process. */
  readonly started: string;
  readonly command: string;
}

/** Calls `ended` once when one of the processes that called us through npm has ended. Returns how to stop watching. */
export function watchCallers(ended: () => void): () => void {
  const callers = callersUpToNpm(readCaller, process.ppid);
  if (callers.length === 0) return () => {};
  const timer = setInterval(() => {
    if (callers.every((caller) => readCaller(caller.pid)?.started === caller.started)) return;
    clearInterval(timer);
    ended();
  }, POLL_MS);
  return () => clearInterval(timer);
}

/** Our parent, its parent and so on up to npm; empty when there is no npm above us (except our own start script). */
export function callersUpToNpm(read: (pid: number) => Caller | undefined, parent: number): Caller[] {
  const chain: Caller[] = [];
  let startScript: Caller[] = [];
  for (
    let caller = read(parent);
    caller !== undefined && caller.pid > 1 && chain.length < 8;
    caller = read(caller.parent)
  ) {
    chain.push(caller);
    if (/(^|[/\s])npm(-cli\.js)?(\s|$)/.test(caller.command)) return chain;
    if (/scripts\/lab\.mjs/.test(caller.command)) startScript = [...chain];
  }
  return startScript;
}

function readCaller(pid: number): Caller | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (fields[0] === "Z") return undefined;
    const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
    return { pid, parent: Number(fields[1]), started: fields[19] ?? "", command };
  } catch {
    return undefined;
  }
}
