// Reliable messages: delivered at most once to one life of a node, never invented, never to somebody else; what is reported
// as delivered was; and everything a living sender sent is settled in the end.

import type { SimNode } from "../node.js";
import { nameOf, readPayload } from "../payload.js";
import type { Watched } from "./checker.js";

interface Sent {
  readonly from: SimNode;
  readonly life: number;
  readonly to: number;
  /** Lives of the receiver that got it. */
  readonly arrived: Set<number>;
  isSettled: boolean;
}

export class MessageDelivery {
  readonly #watched: Watched;
  readonly #sent = new Map<string, Sent>();
  /** Not settled yet. */
  readonly #open = new Set<string>();

  constructor(watched: Watched) {
    this.#watched = watched;
  }

  sent(from: SimNode, name: string, to: number): void {
    this.#open.add(name);
    this.#sent.set(name, { from, life: from.life, to, arrived: new Set(), isSettled: false });
  }

  arrived(node: SimNode, from: number, bytes: Uint8Array): void {
    const id = readPayload(bytes);
    const sent = id === undefined ? undefined : this.#sent.get(nameOf(id));
    if (id === undefined || sent === undefined || id.nodeId !== from || sent.to !== node.nodeId) {
      this.#violate(`node ${node.nodeId} got ${bytes.length} bytes from ${from} that it was not sent`);
      return;
    }
    if (sent.arrived.has(node.life)) this.#violate(`node ${node.nodeId} got ${nameOf(id)} twice`);
    sent.arrived.add(node.life);
  }

  settled(node: SimNode, bytes: Uint8Array, delivered: boolean): void {
    const id = readPayload(bytes);
    const sent = id === undefined ? undefined : this.#sent.get(nameOf(id));
    if (id === undefined || sent === undefined || sent.from !== node || sent.life !== node.life) {
      this.#violate(`node ${node.nodeId} was told of a message that it did not send`);
      return;
    }
    if (sent.isSettled) this.#violate(`node ${node.nodeId} was told twice what became of ${nameOf(id)}`);
    sent.isSettled = true;
    if (id !== undefined) this.#open.delete(nameOf(id));
    if (delivered && sent.arrived.size === 0) this.#violate(`${nameOf(id)} is reported as delivered and was not`);
  }

  hasArrived(name: string): boolean {
    return (this.#sent.get(name)?.arrived.size ?? 0) > 0;
  }

  /** Whether nothing that these nodes sent in this life is unsettled. */
  isQuiet(senders: readonly SimNode[]): boolean {
    for (const name of this.#open) {
      const sent = this.#sent.get(name);
      if (sent?.from.isUp && sent.from.life === sent.life && senders.includes(sent.from)) return false;
      // Its sender is gone, or is none of those that are to be served.
      this.#open.delete(name);
    }
    return true;
  }

  /** Messages that these nodes sent in this life and that are not settled. */
  unsettled(senders: readonly SimNode[]): number {
    let count = 0;
    for (const { isSettled, from, life } of this.#sent.values()) {
      if (!isSettled && from.isUp && from.life === life && senders.includes(from)) count += 1;
    }
    return count;
  }

  #violate(what: string): void {
    this.#watched.report("messages", what);
  }
}
