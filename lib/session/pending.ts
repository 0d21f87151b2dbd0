// What the program has asked of its ring and not heard the end of, and how much of it there may be: what is refused here was never copied.
// Used by raincore.ts.
import type { RainfrontError } from "../errors.js";
import { QUEUED_BYTES_MAX, QUEUED_MESSAGES_MAX } from "../raincore/transport/limits.js";
import { multicastFull, requestsFull, sendFull } from "./failures.js";
import { SendWindow } from "./sendWindow.js";

/** As many as lib/raincore/multicast queues. */
const MULTICASTS_MAX = 16_384;
/** Locks, updates, calls and questions, together. */
const REQUESTS_MAX = 16_384;

/** `request`: whatever is neither a multicast nor a direct message. */
export type PendingKind = "multicast" | "send" | "request";

export interface Waiter {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
}

interface Pending extends Waiter {
  readonly kind: PendingKind;
  /** What it takes of its window. */
  readonly bytes: number;
}

export class PendingRequests {
  readonly #pending = new Map<number, Pending>();
  readonly #multicasts: SendWindow;
  /** The same limits as the ring's queue of them. */
  readonly #sends = new SendWindow({ bytes_max: QUEUED_BYTES_MAX, messages_max: QUEUED_MESSAGES_MAX });
  readonly #onDrain: () => void;
  #requests = 0;

  /** `onDrain`: after a refusal, when half of the room is free. */
  constructor(multicastBytes_max: number, onDrain: () => void) {
    this.#multicasts = new SendWindow({ bytes_max: multicastBytes_max, messages_max: MULTICASTS_MAX });
    this.#onDrain = onDrain;
  }

  get multicastBytes(): number {
    return this.#multicasts.bytes;
  }

  get sendBytes(): number {
    return this.#sends.bytes;
  }

  /** Takes room for it, until it is settled; or says why there is none. */
  open(id: number, kind: PendingKind, bytes: number, waiter: Waiter): RainfrontError | undefined {
    const refusal = this.#takeRoom(kind, bytes);
    if (refusal === undefined) this.#pending.set(id, { ...waiter, kind, bytes });
    return refusal;
  }

  resolve(id: number, result: unknown): void {
    this.#settle(id, (waiter) => waiter.resolve(result));
  }

  reject(id: number, error: Error): void {
    this.#settle(id, (waiter) => waiter.reject(error));
  }

  /** Nothing is settled any more. */
  rejectAll(error: Error): void {
    const all = [...this.#pending.values()];
    this.#pending.clear();
    for (const waiter of all) waiter.reject(error);
  }

  #takeRoom(kind: PendingKind, bytes: number): RainfrontError | undefined {
    switch (kind) {
      case "multicast":
        return this.#multicasts.open(bytes) ? undefined : multicastFull(this.#multicasts);
      case "send":
        return this.#sends.open(bytes) ? undefined : sendFull(this.#sends);
      case "request":
        if (this.#requests >= REQUESTS_MAX) return requestsFull(this.#requests);
        this.#requests += 1;
        return undefined;
      default:
        return kind satisfies never;
    }
  }

  #settle(id: number, tell: (waiter: Waiter) => void): void {
    const one = this.#pending.get(id);
    if (one === undefined) return;
    this.#pending.delete(id);
    const hasRoom = this.#giveRoom(one);
    // Before the program's listeners, which may throw.
    tell(one);
    if (hasRoom) this.#onDrain();
  }

  /** True: those who were refused can go on. */
  #giveRoom({ kind, bytes }: Pending): boolean {
    switch (kind) {
      case "multicast":
        return this.#multicasts.settle(bytes);
      case "send":
        return this.#sends.settle(bytes);
      case "request":
        this.#requests -= 1;
        return false;
      default:
        return kind satisfies never;
    }
  }
}
