// Gives the pure ring core its clock, timer and network, and hands its effects on. Used by daemon.ts.

import { Raincore, type RaincoreConfig, type RaincoreState, type View } from "../raincore/raincore.js";
import type { Effect, RaincoreStatus } from "../raincore/types.js";
import type { RingNetwork } from "./ringNetwork.js";

/** A timer later than that may have let datagrams pile up before it. */
const LATE_MS = 3;

/** What the daemon does about the ring's effects; must not block. */
export interface RingListener {
  onView(view: View): void;
  onLease(until_ms: number): void;
  onState(state: RaincoreState): void;
  onLog(level: "debug" | "info" | "warn", code: string, fields: Record<string, unknown>): void;
}

export class RingDriver {
  readonly #core: Raincore;
  readonly #network: RingNetwork;
  readonly #listener: RingListener;
  readonly #now_ms: () => number;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(config: RaincoreConfig, network: RingNetwork, listener: RingListener, now_ms: () => number) {
    this.#core = new Raincore(config, { random: Math.random });
    this.#network = network;
    this.#listener = listener;
    this.#now_ms = now_ms;
  }

  async start(): Promise<void> {
    await this.#network.open((from, path, bytes) => {
      if (!this.#stopped) this.#apply(this.#core.receive(this.#now_ms(), from, path, bytes));
    });
    this.#apply(this.#core.start(this.#now_ms()));
  }

  /** Begins to leave the group; the listener sees state "closed" when it is done. */
  leave(): void {
    this.#apply(this.#core.leave(this.#now_ms()));
  }

  status(): RaincoreStatus {
    return this.#core.status();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#network.close();
  }

  #apply(effects: readonly Effect[]): void {
    for (const effect of effects) this.#applyOne(effect);
    this.#schedule();
  }

  #applyOne(effect: Effect): void {
    switch (effect.type) {
      case "send":
        this.#network.send(effect.to, effect.path, effect.bytes);
        break;
      case "view":
        this.#listener.onView(effect.view);
        break;
      case "lease":
        this.#listener.onLease(effect.until_ms);
        break;
      case "state":
        this.#listener.onState(effect.state);
        break;
      case "log":
        this.#listener.onLog(effect.level, effect.code, effect.fields);
        break;
      default:
        effect satisfies never;
    }
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    if (this.#stopped || !Number.isFinite(this.#core.deadline_ms)) return;
    // Rounded up: timers count whole milliseconds, and one that fires early costs a second wake-up.
    const wait_ms = Math.max(0, Math.ceil(this.#core.deadline_ms - this.#now_ms()));
    this.#timer = setTimeout(() => this.#tick(), wait_ms);
  }

  #tick(): void {
    if (this.#stopped) return;
    // A timer may fire a fraction of a millisecond early; the core is only called at its deadline or after.
    if (this.#now_ms() < this.#core.deadline_ms) this.#schedule();
    else if (this.#now_ms() < this.#core.deadline_ms + LATE_MS) this.#apply(this.#core.tick(this.#now_ms()));
    else setImmediate(() => this.#tickLate());
  }

  /** After the sockets: the event loop serves due timers first, and what a late timer waits for may have arrived long ago. */
  #tickLate(): void {
    if (this.#stopped) return;
    if (this.#now_ms() >= this.#core.deadline_ms) this.#apply(this.#core.tick(this.#now_ms()));
    else this.#schedule();
  }
}
