// For how long did this process not run although it wanted to? A tester that was kept from working must not take that for a fault of what it
// tests: an answer may lie in its socket. Used by the load client.

const TICK_MS = 10;
/** Less is how precise a timer is. */
const TOLERATED_MS = 5;

export class Attention {
  readonly #clock_ms: () => number;
  #tick_ms: number;
  #missed_ms = 0;

  constructor(clock_ms: () => number) {
    this.#clock_ms = clock_ms;
    this.#tick_ms = clock_ms();
  }

  /** A tick comes before every timer of the process that was due later, so it has counted when those run. */
  start(): void {
    setInterval(() => this.tick(), TICK_MS).unref();
  }

  tick(): void {
    const now_ms = this.#clock_ms();
    const late_ms = now_ms - this.#tick_ms - TICK_MS;
    if (late_ms > TOLERATED_MS) this.#missed_ms += late_ms;
    this.#tick_ms = now_ms;
  }

  /** In all, from the beginning on. */
  get missed_ms(): number {
    return this.#missed_ms;
  }
}
