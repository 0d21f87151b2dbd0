// Whose turn it is when a flow is given by weight: a node for each slot of a hash. By the configured weights alone where flows stick together, for there all authorities have to
// choose alike; else also by how busy the nodes are. Used by the data plane. Pure.

import { Loads, spreadByShares } from "./loads.js";
import { buildMaglev, MAGLEV_SLOTS } from "./maglev.js";

const NONE: Uint16Array = new Uint16Array(MAGLEV_SLOTS);

export interface ChoicesConfig {
  readonly weightOf: (node: number) => number;
  /** Whether loads count. */
  readonly isByLoad: boolean;
}

export class Choices {
  readonly #config: ChoicesConfig;
  readonly #loads = new Loads();
  #ready: readonly number[] = [];
  #byWeight = NONE;
  /** What part of the new flows each node gets; undefined: no loads are known, or count. */
  #shares: ReadonlyMap<number, number> | undefined;
  #table = NONE;

  constructor(config: ChoicesConfig) {
    this.#config = config;
  }

  /** A node id for each of 65,537 slots. */
  get table(): Uint16Array {
    return this.#table;
  }

  /** These share the flows, and `slots` is their table where all weigh the same: made anew only if it has to be, since the token waits for this. */
  become(ready: readonly number[], slots: Uint16Array, now_ms: number): void {
    this.#ready = ready;
    const { weightOf } = this.#config;
    if (ready.length === 0) this.#byWeight = NONE;
    else this.#byWeight = new Set(ready.map(weightOf)).size === 1 ? slots : buildMaglev(ready, weightOf);
    this.#table = this.#byWeight;
    if (this.#shares !== undefined) this.#share(now_ms);
  }

  /** How busy a node's CPUs are, 0 to 1. True: the table is another one now. */
  hear(node: number, busy: number, now_ms: number): boolean {
    if (!this.#config.isByLoad || !this.#ready.includes(node)) return false;
    this.#loads.hear(node, busy, now_ms);
    return this.#share(now_ms);
  }

  #share(now_ms: number): boolean {
    if (this.#ready.length === 0) return false;
    const shares = this.#loads.shares(this.#ready, this.#config.weightOf, now_ms);
    const isSame = shares === this.#shares && this.#table !== this.#byWeight;
    if (isSame) return false;
    this.#shares = shares;
    this.#table = spreadByShares(shares);
    return true;
  }
}
