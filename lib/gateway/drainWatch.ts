// While this node drains: looks whether it has anything left that others could take, and says so to the group. Used by daemon.ts.

import type { ConnectionKeeper } from "../conntrack/connectionKeeper.js";

const LOOK_EVERY_MS = 250;
/** By then all others go by a view in which this node takes no new flows, and who begins to drain has told them of all its connections. */
const SETTLE_MS = 1_500;

export interface DrainWatchConfig {
  readonly keeper: () => Pick<ConnectionKeeper, "drain" | "isDrained"> | undefined;
  /** Whether there is nothing left but perhaps VIPs, of which the other end knows. */
  readonly tell: (isDone: boolean) => Promise<void>;
}

export class DrainWatch {
  readonly #config: DrainWatchConfig;
  #timer: NodeJS.Timeout | undefined;

  constructor(config: DrainWatchConfig) {
    this.#config = config;
  }

  become(isDraining: boolean): void {
    this.stop();
    this.#config.keeper()?.drain(isDraining);
    if (!isDraining) return;
    const from_ms = performance.now() + SETTLE_MS;
    this.#timer = setInterval(() => this.#look(from_ms), LOOK_EVERY_MS).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Without a keeper there is nothing but VIPs. */
  #look(from_ms: number): void {
    const isDone = performance.now() >= from_ms && (this.#config.keeper()?.isDrained ?? true);
    this.#config.tell(isDone).catch(() => {}); // the ring has ended: so has the drain
  }
}
