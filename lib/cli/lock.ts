// `rainfront lock NAME -- COMMAND`: runs a command while this node has a lock of the group for it.
//
// The exit status is the command's own, or 128 + the number of the signal that ended it, or one of LOCK_EXIT. A command without
// a terminal gets a process group of its own, and signals go to all of it. With a terminal it stays in the terminal's
// foreground group, so that it can read the keyboard; Ctrl-C reaches it from there. If this process is killed, the lock goes to the next and the
// command is killed, too, where setpriv can arrange that (deathSignal.ts).

import { type ChildProcess, spawn } from "node:child_process";
import { constants } from "node:os";
import { acquireLock, type HeldLock, isRefusal, type LockWish } from "../api/lockClient.js";
import { RainfrontError } from "../errors.js";
import type { Console } from "./common.js";
import { dyingWithUs, findSetpriv } from "./deathSignal.js";

/** Where the command's own exit status cannot say it. */
export const LOCK_EXIT = {
  /** The lock was lost, and the command stopped. */
  lost: 123,
  /** The lock could not be had within --wait. */
  timeout: 124,
  /** The lock could not be asked for: no daemon, no such name, no room. */
  failed: 125,
  /** The command was found but could not be run. */
  notRunnable: 126,
  notFound: 127,
} as const;

/** From SIGTERM to SIGKILL for a command whose lock is lost. */
export const LOCK_GRACE_S = 5;

const FORWARDED = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"] as const;
/** A terminal sends these to the command itself. */
const FROM_TERMINAL: readonly NodeJS.Signals[] = ["SIGINT", "SIGQUIT"];
const GROUP_POLL_MS = 20;

export interface LockCommandOptions {
  readonly wait?: number;
  readonly ttl?: number;
  readonly grace?: number;
}

export async function lock(
  socketPath: string,
  name: string,
  command: readonly string[],
  options: LockCommandOptions,
  console: Console,
): Promise<number> {
  const signals = new Signals();
  // Not while the lock is held: it takes a moment.
  const setpriv = findSetpriv();
  try {
    const held = await acquireLock(socketPath, wishFor(name, command, options), signals.untilRunning);
    try {
      const locked = new LockedCommand(name, held, options.grace ?? LOCK_GRACE_S, console);
      return await locked.run(command, dyingWithUs(command, setpriv), signals);
    } finally {
      await held.release();
    }
  } catch (error) {
    if (signals.received !== undefined) return statusOf(null, signals.received);
    if (!(error instanceof RainfrontError)) throw error;
    console.err(`rainfront: ${error.toLine()}\n`);
    return isRefusal(error, "RF_LOCK_TIMEOUT") ? LOCK_EXIT.timeout : LOCK_EXIT.failed;
  } finally {
    signals.stop();
  }
}

function wishFor(name: string, command: readonly string[], { wait, ttl }: LockCommandOptions): LockWish {
  return {
    name,
    client: `pid ${process.pid}: ${command[0] ?? ""}`.slice(0, 64),
    ...(wait === undefined ? {} : { wait_ms: wait * 1000 }),
    ...(ttl === undefined ? {} : { ttl_ms: ttl * 1000 }),
  };
}

/** Until the command runs, a signal ends the wait; from then on it is the command's. */
class Signals {
  received: NodeJS.Signals | undefined;
  readonly #abort = new AbortController();
  #forward: ((signal: NodeJS.Signals) => void) | undefined;
  readonly #on = (signal: NodeJS.Signals) => {
    if (this.#forward !== undefined) return this.#forward(signal);
    this.received ??= signal;
    this.#abort.abort(new Error(`interrupted by ${signal}`));
  };

