// What every family of invariants has in common. world.ts tells all checkers of every step; those of the services are told
// by clients.ts as well what users see.
import type { Effect } from "../../../lib/raincore/types.js";
import type { Network } from "../network.js";
import type { SimNode } from "../node.js";
import type { Step } from "../nodeOptions.js";

export interface Violation {
  readonly at_ms: number;
  /** The family of invariants. */
  readonly family: string;
  readonly what: string;
}

export interface Checker {
  /** Time goes on to `until_ms`, and nothing has changed since the last call of anything here. */
  timePasses?(until_ms: number): void;
  /** One call into a node's core is over and its effects are applied. */
  stepped?(node: SimNode, step: Step): void;
  /** A node wants something of its host; called before `stepped`. */
  effect?(node: SimNode, effect: Effect): void;
}

/** What checkers may look at, and where they report. */
export interface Watched {
  readonly nodes: readonly SimNode[];
  readonly network: Network;
  readonly now_ms: () => number;
  readonly report: (family: string, what: string, at_ms?: number) => void;
  readonly excuse: Excuse;
}

/** Which pairs of nodes may contradict each other now. */
export class Excuse {
  readonly #network: Network;
  readonly #nodes: readonly SimNode[];
  readonly #isMajority: boolean;
  /** How long after a partition two owners are excused: until a beacon was heard. */
  readonly #grace_ms: number;

  constructor(network: Network, nodes: readonly SimNode[], isMajority: boolean, grace_ms: number) {
    this.#network = network;
    this.#nodes = nodes;
    this.#isMajority = isMajority;
    this.#grace_ms = grace_ms;
  }

  /** Several groups may serve at the same time, each by its own reckoning. */
  get allowsGroups(): boolean {
    return !this.#isMajority;
  }

  /** Under `majority` no partition is an excuse: at most one side has a quorum. */
  covers(a: SimNode, b: SimNode, at_ms: number): boolean {
    if (this.#hasSteppedClock(at_ms)) return true;
    return !this.#isMajority && this.#wereApart(a, b, at_ms);
  }

  /**
   * A wait is a span of the own clock: one that jumps ahead cuts it short, and nothing in the protocol can know. The wait may be another
   * node's: what is left of it travels on the token.
   */
  #hasSteppedClock(at_ms: number): boolean {
    return this.#nodes.some((node) => node.steppedClock_ms >= at_ms - this.#grace_ms);
  }

  /** Nobody hears anything while it is stopped: the grace is so much longer. */
  #graceStart_ms(node: SimNode, other: SimNode, at_ms: number): number {
    for (let since_ms = at_ms - this.#grace_ms; ; ) {
      const earlier_ms = at_ms - this.#grace_ms - node.stopped_ms(since_ms) - other.stopped_ms(since_ms);
      if (earlier_ms >= since_ms) return since_ms;
      since_ms = earlier_ms;
    }
  }

  /** Whether a partition lately ran between two nodes, or between members of the different groups that they are in now. */
  #wereApart(a: SimNode, b: SimNode, at_ms: number): boolean {
    const since_ms = this.#graceStart_ms(a, b, at_ms);
    if (areInOneView(a, b)) return this.#network.wereCutSince(a.nodeId, b.nodeId, since_ms);
    return groupOf(a).some((one) => groupOf(b).some((other) => this.#network.wereCutSince(one, other, since_ms)));
  }
}

function groupOf({ nodeId, status }: SimNode): number[] {
  return [nodeId, ...status.members.map((member) => member.nodeId)];
}

function areInOneView({ status: a }: SimNode, { status: b }: SimNode): boolean {
  return a.state === "member" && b.state === "member" && a.epoch === b.epoch && a.origin === b.origin;
}
