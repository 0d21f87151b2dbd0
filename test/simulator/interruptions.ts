// When a process was stopped, in true time. Used by node.ts, and by checkers for what they excuse.

/** An interval of true time. */
export interface Interval {
  readonly from_ms: number;
  readonly until_ms: number;
}

export class Interruptions {
  readonly #stops: Interval[] = [];

  /** The last one goes on. */
  begin(now_ms: number): void {
    this.#stops.push({ from_ms: now_ms, until_ms: Number.POSITIVE_INFINITY });
  }

  /** Of the last one, if it goes on. */
  end(now_ms: number): void {
    const last = this.#stops.pop();
    if (last !== undefined) this.#stops.push({ ...last, until_ms: Math.min(last.until_ms, now_ms) });
  }

  /** How much of the time between these two. */
  within_ms(since_ms: number, now_ms: number): number {
    return this.#stops.reduce(
      (sum, stop) => sum + Math.max(0, Math.min(stop.until_ms, now_ms) - Math.max(stop.from_ms, since_ms)),
      0,
    );
  }
}
