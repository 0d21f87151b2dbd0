// Several engines with locks on a virtual clock and a network that loses, delays and cuts: the real ring, so that tokens are
// lost, made again from older copies, and merged in exactly the ways in which the ring does that. Clocks differ in
// offset and rate. Checks after every event that a lock has one holder and that its fencing numbers grow.
import { RaincoreEngine } from "../../../lib/raincore/engine.js";
import { type LockEvent, Locks } from "../../../lib/raincore/locks/locks.js";
import { deriveTimers } from "../../../lib/raincore/timers.js";
import type { Effect, QuorumPolicy } from "../../../lib/raincore/types.js";

export const TIMERS = deriveTimers(100);

export interface ClusterOptions {
  readonly nodes: number;
  readonly seed: number;
  readonly quorum: QuorumPolicy;
}

interface Datagram {
  readonly at_ms: number;
  readonly from: number;
  readonly to: number;
  readonly path: number;
  readonly bytes: Uint8Array;
}

export interface Client {
  readonly node: number;
  readonly life: number;
  readonly name: string;
  readonly id: number;
  state: "waiting" | "holding" | "over";
  fence: bigint;
  outcome: string;
}

interface Node {
  readonly nodeId: number;
  readonly offset_ms: number;
  readonly rate: number;
  life: number;
  up: boolean;
  pausedUntil_ms: number;
  engine: RaincoreEngine;
  locks: Locks;
}

export class Cluster {
  readonly violations: string[] = [];
  readonly clients: Client[] = [];
  readonly counts = { granted: 0, lost: 0, refused: 0 };
  now_ms = 0;
  lossRate = 0;
  readonly #options: ClusterOptions;
  readonly #nodes: Node[] = [];
  readonly #sides = new Map<number, number>();
  readonly #lastFence = new Map<string, bigint>();
  #datagrams: Datagram[] = [];
  #seed: number;

