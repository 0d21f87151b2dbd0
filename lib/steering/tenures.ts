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
  #tenures = new Map<number, Tenure>();

  /** A view with these members, and nodes that are absent by agreement. No members: this node is in no view. */
  become(members: readonly Tenant[], absent: readonly number[], epoch: number): void {
    const before = this.#tenures;
    this.#tenures = new Map();
    for (const nodeId of absent)
      this.#tenures.set(nodeId, { incarnation: undefined, epoch: before.get(nodeId)?.epoch ?? epoch });
    for (const { nodeId, incarnation } of members) {
      const earlier = this.#tenures.get(nodeId) ?? before.get(nodeId);
      const isSame =
        earlier !== undefined && (earlier.incarnation === undefined || earlier.incarnation === incarnation);
      this.#tenures.set(nodeId, { incarnation, epoch: isSame ? earlier.epoch : epoch });
    }
  }

  /** The epoch, or 0 of who is neither member nor absent. */
  since(nodeId: number): number {
    return this.#tenures.get(nodeId)?.epoch ?? 0;
  }
}
