// What must always hold, checked after every event and for all the time between events: at most one node answers for a
// VIP, at most one holds the token of an epoch, epochs only grow. Also measures how long VIPs were silent.
import type { Network } from "./network.js";
import type { SimNode } from "./node.js";

export interface Violation {
  readonly at_ms: number;
  readonly what: string;
}

export class Checker {
  readonly violations: Violation[] = [];
  readonly #nodes: readonly SimNode[];
  readonly #network: Network;
  readonly #addresses: readonly string[];
  /** How long after a partition two owners are excused: until a beacon was heard. */
  readonly #grace_ms: number;
  readonly #epochs = new Map<string, number>();
  readonly #silentSince_ms = new Map<string, number>();
  readonly #longestSilence_ms = new Map<string, number>();
  #checkedUntil_ms = 0;

  constructor(nodes: readonly SimNode[], network: Network, addresses: readonly string[], grace_ms: number) {
    this.#nodes = nodes;
    this.#network = network;
    this.#addresses = addresses;
    this.#grace_ms = grace_ms;
  }

  /** Must be called with the time of the next event before that event changes anything. */
  timePasses(until_ms: number): void {
    const from_ms = this.#checkedUntil_ms;
    if (until_ms <= from_ms) return;
    for (const address of this.#addresses) this.#checkAddress(address, from_ms, until_ms);
    this.#checkedUntil_ms = until_ms;
  }

  stepped(node: SimNode, now_ms: number): void {
    this.#checkHolder(node, now_ms);
    const life = `${node.nodeId}/${node.life}`;
    const before = this.#epochs.get(life) ?? 0;
    if (node.status.epoch < before) this.#violate(now_ms, `epoch of node ${node.nodeId} fell from ${before}`);
    this.#epochs.set(life, node.status.epoch);
  }

  /** Begins to measure silence anew. */
  resetSilence(): void {
    this.#silentSince_ms.clear();
    this.#longestSilence_ms.clear();
  }

  /** The longest time in which nobody answered for a VIP, since the last reset; one that goes on counts, too. */
  longestSilence_ms(address: string): number {
    const since_ms = this.#silentSince_ms.get(address);
    const current_ms = since_ms === undefined ? 0 : this.#checkedUntil_ms - since_ms;
    return Math.max(current_ms, this.#longestSilence_ms.get(address) ?? 0);
  }

  #violate(at_ms: number, what: string): void {
    this.violations.push({ at_ms, what });
  }

  #checkHolder(node: SimNode, now_ms: number): void {
    if (!node.isUp || !node.status.holding) return;
    for (const other of this.#nodes) {
      if (other === node || !other.isUp || !other.status.holding) continue;
      const { epoch, origin } = other.status;
      if (epoch !== node.status.epoch || origin !== node.status.origin) continue;
      this.#violate(now_ms, `nodes ${node.nodeId} and ${other.nodeId} hold the token of epoch ${epoch}/${origin}`);
    }
  }

  #checkAddress(address: string, from_ms: number, until_ms: number): void {
    let answeredUntil_ms = from_ms;
    let owner: SimNode | undefined;
    const spans = [];
    for (const node of this.#nodes) {
      const interval = node.answering(address);
      if (interval === undefined) continue;
      const start_ms = Math.max(from_ms, interval.from_ms);
      const end_ms = Math.min(until_ms, interval.until_ms);
      if (start_ms < end_ms) spans.push({ node, start_ms, end_ms });
    }
    spans.sort((a, b) => a.start_ms - b.start_ms);
    for (const span of spans) {
      if (owner !== undefined && span.start_ms < answeredUntil_ms)
        this.#checkPair(address, owner, span.node, span.start_ms);
      if (span.start_ms > answeredUntil_ms || owner === undefined)
        this.#silence(address, answeredUntil_ms, span.start_ms);
      if (span.end_ms > answeredUntil_ms) {
        answeredUntil_ms = span.end_ms;
        owner = span.node;
      }
      this.#silentSince_ms.delete(address);
    }
    this.#silence(address, answeredUntil_ms, until_ms);
  }

  #silence(address: string, from_ms: number, until_ms: number): void {
    if (from_ms >= until_ms) return;
    const since_ms = this.#silentSince_ms.get(address) ?? from_ms;
    this.#silentSince_ms.set(address, since_ms);
    this.#longestSilence_ms.set(address, Math.max(until_ms - since_ms, this.#longestSilence_ms.get(address) ?? 0));
  }

  #checkPair(address: string, a: SimNode, b: SimNode, at_ms: number): void {
    if (this.#wereApart(a, b, at_ms) || this.#wereApart(b, a, at_ms)) return;
    this.#violate(at_ms, `nodes ${a.nodeId} and ${b.nodeId} both answer for ${address}`);
  }

  /** Whether a partition lately ran between a node and another one, or a member of the group the other is in now. */
  #wereApart(node: SimNode, other: SimNode, at_ms: number): boolean {
    const side = [other.nodeId, ...other.status.members.map((member) => member.nodeId)];
    return side.some((nodeId) => this.#network.wereCutSince(node.nodeId, nodeId, at_ms - this.#grace_ms));
  }
}
