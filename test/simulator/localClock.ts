// A node's own clock against true time: how fast it runs, what it showed at the beginning, and by how much it was set. Used by node.ts.

export class LocalClock {
  readonly #rate: number;
  #offset_ms: number;

  /** @param rate 1 is true time */
  constructor(rate: number, offset_ms: number) {
    this.#rate = rate;
    this.#offset_ms = offset_ms;
  }

  toTrue(local_ms: number): number {
    return (local_ms - this.#offset_ms) / this.#rate;
  }

  toLocal(true_ms: number): number {
    return this.#offset_ms + true_ms * this.#rate;
  }

  step(by_ms: number): void {
    this.#offset_ms += by_ms;
  }
}
