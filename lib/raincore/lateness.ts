// How late a member was: a process that is stopped is given up by the others after a while, and does not know it when it goes on. Called by Core.
import type { Timers } from "./timers.js";

/** Of a unit: less than that is any machine's. */
const NOTED_UNITS = 0.5;

export class Lateness {
  readonly #noted_ms: number;
  readonly #givenUp_ms: number;
  #sum_ms = 0;
  #last_ms = Number.NEGATIVE_INFINITY;

  constructor({ unit_ms, handOverFail_ms, callAfter_ms, callSpread_ms }: Timers) {
    this.#noted_ms = NOTED_UNITS * unit_ms;
    // A hand-over to it begins no earlier than it passed the token on itself. From then on, it wakes at this distance at the latest.
    this.#givenUp_ms = handOverFail_ms - callAfter_ms - callSpread_ms;
  }

  /** A step came so late. True: the others may have given this node up. Several stops count together, and each of them once: many steps may follow it. */
  add(overdue_ms: number, now_ms: number): boolean {
    if (overdue_ms <= this.#noted_ms) return false;
    const uncounted_ms = Math.min(overdue_ms, now_ms - this.#last_ms);
    this.#sum_ms += uncounted_ms;
    this.#last_ms = now_ms;
    return uncounted_ms > 0 && this.mayBeGivenUp;
  }

  get mayBeGivenUp(): boolean {
    return this.#sum_ms > this.#givenUp_ms;
  }

  /** A token came from another member. What lay in the socket says nothing: it counts if this node has passed one on since it was late. */
  returned(passed_ms: number): void {
    if (passed_ms >= this.#last_ms) this.reset();
  }

  reset(): void {
    this.#sum_ms = 0;
    this.#last_ms = Number.NEGATIVE_INFINITY;
  }
}
