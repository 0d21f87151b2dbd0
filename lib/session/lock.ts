// A lock that this program holds. Made by raincore.ts.

/** How to wait for a lock, and how long to hold it; times in milliseconds. */
export interface LockRequest {
  /** Give up after so long; 0: only if it is free now. Default: waits for ever. */
  readonly wait_ms?: number;
  /** The lock is lost after so long. Default: never. */
  readonly ttl_ms?: number;
  /** Who asks, for people to read in `rainfront locks`; default the pid. */
  readonly client?: string;
  /** Stops waiting. */
  readonly signal?: AbortSignal;
}

/** A lock of the group that this program holds, until it is released or `lost` is aborted. */
export interface Lock {
  readonly name: string;
  /** Greater than that of every earlier holder. Hand it to whatever the lock protects, so that it can refuse a holder of the past. */
  readonly fence: bigint;
  /** Aborted when the lock is lost: stop at once. Its reason says why: `lease`, `expired`, `view` or `closed`. */
  readonly lost: AbortSignal;
  /** Gives it back; resolves when others can have it, or it is lost. */
  release(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export class HeldLock implements Lock {
  readonly name: string;
  readonly fence: bigint;
  readonly #lost = new AbortController();
  readonly #askRelease: () => void;
  readonly #released: Promise<void>;
  #markReleased: () => void = () => {};
  #isAsked = false;

  constructor(name: string, fence: bigint, askRelease: () => void) {
    this.name = name;
    this.fence = fence;
    this.#askRelease = askRelease;
    this.#released = new Promise((resolve) => {
      this.#markReleased = resolve;
    });
  }

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  release(): Promise<void> {
    if (!this.#isAsked && !this.lost.aborted) this.#askRelease();
    this.#isAsked = true;
    return this.#released;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }

  /** For raincore.ts. There is nothing left to give back. */
  lose(reason: string): void {
    this.#markReleased();
    this.#lost.abort(reason);
  }

  /** For raincore.ts. */
  markReleased(): void {
    this.#markReleased();
  }
}
