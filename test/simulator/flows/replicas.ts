// Connections that outlive their machine: each node tells the one that would take a flow over. Only in runs that keep connections. Owned by plane.ts.
import { CONNECTIONS_KIND } from "../../../lib/messageKinds.js";
import type { Firewall, Tracked } from "./firewall.js";
import { isOver } from "./firewall.js";
import { type Ends, originalName } from "./packet.js";

/** Changes are gathered: nothing waits for them. */
const GATHER_MS = 20;
const KIND = CONNECTIONS_KIND.copy;

export interface ReplicaHost {
  readonly self: number;
  readonly firewall: Firewall;
  readonly after: (delay_ms: number, act: () => void) => void;
  readonly send: (node: number, bytes: Uint8Array) => void;
  /** Who would have the flow without this node; undefined: nobody, or this node is in no view. */
  readonly followerOf: (name: string) => number | undefined;
  readonly authorityOf: (name: string) => number | undefined;
  readonly epoch: () => number;
  /** Since which view it is a member; undefined: it is none. */
  readonly sinceOf: (node: number) => number | undefined;
  /** As far as this node knows: a firewall may have what has gone to another node since. */
  readonly handlerOf: (ends: Ends) => number | undefined;
  /** Another node handles one of its flows, in a connection that goes on. */
  readonly isAnothers: (ends: Ends) => boolean;
  /** The flow's handler is this node from now on. */
  readonly takeOver: (ends: Ends) => void;
  readonly endsOf: (id: number) => Ends;
}

interface Told {
  readonly id: number;
  readonly isOver: boolean;
}

interface Copy {
  readonly id: number;
  readonly handler: number;
  /** In which view that one told it. */
  readonly epoch: number;
}

export class Replicas {
  readonly #host: ReplicaHost;
  /** By the name of the connection's first packets: of two between the same ends the later one. */
  readonly #held = new Map<string, Copy>();
  readonly #changed = new Map<number, Tracked>();

  constructor(host: ReplicaHost) {
    this.#host = host;
  }

  /** A connection of this node's has begun, or is over. */
  changed(tracked: Tracked): void {
    if (this.#changed.size === 0) this.#host.after(GATHER_MS, () => this.#tell());
    this.#changed.set(tracked.ends.id, tracked);
  }

  /** That node's, told to this one since both are members. */
  holds(id: number, handler: number): boolean {
    const copy = this.#held.get(this.#nameOf(id));
    return copy?.id === id && copy.handler === handler && this.#isOfThisTenure(copy.epoch);
  }

  /** Of an earlier connection between the same ends, of whose end nobody told this node. */
  isMistaken(ends: Ends): boolean {
    return (this.#held.get(originalName(ends))?.id ?? ends.id) !== ends.id;
  }

  /** False: it is about something else. */
  receive(from: number, bytes: Uint8Array): boolean {
    if (bytes[0] !== KIND) return false;
    for (const { id, isOver } of JSON.parse(Buffer.from(bytes.subarray(1)).toString()) as Told[]) {
      const name = this.#nameOf(id);
      const known = this.#held.get(name)?.id ?? -1;
      if (isOver && known === id) this.#held.delete(name);
      if (!isOver && known <= id) this.#held.set(name, { id, handler: from, epoch: this.#host.epoch() });
    }
    return true;
  }

  /** The view has changed: what is this node's now goes on here, and all is told anew. */
  viewChanged(): void {
    const { authorityOf, isAnothers, self, endsOf, firewall } = this.#host;
    for (const [name, copy] of this.#held) {
      const ends = endsOf(copy.id);
      // Who was away since does not know who was, and what the others have taken over: others are asked first.
      const isOld = !this.#isOfThisTenure(copy.epoch);
      if (isOld || this.#isThere(copy) || authorityOf(name) !== self) continue;
      if (!isAnothers(ends)) this.#takeOver(ends);
    }
    for (const tracked of firewall.assured()) this.changed(tracked);
  }

  #isOfThisTenure(epoch: number): boolean {
    return (this.#host.sinceOf(this.#host.self) ?? Number.POSITIVE_INFINITY) <= epoch;
  }

  /** All others were asked for the flow, and none handles it. False: there is no copy, or who told it is there and knows that it is over. */
  takeOverLast(name: string): boolean {
    const copy = this.#held.get(name);
    if (copy === undefined || this.#isThere(copy)) return false;
    this.#takeOver(this.#host.endsOf(copy.id));
    return true;
  }

  /** A member still, or again but not anew. */
  #isThere({ handler, epoch }: Copy): boolean {
    return (this.#host.sinceOf(handler) ?? Number.POSITIVE_INFINITY) <= epoch;
  }

  #takeOver(ends: Ends): void {
    this.#held.delete(originalName(ends));
    this.#host.takeOver(ends);
  }

  #nameOf(id: number): string {
    return originalName(this.#host.endsOf(id));
  }

  #tell(): void {
    const byNode = new Map<number, Told[]>();
    for (const tracked of this.#changed.values()) {
      const node = this.#host.followerOf(originalName(tracked.ends));
      if (node === undefined || this.#host.handlerOf(tracked.ends) !== this.#host.self) continue;
      byNode.set(node, [...(byNode.get(node) ?? []), { id: tracked.ends.id, isOver: isOver(tracked) }]);
    }
    this.#changed.clear();
    for (const [node, told] of byNode)
      this.#host.send(node, Buffer.concat([Buffer.of(KIND), Buffer.from(JSON.stringify(told))]));
  }
}
