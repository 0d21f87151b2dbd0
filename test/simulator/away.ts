// What a node is by planned absences: the module of each of its lives, and the data plane that goes on by what it was told last while the process
// has no say, as gatewayPlugin.ts and dataPlane.ts have it. Owned by node.ts.
import { isQuorate } from "../../lib/raincore/quorum.js";
import type { View } from "../../lib/raincore/types.js";
import { type AbsenceOutcome, Absences } from "../../lib/vip/absences.js";
import type { VipAnswer } from "../../lib/vip/vipTable.js";
import type { NodeOptions } from "./nodeOptions.js";

/** What becomes of a process that all others let go. */
export interface Departure {
  readonly for_ms: number;
  /** How long after the agreement the process ends. */
  readonly lag_ms: number;
  /** It does not leave the ring. */
  readonly isKilled: boolean;
  /** From the agreement to the next life; undefined: there is none. */
  readonly back_ms: number | undefined;
}

/** A request to be away is given up after so long, in units. */
export const AWAY_PATIENCE_U = 60;

/** What a data plane goes on by that nobody tells anything. */
export interface Held {
  readonly answers: ReadonlyMap<string, VipAnswer>;
  /** Own clock. */
  readonly until_ms: number;
}

export interface AwayHost {
  readonly now_ms: () => number;
  readonly answers: () => ReadonlyMap<string, VipAnswer>;
  readonly isServing: () => boolean;
  /** Who answers for what may have changed. */
  readonly changed: () => void;
  readonly wentAway: (departure: Departure) => void;
  readonly trace: (line: () => string) => void;
}

export class Away {
  /** Of this life; undefined in runs without absences. */
  module: Absences | undefined;
  held: Held | undefined;
  /** It was let go: the process has no say any more, and ends. */
  isAway = false;
  readonly #options: NodeOptions;
  readonly #host: AwayHost;
  #departure: Departure | undefined;

  constructor(options: NodeOptions, host: AwayHost) {
    this.#options = options;
    this.#host = host;
  }

  /** Who is absent, as far as this node knows. */
  known(now_ms = this.#host.now_ms()): ReadonlyMap<number, number> {
    return this.module?.remaining_ms(now_ms) ?? new Map();
  }

  beginLife(): void {
    this.isAway = false;
    this.#departure = undefined;
    if (this.held !== undefined && this.held.until_ms <= this.#host.now_ms()) this.held = undefined;
    this.module = this.#options.mayBeAway ? this.#newModule() : undefined;
  }

  ask(departure: Departure): void {
    this.#departure = departure;
    this.module?.request(departure.for_ms, this.#host.now_ms());
  }

  /** A member with a lease of its own: what an earlier process left goes on as this one says. */
  onView(view: View): void {
    const isReady = view.members.some(({ nodeId, ready }) => ready && nodeId === view.self);
    if (this.held === undefined || this.isAway || !isReady) return;
    this.drop();
    this.#host.trace(() => "took over");
  }

  /** Nothing goes on alone. */
  drop(): void {
    if (this.held === undefined) return;
    this.held = undefined;
    this.#host.changed();
  }

  #newModule(): Absences {
    const { nodeId, peerIds, quorum, timers } = this.#options;
    return new Absences({
      self: nodeId,
      nodeIds: [nodeId, ...peerIds],
      isQuorate: (nodeIds) => isQuorate(quorum, nodeIds, peerIds.length + 1),
      needsEverybody: quorum.policy === "available",
      patience_ms: AWAY_PATIENCE_U * timers.unit_ms,
      isServing: () => this.#host.isServing(),
      onOutcome: (outcome) => this.#onOutcome(outcome),
      onChange: () => this.#host.trace(() => `absent: ${[...this.known().keys()].join()}`),
    });
  }

  #onOutcome(outcome: AbsenceOutcome): void {
    const { trace, now_ms } = this.#host;
    const departure = this.#departure;
    trace(() => (outcome.agreed ? `away for ${(outcome.until_ms - now_ms()).toFixed(1)} ms` : `stays: ${outcome.why}`));
    if (!outcome.agreed || departure === undefined) return;
    this.isAway = true;
    this.held = { answers: this.#host.answers(), until_ms: outcome.until_ms };
    this.#host.changed();
    this.#host.wentAway(departure);
  }
}