  constructor(options: ClusterOptions) {
    this.#options = options;
    this.#seed = options.seed >>> 0;
    for (let nodeId = 1; nodeId <= options.nodes; nodeId++) {
      const offset_ms = this.#random() * 1e6;
      const rate = 1 + (this.#random() - 0.5) * 0.002;
      const node: Node = {
        nodeId,
        offset_ms,
        rate,
        life: 0,
        up: false,
        pausedUntil_ms: 0,
        ...this.#process(nodeId, 0),
      };
      this.#nodes.push(node);
      this.start(nodeId);
    }
  }

  get nodeIds(): number[] {
    return this.#nodes.map(({ nodeId }) => nodeId);
  }

  isMember(nodeId: number): boolean {
    const node = this.#node(nodeId);
    return node.up && node.engine.status().state === "member";
  }

  membersSeenBy(nodeId: number): number {
    return this.#node(nodeId).engine.status().members.length;
  }

  locksOf(nodeId: number): Locks {
    return this.#node(nodeId).locks;
  }

  start(nodeId: number): void {
    const node = this.#node(nodeId);
    if (node.up) return;
    node.life += 1;
    Object.assign(node, this.#process(nodeId, node.life));
    node.up = true;
    this.#apply(node, node.engine.start(this.#own(node)));
  }

  crash(nodeId: number): void {
    const node = this.#node(nodeId);
    node.up = false;
    node.pausedUntil_ms = 0;
    for (const client of this.clients) if (client.node === nodeId && client.life === node.life) client.state = "over";
  }

  leave(nodeId: number): void {
    const node = this.#node(nodeId);
    if (this.#isRunning(node)) this.#apply(node, node.engine.leave(this.#own(node)));
  }

  pause(nodeId: number, duration_ms: number): void {
    this.#node(nodeId).pausedUntil_ms = this.now_ms + duration_ms;
  }

  /** Nodes on different sides do not hear each other. */
  cut(sideOf: (nodeId: number) => number): void {
    for (const nodeId of this.nodeIds) this.#sides.set(nodeId, sideOf(nodeId));
  }

  heal(): void {
    this.#sides.clear();
    this.lossRate = 0;
    for (const node of this.#nodes) {
      node.pausedUntil_ms = Math.min(node.pausedUntil_ms, this.now_ms);
      // One that has left is started again.
      if (node.up && node.engine.status().state === "closed") this.crash(node.nodeId);
      this.start(node.nodeId);
    }
  }

  acquire(nodeId: number, name: string, times: { wait_ms?: number; ttl_ms?: number } = {}): Client | undefined {
    const node = this.#node(nodeId);
    if (!this.#isRunning(node)) return undefined;
    const id = node.locks.acquire(this.#own(node), name, { client: "test", ...times });
    const client: Client = { node: nodeId, life: node.life, name, id, state: "waiting", fence: 0n, outcome: "" };
    this.clients.push(client);
    this.#apply(node, node.engine.wake(this.#own(node)));
    return client;
  }

  release(client: Client): void {
    const node = this.#node(client.node);
    if (client.state === "over" || !this.#isRunning(node) || node.life !== client.life) return;
    client.state = "over";
    node.locks.release(client.id);
    this.#apply(node, node.engine.wake(this.#own(node)));
  }

  run(duration_ms: number): void {
    const end_ms = this.now_ms + duration_ms;
    for (;;) {
      const datagram = this.#nextDatagram();
      const due = this.#nextTick();
      const next_ms = Math.min(datagram?.at_ms ?? Number.POSITIVE_INFINITY, due?.at_ms ?? Number.POSITIVE_INFINITY);
      if (next_ms > end_ms) break;
      this.now_ms = Math.max(this.now_ms, next_ms);
      if (due !== undefined && due.at_ms === next_ms) this.#apply(due.node, due.node.engine.tick(this.#own(due.node)));
      else if (datagram !== undefined) this.#deliver(datagram);
    }
    this.now_ms = end_ms;
  }

  #process(nodeId: number, life: number): { engine: RaincoreEngine; locks: Locks } {
    const locks = new Locks({ self: nodeId, onEvent: (event) => this.#onEvent(nodeId, life, event) });
    const peers = Array.from({ length: this.#options.nodes }, (_, i) => ({ nodeId: i + 1, paths: 1 }));
    const engine = new RaincoreEngine(
      {
        cluster: "test",
        nodeId,
        incarnation: BigInt(life),
        peers: peers.filter((peer) => peer.nodeId !== nodeId),
        timers: TIMERS,
        // Stands for the wall clock: nodes that all begin anew know nothing of the numbers given out before.
        epochFloor: Math.floor(this.now_ms),
        startupWait_ms: 200,
        modules: [locks],
        quorum: this.#options.quorum,
      },
      { random: () => this.#random() },
    );
    return { engine, locks };
  }

  #onEvent(nodeId: number, life: number, event: LockEvent): void {
    const client = this.clients.find((one) => one.node === nodeId && one.life === life && one.id === event.id);
    if (client === undefined) return;
    client.outcome = "reason" in event ? `${event.type} ${event.reason}` : event.type;
    if (event.type === "granted") {
      this.counts.granted += 1;
      if (client.state === "over") this.#violate(`request ${event.id} of node ${nodeId} is granted after its end`);
      client.state = "holding";
      client.fence = event.fence;
      const last = this.#lastFence.get(event.name) ?? 0n;
      if (event.fence <= last) this.#violate(`fence of ${event.name} went from ${last} to ${event.fence}`);
      this.#lastFence.set(event.name, event.fence);
      return;
    }
    if (event.type !== "released") this.counts[event.type] += 1;
    client.state = "over";
  }

  #apply(node: Node, effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.type !== "send" || this.#random() < this.lossRate) continue;
      const at_ms = this.now_ms + 0.1 + this.#random() * 1.5;
      this.#datagrams.push({ at_ms, from: node.nodeId, to: effect.to, path: effect.path, bytes: effect.bytes });
    }
    this.#check();
  }

  #check(): void {
    const holders = new Map<string, number>();
    for (const client of this.clients) {
      if (client.state !== "holding") continue;
      const node = this.#node(client.node);
      if (!node.up || node.life !== client.life) continue;
      if (!node.locks.holds(client.id, this.#own(node))) {
        // Whoever runs has been told as soon as it was over.
        const isLate = this.now_ms > node.pausedUntil_ms + 0.1 && !node.locks.holds(client.id, this.#own(node) - 0.01);
        if (isLate)
          this.#violate(`the client of ${client.name} at node ${client.node} was not told that it has lost it`);
        continue;
      }
      const other = holders.get(client.name);
      if (other !== undefined) this.#violate(`nodes ${other} and ${client.node} both hold ${client.name}`);
      holders.set(client.name, client.node);
    }
  }

  #violate(what: string): void {
    this.violations.push(`${this.now_ms.toFixed(1)} ms: ${what}`);
  }

  #nextDatagram(): Datagram | undefined {
    let first: Datagram | undefined;
    for (const datagram of this.#datagrams) if (first === undefined || datagram.at_ms < first.at_ms) first = datagram;
    return first;
  }

  #deliver(datagram: Datagram): void {
    this.#datagrams = this.#datagrams.filter((other) => other !== datagram);
    const { from, to, path, bytes } = datagram;
    const node = this.#node(to);
    if (!node.up || this.#sides.get(from) !== this.#sides.get(to)) return;
    if (node.pausedUntil_ms > this.now_ms) {
      // It lies in the socket until the process goes on.
      this.#datagrams.push({ ...datagram, at_ms: node.pausedUntil_ms + 0.01 });
      return;
    }
    this.#apply(node, node.engine.receive(this.#own(node), from, path, bytes));
  }

  #nextTick(): { readonly node: Node; readonly at_ms: number } | undefined {
    let first: { readonly node: Node; readonly at_ms: number } | undefined;
    for (const node of this.#nodes) {
      if (!node.up) continue;
      const due_ms = (node.engine.deadline_ms - node.offset_ms) / node.rate;
      // A little late, so that rounding cannot make it early.
      const at_ms = Math.max(due_ms + 1e-6, node.pausedUntil_ms, this.now_ms);
      if (Number.isFinite(at_ms) && (first === undefined || at_ms < first.at_ms)) first = { node, at_ms };
    }
    return first;
  }

  #isRunning(node: Node): boolean {
    return node.up && node.pausedUntil_ms <= this.now_ms;
  }

  #own(node: Node): number {
    return this.now_ms * node.rate + node.offset_ms;
  }

  #node(nodeId: number): Node {
    const node = this.#nodes[nodeId - 1];
    if (node === undefined) throw new Error(`there is no node ${nodeId}`);
    return node;
  }

  /** mulberry32 */
  #random(): number {
    this.#seed = (this.#seed + 0x6d2b79f5) >>> 0;
    let t = this.#seed;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 0x1_0000_0000;
  }
}
