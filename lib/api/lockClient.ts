// A command's hold on a lock: a control connection that stays open. Called by lib/cli/lock.ts.

import { connect, type Socket } from "node:net";
import { RainfrontError } from "../errors.js";
import {
  connectError,
  hungUp,
  notUnderstood,
  parseJson,
  type RemoteError,
  remoteError,
  timedOut,
} from "./controlClient.js";
import { ANSWER_BYTES_MAX, answerSchema } from "./controlProtocol.js";
import { LOCK_SILENCE_MS, lockEvent, lockResult } from "./lockProtocol.js";

/** The daemon may be so much later than asked with its answer. */
const ANSWER_GRACE_MS = 5000;

export interface LockWish {
  readonly name: string;
  readonly client: string;
  readonly wait_ms?: number;
  readonly ttl_ms?: number;
}

export interface HeldLock {
  readonly fence: string;
  /** Resolves with the reason: the daemon's, or `daemon` when it is gone or silent. Never after `release` was called. */
  readonly lost: Promise<string>;
  /** Resolves when others can have the lock, or the daemon is gone. */
  release(): Promise<void>;
}

/** Waits for a lock. Rejects with RF_LOCK_*, RF_NOT_RUNNING, RF_CONTROL_*, or with the signal's reason once that is aborted. */
export async function acquireLock(path: string, wish: LockWish, signal: AbortSignal): Promise<HeldLock> {
  signal.throwIfAborted();
  const socket = connect(path);
  const lines = new Lines(socket, path);
  const cut = () => socket.destroy(signal.reason);
  signal.addEventListener("abort", cut);
  try {
    socket.write(`${JSON.stringify({ id: 1, method: "lock", params: wish })}\n`);
    // Without a limit of its own it waits as long as the daemon lives; a daemon that is stuck does not hang up.
    const limit_ms = wish.wait_ms === undefined ? undefined : wish.wait_ms + ANSWER_GRACE_MS;
    const answer = answerSchema.safeParse(parseJson(await lines.next(limit_ms), path));
    if (!answer.success) throw notUnderstood(path);
    if ("error" in answer.data) throw remoteError(answer.data.error as RemoteError);
    const result = lockResult.safeParse(answer.data.result);
    if (!result.success) throw notUnderstood(path);
    return hold(socket, lines, result.data.fence);
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    signal.removeEventListener("abort", cut);
  }
}

function hold(socket: Socket, lines: Lines, fence: string): HeldLock {
  let isReleased = false;
  const lost = new Promise<string>((resolve) => {
    void watch(lines).then((reason) => {
      if (isReleased) return;
      socket.destroy();
      resolve(reason);
    });
  });
  const release = async (): Promise<void> => {
    isReleased = true;
    if (socket.destroyed) return;
    const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
    // The daemon answers and hangs up when we have; a silent one is not waited for.
    socket.end('{"id":2,"method":"unlock"}\n');
    socket.setTimeout(LOCK_SILENCE_MS, () => socket.destroy());
    await closed;
  };
  return { fence, lost, release };
}

/** Ends with the reason for which the lock is lost. */
async function watch(lines: Lines): Promise<string> {
  try {
    for (;;) {
      const event = lockEvent.safeParse(JSON.parse(await lines.next(LOCK_SILENCE_MS)));
      if (event.success && event.data.event === "lost") return event.data.reason;
    }
  } catch {
    return "daemon"; // gone, silent, or not understood: nobody says that the lock is ours
  }
}

/** The lines that come over a socket, one at a time. */
class Lines {
  readonly #path: string;
  #pending = "";
  #failure: unknown;
  #wake: () => void = () => {};

  constructor(socket: Socket, path: string) {
    this.#path = path;
    socket.setEncoding("utf8");
    socket.on("data", (text: string) => {
      this.#pending += text;
      if (this.#pending.length > ANSWER_BYTES_MAX) socket.destroy(notUnderstood(path));
      this.#wake();
    });
    socket.on("end", () => this.#fail(hungUp(path)));
    socket.on("close", () => this.#fail(hungUp(path)));
    socket.on("error", (error: NodeJS.ErrnoException) =>
      this.#fail(error.syscall === undefined ? error : connectError(path, error)),
    );
  }

  async next(limit_ms: number | undefined): Promise<string> {
    const deadline_ms = limit_ms === undefined ? Number.POSITIVE_INFINITY : performance.now() + limit_ms;
    for (let isLast = false; ; ) {
      const end = this.#pending.indexOf("\n");
      if (end >= 0) {
        const line = this.#pending.slice(0, end);
        this.#pending = this.#pending.slice(end + 1);
        return line;
      }
      if (this.#failure !== undefined) throw this.#failure;
      if (isLast) throw timedOut(this.#path, limit_ms ?? 0);
      await this.#untilNews(deadline_ms);
      // After a stop of this process, what has come meanwhile is read first.
      isLast = performance.now() >= deadline_ms;
      if (isLast) await new Promise((resolve) => setImmediate(resolve));
    }
  }

  #untilNews(deadline_ms: number): Promise<void> {
    return new Promise((resolve) => {
      const left_ms = deadline_ms - performance.now();
      const timer = Number.isFinite(left_ms) ? setTimeout(resolve, Math.min(left_ms, 0x7fff_ffff)) : undefined;
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
    this.#wake();
  }
}

export function isRefusal(error: unknown, code: RainfrontError["code"]): boolean {
  return error instanceof RainfrontError && error.code === code;
}
