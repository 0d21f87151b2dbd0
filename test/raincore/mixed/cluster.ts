// Engines of different kinds in one ring, on a virtual network: nodes without the services, nodes whose services write a newer format, and nodes
// with a module that fills the token. Every process may start as another kind than the one before. Writes down what the services say, and checks
// that what is promised holds among those that have a part in them. Used by mixed.test.ts.
import assert from "node:assert/strict";
import { SharedCarriages, type UpdateResult } from "../../../lib/raincore/carriages/sharedCarriages.js";
import { RaincoreEngine } from "../../../lib/raincore/engine.js";
import { type LockEvent, Locks } from "../../../lib/raincore/locks/locks.js";
import { type Delivery, type Guarantee, Multicast, type Outcome } from "../../../lib/raincore/multicast/multicast.js";
import { deriveTimers } from "../../../lib/raincore/timers.js";
import type { Effect } from "../../../lib/raincore/types.js";
import { type Process, VirtualNetwork, type VirtualNode } from "../virtualNetwork.js";
import { Filler } from "./filler.js";
import { checkTogether, keysOf, type Membership } from "./memberships.js";

const TIMERS = deriveTimers(100);
const MULTICAST_BYTES_MAX = 64 * 1024;

/** whole: all services; newer: the same in a newer format; bare: no module at all; filler: only one that fills the token. */
export type Kind = "whole" | "newer" | "bare" | "filler";

interface Services {
  readonly multicast: Multicast;
  readonly shared: SharedCarriages;
  readonly locks: Locks;
}

interface MixedProcess extends Process {
  readonly services: Services | undefined;
  membership: Membership | undefined;
}

type Node = VirtualNode<MixedProcess>;

interface Client {
  readonly node: number;
  readonly life: number;
  readonly name: string;
  readonly id: number;
  state: "waiting" | "holding" | "over";
}

export class MixedCluster extends VirtualNetwork<MixedProcess> {
  fill_bytes = 0;
  readonly violations: string[] = [];
  readonly clients: Client[] = [];
  readonly counts = { delivered: 0, unsent: 0, unknown: 0, updated: 0, notUpdated: 0, granted: 0, refused: 0 };
  /** Of the present processes, or of the next ones. */
  readonly #kinds = new Map<number, Kind>();
  readonly #memberships: Membership[] = [];
  /** Names of messages by node, life and the service's own number. */
  readonly #keys = new Map<string, number>();
  readonly #outcomes = new Map<number, Outcome>();
  readonly #lastFence = new Map<string, bigint>();
  #counter = 0;

  constructor(kinds: readonly Kind[], seed = 1) {
    super({ nodes: kinds.length, seed });
    for (const [index, kind] of kinds.entries()) this.start(index + 1, kind);
  }

  counter(nodeId: number, name: string): number {
    return this.processOf(nodeId).engine.status().counters[name] ?? 0;
  }

  delivered(nodeId: number): number[] {
    const { membership } = this.processOf(nodeId);
    return membership === undefined ? [] : keysOf(membership);
  }

  outcome(key: number): Outcome | undefined {
    return this.#outcomes.get(key);
  }

  override start(nodeId: number, kind?: Kind): void {
    if (kind !== undefined && this.node(nodeId).process === undefined) this.#kinds.set(nodeId, kind);
    super.start(nodeId);
  }

  override crash(nodeId: number): void {
    const { process } = this.node(nodeId);
    if (process !== undefined) this.#endMembership(process);
    super.crash(nodeId);
    for (const client of this.clients) if (client.node === nodeId) client.state = "over";
  }

