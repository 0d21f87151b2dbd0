// Several engines with locks on a virtual network: the real ring, so that tokens are lost, made again from older copies, and
// merged in exactly the ways in which the ring does that. Checks after every event that a lock has one holder and that its
// fencing numbers grow.
import { RaincoreEngine } from "../../../lib/raincore/engine.js";
import { type LockEvent, Locks } from "../../../lib/raincore/locks/locks.js";
import { deriveTimers } from "../../../lib/raincore/timers.js";
import type { QuorumPolicy } from "../../../lib/raincore/types.js";
import { type Process, VirtualNetwork, type VirtualNode } from "../virtualNetwork.js";

export const TIMERS = deriveTimers(100);

export interface ClusterOptions {
  readonly nodes: number;
  readonly seed: number;
  readonly quorum: QuorumPolicy;
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

interface LockProcess extends Process {
  readonly locks: Locks;
}

export class Cluster extends VirtualNetwork<LockProcess> {
  readonly violations: string[] = [];
  readonly clients: Client[] = [];
  readonly counts = { granted: 0, lost: 0, refused: 0 };
  readonly #quorum: QuorumPolicy;
  readonly #lastFence = new Map<string, bigint>();

  constructor({ nodes, seed, quorum }: ClusterOptions) {
    super({ nodes, seed });
    this.#quorum = quorum;
    for (const nodeId of this.nodeIds) this.start(nodeId);
  }

  locksOf(nodeId: number): Locks {
    return this.processOf(nodeId).locks;
  }

  isHolding(nodeId: number): boolean {
    return this.processOf(nodeId).engine.status().holding;
  }

  override crash(nodeId: number): void {
    super.crash(nodeId);
    for (const client of this.clients) if (client.node === nodeId) client.state = "over";
  }

  override heal(): void {
    // One that has left is started again.
    for (const { nodeId, process } of this.nodes) {
      if (process?.engine.status().state === "closed") this.crash(nodeId);
    }
    super.heal();
  }

  acquire(nodeId: number, name: string, times: { wait_ms?: number; ttl_ms?: number } = {}): Client | undefined {
    let client: Client | undefined;
    this.call(nodeId, ({ engine, locks }, now_ms) => {
      const id = locks.acquire(now_ms, name, { client: "test", ...times });
      const { life } = this.node(nodeId);
      client = { node: nodeId, life, name, id, state: "waiting", fence: 0n, outcome: "" };
      this.clients.push(client);
      return engine.wake(now_ms);
    });
    return client;
  }

  release(client: Client): void {
    if (client.state === "over" || this.node(client.node).life !== client.life) return;
    this.call(client.node, ({ engine, locks }, now_ms) => {
      client.state = "over";
      locks.release(client.id);
      return engine.wake(now_ms);
    });
  }

  protected override newProcess({ nodeId, life }: VirtualNode<LockProcess>): LockProcess {
    const locks = new Locks({ self: nodeId, onEvent: (event) => this.#onEvent(nodeId, life, event) });
    const engine = new RaincoreEngine(
      {
        cluster: "test",
        nodeId,
        incarnation: BigInt(life),
        peers: this.peersOf(nodeId),
        timers: TIMERS,
        // Stands for the wall clock: nodes that all begin anew know nothing of the numbers given out before.
        epochFloor: Math.floor(this.now_ms),
        startupWait_ms: 200,
        modules: [locks],
        quorum: this.#quorum,
      },
      { random: () => this.random() },
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

  protected override afterCall(): void {
    const holders = new Map<string, number>();
    for (const client of this.clients) {
      const node = this.node(client.node);
      if (client.state !== "holding" || node.process === undefined || node.life !== client.life) continue;
      const { locks } = node.process;
      if (!locks.holds(client.id, this.own_ms(node))) {
        // Whoever runs has been told as soon as it was over.
        const isLate = this.now_ms > node.pausedUntil_ms + 0.1 && !locks.holds(client.id, this.own_ms(node) - 0.01);
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
}
