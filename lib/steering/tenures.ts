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

export class Tenures {
  readonly #self: number;
  /** This node's in an earlier life, whose data plane goes on. */
  #held: number | undefined;
  #tenures = new Map<number, Tenure>();

  constructor(self: number, held: number | undefined) {
    this.#self = self;
    this.#held = held;
  }

  /** A view with these members, and nodes that are absent by agreement. No members: this node is in no view. */
  become(members: readonly Tenant[], absent: readonly number[], epoch: number): void {
    const before = this.#tenures;
    if (members.length === 0) this.#held = undefined;
    this.#tenures = new Map();
    for (const nodeId of absent) {
      // This node is back, and goes on with what its data plane has done meanwhile.
      const held = nodeId === this.#self ? this.#held : undefined;
      const known = held ?? before.get(nodeId)?.epoch;
      this.#tenures.set(nodeId, { incarnation: undefined, epoch: known ?? epoch });
    }
    for (const { nodeId, incarnation } of members) {
      const earlier = this.#tenures.get(nodeId) ?? before.get(nodeId);
      const isSame =
        earlier !== undefined && (earlier.incarnation === undefined || earlier.incarnation === incarnation);
      this.#tenures.set(nodeId, { incarnation, epoch: isSame ? earlier.epoch : epoch });
    }
    if (absent.includes(this.#self)) this.#held = undefined;
  }

  /** The epoch, or 0 of who is neither member nor absent. */
  since(nodeId: number): number {
    return this.#tenures.get(nodeId)?.epoch ?? 0;
  }
}