  /** What the message is called. */
  send(nodeId: number, bytes: number, guarantee: Guarantee = "agreed"): number {
    const key = ++this.#counter;
    const message = new Uint8Array(Math.max(4, bytes));
    new DataView(message.buffer).setUint32(0, key);
    this.#serve(nodeId, ({ multicast }) => {
      const id = multicast.send(message, guarantee);
      if (id !== undefined) this.#keys.set(`${nodeId}/${this.node(nodeId).life}/${id}`, key);
    });
    return key;
  }

  update(nodeId: number, name: string): void {
    this.#serve(nodeId, ({ shared }) => {
      shared.update(name, shared.get(name)?.version ?? 0, new Uint8Array(100).fill(nodeId));
    });
  }

  acquire(nodeId: number, name: string): Client | undefined {
    let client: Client | undefined;
    this.#serve(nodeId, ({ locks }, now_ms) => {
      const id = locks.acquire(now_ms, name, { client: "test" });
      client = { node: nodeId, life: this.node(nodeId).life, name, id, state: "waiting" };
      this.clients.push(client);
    });
    return client;
  }

  release(client: Client): void {
    if (client.state === "over" || this.node(client.node).life !== client.life) return;
    this.#serve(client.node, ({ locks }) => {
      client.state = "over";
      locks.release(client.id);
    });
  }

  /** What is promised, over everything that was written down. */
  check(): void {
    assert.deepEqual(this.violations, []);
    this.#checkTogether(false);
    const delivered = new Set(this.#memberships.flatMap(keysOf));
    for (const [key, outcome] of this.#outcomes) {
      if (outcome === "unsent") assert.ok(!delivered.has(key), `${key} was settled as unsent, and delivered`);
      if (outcome === "delivered") assert.ok(delivered.has(key), `${key} was settled as delivered, and was not`);
    }
  }

  /** Nobody waits for anything. */
  checkAtRest(): void {
    this.#checkTogether(true);
    for (const { nodeId, process } of this.nodes) {
      if (process?.services === undefined) continue;
      assert.equal(process.services.multicast.queuedMessages, 0, `messages of node ${nodeId} wait`);
      assert.equal(process.services.shared.hasWork, false, `updates of node ${nodeId} wait`);
    }
    const waiting = this.clients.filter(({ state }) => state === "waiting");
    assert.deepEqual(waiting, [], "somebody waits for a lock");
  }

  #checkTogether(isAtRest: boolean): void {
    for (const [index, p] of this.#memberships.entries()) {
      for (const q of this.#memberships.slice(index + 1)) if (p.node !== q.node) checkTogether(p, q, isAtRest);
    }
  }

  protected override newProcess({ nodeId, life }: Node): MixedProcess {
    const kind = this.#kinds.get(nodeId) ?? "bare";
    const hasServices = kind === "whole" || kind === "newer";
    const services = hasServices ? this.#services(nodeId, life, kind === "newer" ? 1 : 0) : undefined;
    const modules = services === undefined ? [] : [services.locks, services.shared, services.multicast];
    const engine = new RaincoreEngine(
      {
        cluster: "test",
        nodeId,
        incarnation: BigInt(life),
        peers: this.peersOf(nodeId),
        timers: TIMERS,
        epochFloor: Math.floor(this.now_ms),
        startupWait_ms: 200,
        modules: kind === "filler" ? [new Filler(() => this.fill_bytes)] : modules,
        quorum: { policy: "majority", tieBreaker: 1 },
      },
      { random: () => this.random() },
    );
    return { engine, services, membership: undefined };
  }

  #services(nodeId: number, life: number, newerBy: number): Services {
    let isOutdated = false;
    const isNow = () => this.node(nodeId).life === life && this.node(nodeId).process !== undefined;
    const multicast = new Multicast({
      self: nodeId,
      bytesMax: MULTICAST_BYTES_MAX,
      onDeliver: (delivery) => this.#onDeliver(nodeId, delivery),
      onView: (view) => {
        // One that has no part hears of views all the same.
        if (!isOutdated) this.#membershipOf(nodeId).entries.push({ type: "view", view });
      },
      onSettled: (id, outcome) => {
        if (isNow()) this.#onSettled(`${nodeId}/${life}/${id}`, outcome);
      },
    });
    const { onToken, onOutdated } = multicast;
    multicast.onToken = (ctx, bytes) => {
      isOutdated = false;
      return onToken.call(multicast, ctx, bytes);
    };
    multicast.onOutdated = (ctx) => {
      isOutdated = true;
      this.#endMembership(this.processOf(nodeId));
      onOutdated.call(multicast, ctx);
    };
    const shared = new SharedCarriages({
      self: nodeId,
      onChange: () => {},
      onSettled: (_id, result: UpdateResult) => {
        this.counts[result.ok ? "updated" : "notUpdated"] += 1;
      },
    });
    const locks = new Locks({ self: nodeId, onEvent: (event) => this.#onLock(nodeId, life, event) });
    for (const module of [multicast, shared, locks] as { format: number }[]) module.format += newerBy;
    return { multicast, shared, locks };
  }

  #onDeliver(nodeId: number, { bytes, view, order }: Delivery): void {
    const key = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
    this.#membershipOf(nodeId).entries.push({ type: "message", key, view, order });
  }

  #onSettled(id: string, outcome: Outcome): void {
    const key = this.#keys.get(id);
    if (key === undefined) {
      this.#violate(`an unknown message ${id} is settled`);
      return;
    }
    if (this.#outcomes.has(key)) this.#violate(`message ${key} is settled twice`);
    this.counts[outcome] += 1;
    this.#outcomes.set(key, outcome);
  }

  /** The present one; a new one begins when the ring has lost the last one, or the services have. */
  #membershipOf(nodeId: number): Membership {
    const process = this.processOf(nodeId);
    if (process.membership === undefined) {
      process.membership = { node: nodeId, entries: [], isOver: false };
      this.#memberships.push(process.membership);
    }
    return process.membership;
  }

  #endMembership(process: MixedProcess): void {
    if (process.membership !== undefined) process.membership.isOver = true;
    process.membership = undefined;
  }

  #onLock(nodeId: number, life: number, event: LockEvent): void {
    const client = this.clients.find((one) => one.node === nodeId && one.life === life && one.id === event.id);
    if (client === undefined) return;
    if (event.type === "granted") {
      const last = this.#lastFence.get(event.name) ?? 0n;
      if (event.fence <= last) this.#violate(`fence of ${event.name} went from ${last} to ${event.fence}`);
      this.#lastFence.set(event.name, event.fence);
    }
    if (event.type === "granted" || event.type === "refused") this.counts[event.type] += 1;
    client.state = event.type === "granted" ? "holding" : "over";
  }

  #serve(nodeId: number, act: (services: Services, now_ms: number) => void): void {
    this.call(nodeId, ({ engine, services }, now_ms) => {
      if (services === undefined) return [];
      act(services, now_ms);
      return engine.wake(now_ms);
    });
  }

  protected override afterCall({ nodeId, process }: Node, effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (process === undefined || effect.type !== "state" || effect.state === "member") continue;
      this.#endMembership(process);
      // One that has left ends its process.
      if (effect.state === "closed") this.crash(nodeId);
    }
    this.#checkHolders();
  }

  #checkHolders(): void {
    const holders = new Map<string, number>();
    for (const { state, node: nodeId, life, id, name } of this.clients) {
      const node = this.node(nodeId);
      if (state !== "holding" || node.life !== life) continue;
      if (node.process?.services?.locks.holds(id, this.own_ms(node)) !== true) continue;
      const other = holders.get(name);
      if (other !== undefined) this.#violate(`nodes ${other} and ${nodeId} both hold ${name}`);
      holders.set(name, nodeId);
    }
  }

  #violate(what: string): void {
    this.violations.push(`${this.now_ms.toFixed(1)} ms: ${what}`);
  }
}
