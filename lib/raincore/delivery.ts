// Reliable delivery of one message to one node: sent first on the path that worked last, then again, with growing gaps,
// on every path; either somebody settles it (an acknowledgement came) or it fails. Used for hand-overs and 911 calls.

/** When to send, counted from the first send, and when to give up. */
export interface Schedule {
  readonly sends_ms: readonly number[];
  readonly fail_ms: number;
  /** Use every path from the first send on. */
  readonly everyPath: boolean;
}

export interface DeliveryHooks {
  readonly transmit: (to: number, path: number, bytes: Uint8Array) => void;
  readonly pathsOf: (to: number) => number;
  readonly onResend: () => void;
}

interface Pending {
  readonly to: number;
  readonly bytes: Uint8Array;
  readonly schedule: Schedule;
  readonly started_ms: number;
  sendsDone: number;
}

/** At most one message to a node is under way; a new one replaces it. */
export class Delivery {
  readonly #hooks: DeliveryHooks;
  readonly #pending = new Map<number, Pending>();
  readonly #bestPath = new Map<number, number>();

  constructor(hooks: DeliveryHooks) {
    this.#hooks = hooks;
  }

  get deadline_ms(): number {
    let earliest = Number.POSITIVE_INFINITY;
    for (const pending of this.#pending.values()) earliest = Math.min(earliest, nextEvent_ms(pending));
    return earliest;
  }

  start(now_ms: number, to: number, bytes: Uint8Array, schedule: Schedule): void {
    const pending: Pending = { to, bytes, schedule, started_ms: now_ms, sendsDone: 0 };
    this.#pending.set(to, pending);
    this.#send(pending);
  }

  /** An answer came, over `path`. False: nothing was under way to that node. */
  settle(to: number, path: number): boolean {
    const pending = this.#pending.get(to);
    if (pending === undefined) return false;
    // The first send's path is in doubt only if an answer to a resend came over another one.
    if (pending.sendsDone > 1) this.#bestPath.set(to, path);
    this.#pending.delete(to);
    return true;
  }

  /** Drops everything under way. */
  clear(): void {
    this.#pending.clear();
  }

  /** Does what is due; the nodes to which delivery has failed. */
  tick(now_ms: number): number[] {
    const failed: number[] = [];
    for (const pending of [...this.#pending.values()]) {
      const elapsed_ms = now_ms - pending.started_ms;
      if (elapsed_ms >= pending.schedule.fail_ms) {
        this.#pending.delete(pending.to);
        failed.push(pending.to);
      } else if (nextEvent_ms(pending) <= now_ms) {
        this.#hooks.onResend();
        this.#send(pending);
        // After a late tick there is no burst: what is overdue is sent once.
        const due = pending.schedule.sends_ms.filter((send_ms) => send_ms <= elapsed_ms).length;
        pending.sendsDone = Math.max(pending.sendsDone, due);
      }
    }
    return failed;
  }

  #send(pending: Pending): void {
    const paths = this.#hooks.pathsOf(pending.to);
    const first = Math.min(this.#bestPath.get(pending.to) ?? 0, paths - 1);
    if (pending.sendsDone === 0 && !pending.schedule.everyPath) {
      this.#hooks.transmit(pending.to, first, pending.bytes);
    } else {
      for (let path = 0; path < paths; path++) this.#hooks.transmit(pending.to, path, pending.bytes);
    }
    pending.sendsDone += 1;
  }
}

function nextEvent_ms(pending: Pending): number {
  const nextSend_ms = pending.schedule.sends_ms[pending.sendsDone];
  return pending.started_ms + (nextSend_ms ?? pending.schedule.fail_ms);
}