  constructor() {
    for (const signal of FORWARDED) process.on(signal, this.#on);
  }

  get untilRunning(): AbortSignal {
    return this.#abort.signal;
  }

  forwardTo(forward: (signal: NodeJS.Signals) => void): void {
    this.#forward = forward;
  }

  stop(): void {
    for (const signal of FORWARDED) process.removeListener(signal, this.#on);
  }
}

class LockedCommand {
  readonly #name: string;
  readonly #held: HeldLock;
  readonly #grace_s: number;
  readonly #console: Console;
  readonly #hasTerminal = process.stdin.isTTY === true;
  #isLost = false;
  #kill: NodeJS.Timeout | undefined;

  constructor(name: string, held: HeldLock, grace_s: number, console: Console) {
    this.#name = name;
    this.#held = held;
    this.#grace_s = grace_s;
    this.#console = console;
  }

  /** `started`: the command as it is started, perhaps by another program. */
  async run(command: readonly string[], started: readonly string[], signals: Signals): Promise<number> {
    const [file = "", ...args] = started;
    const env = { ...process.env, RAINFRONT_LOCK: this.#name, RAINFRONT_LOCK_FENCE: this.#held.fence };
    if (signals.received !== undefined) return statusOf(null, signals.received);
    const child = spawn(file, args, { stdio: "inherit", env, detached: !this.#hasTerminal });
    signals.forwardTo((signal) => {
      if (!this.#hasTerminal || !FROM_TERMINAL.includes(signal)) this.#signal(child, signal);
    });
    const ended = endOf(child);
    void this.#held.lost.then((reason) => this.#stop(child, reason));
    const end = await ended;
    if ("error" in end) return this.#report(command[0] ?? "", end.error);
    if (!this.#isLost) return statusOf(end.status, end.signal);
    await this.#stopped(child);
    return LOCK_EXIT.lost;
  }

  #stop(child: ChildProcess, reason: string): void {
    if (child.exitCode !== null || child.signalCode !== null) return;
    this.#isLost = true;
    const error = new RainfrontError(
      "RF_LOCK_LOST",
      `the lock ${this.#name} is lost (${reason}), the command is stopped`,
      {
        fix: FIXES.get(reason) ?? "see the daemon's log",
      },
    );
    this.#console.err(`rainfront: ${error.toLine()}\n`);
    this.#signal(child, "SIGTERM");
    // A stopped process ends only when it goes on.
    this.#signal(child, "SIGCONT");
    this.#kill = setTimeout(() => this.#signal(child, "SIGKILL"), this.#grace_s * 1000);
  }

  /** Its children may need the grace, too. */
  async #stopped(child: ChildProcess): Promise<void> {
    while (!this.#hasTerminal && this.#signal(child, 0)) {
      await new Promise((resolve) => setTimeout(resolve, GROUP_POLL_MS));
    }
    clearTimeout(this.#kill);
  }

  /** False: nobody is left. */
  #signal(child: ChildProcess, signal: NodeJS.Signals | 0): boolean {
    if (child.pid === undefined) return false;
    if (this.#hasTerminal) return child.kill(signal);
    try {
      return process.kill(-child.pid, signal);
    } catch {
      return false;
    }
  }

  #report(file: string, cause: NodeJS.ErrnoException): number {
    const error = new RainfrontError("RF_LOCK_COMMAND", `${file} cannot be run: ${cause.message}`, {
      fix: "check the command's name and that it may be executed",
      cause,
    });
    this.#console.err(`rainfront: ${error.toLine()}\n`);
    return cause.code === "ENOENT" ? LOCK_EXIT.notFound : LOCK_EXIT.notRunnable;
  }
}

const FIXES: ReadonlyMap<string, string> = new Map([
  ["expired", "give it more time with --ttl"],
  ["lease", "see whether this node was cut off or overloaded: rainfront status"],
  ["view", "see whether this node has lost its group: rainfront status"],
  ["daemon", "see whether the daemon runs: rainfront status"],
]);

type End =
  | { readonly status: number | null; readonly signal: NodeJS.Signals | null }
  | { readonly error: NodeJS.ErrnoException };

function endOf(child: ChildProcess): Promise<End> {
  return new Promise((resolve) => {
    child.once("error", (error) => resolve({ error }));
    child.once("exit", (status, signal) => resolve({ status, signal }));
  });
}

function statusOf(status: number | null, signal: NodeJS.Signals | null): number {
  return status ?? 128 + (signal === null ? 0 : constants.signals[signal]);
}
