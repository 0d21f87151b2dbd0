// Since which view each member is one: what was said of a node before holds no more, for it may have been away and forgotten its flows. Pure. Used by the daemon.

export interface Tenant {
  readonly nodeId: number;
  /** Another life of the node is another member, unless it was absent by agreement: then its flows went on without it. */
  readonly incarnation: bigint;
}

interface Tenure {
  readonly incarnation: bigint | undefined;
  readonly epoch: number;
}

/** Of everything that was said: views have greater numbers. */
const ALWAYS = 1;

export class Tenures {
  #tenures = new Map<number, Tenure>();
  #goesOn: boolean;

  /** `goesOn`: this node knows flows of an earlier life, which was absent by agreement. */
  constructor(goesOn: boolean) {
    this.#goesOn = goesOn;
  }

  /** A view with these members, and nodes that are absent by agreement. No members: this node is in no view. */
  become(members: readonly Tenant[], absent: readonly number[], epoch: number): void {
    const before = this.#tenures;
    const first = this.#goesOn && members.length > 0 ? ALWAYS : epoch;
    if (members.length > 0) this.#goesOn = false;
    this.#tenures = new Map();
    for (const nodeId of absent) {
      const epochBefore = before.get(nodeId)?.epoch ?? first;
      this.#tenures.set(nodeId, { incarnation: undefined, epoch: epochBefore });
    }
    for (const { nodeId, incarnation } of members) {
      const earlier = before.get(nodeId);
      const isSame = earlier !== undefined && (earlier.incarnation === undefined || earlier.incarnation === incarnation);
      this.#tenures.set(nodeId, { incarnation, epoch: isSame ? earlier.epoch : first });
    }
  }

  /** The epoch, or 0 of who is neither member nor absent. */
  since(nodeId: number): number {
    return this.#tenures.get(nodeId)?.epoch ?? 0;
  }
}
