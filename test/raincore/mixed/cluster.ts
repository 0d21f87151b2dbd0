// Engines of different kinds in one ring, on a virtual clock and a network that loses, delays and cuts: nodes without the services, nodes whose
// services write a newer format, and nodes with a module that fills the token. Every process may start as another kind than the one before. Writes
// down what the services say, and checks that what is promised holds among those that have a part in them. Used by mixed.test.ts.
import assert from "node:assert/strict";
import { SharedCarriages, type UpdateResult } from "../../../lib/raincore/carriages/sharedCarriages.js";
import { RaincoreEngine } from "../../../lib/raincore/engine.js";
import { type LockEvent, Locks } from "../../../lib/raincore/locks/locks.js";
import { type Delivery, type Guarantee, Multicast, type Outcome } from "../../../lib/raincore/multicast/multicast.js";
import { deriveTimers } from "../../../lib/raincore/timers.js";
import { compareViews, type ViewId } from "../../../lib/raincore/token.js";
import type { Effect, TokenContext, TokenModule } from "../../../lib/raincore/types.js";

export const TIMERS = deriveTimers(100);
/** Leaves room for no service. */
export const FILL_BYTES_MAX = 185_300;
/** Leaves room for locks and shared carriages, not for multicast. */
export const FILL_BYTES_HALF = 120_000;
const MULTICAST_BYTES_MAX = 64 * 1024;

/** whole: all services; newer: the same in a newer format; bare: no module at all; filler: only one that fills the token. */
export type Kind = "whole" | "newer" | "bare" | "filler";

interface Datagram {
  readonly at_ms: number;
  readonly from: number;
  readonly to: number;
  readonly path: number;
  readonly bytes: Uint8Array;
}

type Entry =
  | { readonly type: "view"; readonly view: ViewId }
  | { readonly type: "message"; readonly key: number; readonly view: ViewId; readonly order: number };

/** What one membership of one process in the multicast has seen. */
interface Life {
  readonly node: number;
  readonly entries: Entry[];
  isOver: boolean;
}

interface Services {
  readonly multicast: Multicast;
  readonly shared: SharedCarriages;
  readonly locks: Locks;
}

interface Process {
  readonly engine: RaincoreEngine;
  readonly services: Services | undefined;
  readonly kind: Kind;
  life: Life | undefined;
}

interface Node {
  readonly nodeId: number;
  readonly offset_ms: number;
  readonly rate: number;
  incarnation: number;
  up: boolean;
  pausedUntil_ms: number;
  process: Process;
}

interface Client {
  readonly node: number;
  readonly incarnation: number;
  readonly name: string;
  readonly id: number;
  state: "waiting" | "holding" | "over";
}

export class MixedCluster {
  now_ms = 0;
  lossRate = 0;
  fill_bytes = 0;
  readonly violations: string[] = [];
  readonly clients: Client[] = [];
  readonly counts = { delivered: 0, unsent: 0, unknown: 0, updated: 0, notUpdated: 0, granted: 0, refused: 0 };
  readonly #nodes: Node[] = [];
  readonly #lives: Life[] = [];
  readonly #outcomes = new Map<number, Outcome>();
  readonly #lastFence = new Map<string, bigint>();
  readonly #sides = new Map<number, number>();
  #datagrams: Datagram[] = [];
  #counter = 0;
  #seed: number;

  constructor(kinds: readonly Kind[], seed = 1) {
    this.#seed = seed >>> 0;
    for (const index of kinds.keys()) {
      const nodeId = index + 1;
      const clock = { offset_ms: this.#random() * 1e6, rate: 1 + (this.#random() - 0.5) * 0.002 };
      const node: Node = {
        nodeId,
        ...clock,
        incarnation: 0,
        up: false,
        pausedUntil_ms: 0,
        process: this.#process(nodeId, 0, "bare", kinds.length),
      };
      this.#nodes.push(node);
    }
    for (const [index, kind] of kinds.entries()) this.start(index + 1, kind);
  }

  get nodeIds(): number[] {
    return this.#nodes.map(({ nodeId }) => nodeId);
  }

  engine(nodeId: number): RaincoreEngine {
    return this.#node(nodeId).process.engine;
  }

  /** Undefined: this node has none. */
  services(nodeId: number): Services | undefined {
    const node = this.#node(nodeId);
    return node.up ? node.process.services : undefined;
  }

  counter(nodeId: number, name: string): number {
    return this.engine(nodeId).status().counters[name] ?? 0;
  }

  delivered(nodeId: number): number[] {
    const entries = this.#node(nodeId).process.life?.entries ?? [];
    return entries.flatMap((entry) => (entry.type === "message" ? [entry.key] : []));
  }

  outcome(key: number): Outcome | undefined {
    return this.#outcomes.get(key);
  }

  start(nodeId: number, kind?: Kind): void {
    const node = this.#node(nodeId);
    if (node.up) return;
    node.incarnation += 1;
    node.process = this.#process(nodeId, node.incarnation, kind ?? node.process.kind, this.#nodes.length);
    node.up = true;
    this.#apply(node, node.process.engine.start(this.#own(node)));
  }

  crash(nodeId: number): void {
    const node = this.#node(nodeId);
    node.up = false;
    node.pausedUntil_ms = 0;
    this.#endLife(node.process);
    for (const client of this.clients) if (client.node === nodeId) client.state = "over";
  }

  leave(nodeId: number): void {
    this.#act(nodeId, ({ process }, now_ms) => process.engine.leave(now_ms));
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
      this.start(node.nodeId);
    }
  }

  /** What the message is called. */
  send(nodeId: number, bytes: number, guarantee: Guarantee = "agreed"): number {
    const key = ++this.#counter;
    const message = new Uint8Array(Math.max(4, bytes));
    new DataView(message.buffer).setUint32(0, key);
    this.#serve(nodeId, ({ multicast }) => {
      const id = multicast.send(message, guarantee);
      if (id !== undefined) this.#keys.set(`${nodeId}/${this.#node(nodeId).incarnation}/${id}`, key);
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
    this.#serve(nodeId, ({ locks }, node) => {
      const id = locks.acquire(this.#own(node), name, { client: "test" });
      client = { node: nodeId, incarnation: node.incarnation, name, id, state: "waiting" };
      this.clients.push(client);
    });
    return client;
  }

  release(client: Client): void {
    if (client.state === "over" || this.#node(client.node).incarnation !== client.incarnation) return;
    this.#serve(client.node, ({ locks }) => {
      client.state = "over";
      locks.release(client.id);
    });
  }

  run(duration_ms: number): void {
    const end_ms = this.now_ms + duration_ms;
    for (;;) {
      const datagram = this.#nextDatagram();
      const due = this.#nextTick();
      const next_ms = Math.min(datagram?.at_ms ?? Number.POSITIVE_INFINITY, due?.at_ms ?? Number.POSITIVE_INFINITY);
      if (next_ms > end_ms) break;
      this.now_ms = Math.max(this.now_ms, next_ms);
      if (due !== undefined && due.at_ms === next_ms) {
        this.#apply(due.node, due.node.process.engine.tick(this.#own(due.node)));
      } else if (datagram !== undefined) this.#deliver(datagram);
    }
    this.now_ms = end_ms;
  }

  /** What is promised, over everything that was written down. */
  check(): void {
    assert.deepEqual(this.violations, []);
    for (const [index, p] of this.#lives.entries()) {
      for (const q of this.#lives.slice(index + 1)) if (p.node !== q.node) checkTogether(p, q);
    }
    const delivered = new Set(
      this.#lives.flatMap(({ entries }) => entries.flatMap((e) => ("key" in e ? [e.key] : []))),
    );
    for (const [key, outcome] of this.#outcomes) {
      if (outcome === "unsent") assert.ok(!delivered.has(key), `${key} was settled as unsent, and delivered`);
      if (outcome === "delivered") assert.ok(delivered.has(key), `${key} was settled as delivered, and was not`);
    }
  }

  /** Nobody waits for anything. */
  checkAtRest(): void {
    for (const { nodeId } of this.#nodes) {
      const services = this.services(nodeId);
      if (services === undefined) continue;
      assert.equal(services.multicast.queuedMessages, 0, `messages of node ${nodeId} wait`);
      assert.equal(services.shared.hasWork, false, `updates of node ${nodeId} wait`);
    }
    const waiting = this.clients.filter(({ state }) => state === "waiting");
    assert.deepEqual(waiting, [], "somebody waits for a lock");
  }

  readonly #keys = new Map<string, number>();

  #process(nodeId: number, incarnation: number, kind: Kind, nodes: number): Process {
    const hasServices = kind === "whole" || kind === "newer";
    const services = hasServices ? this.#services(nodeId, incarnation, kind === "newer" ? 1 : 0) : undefined;
    const modules = services === undefined ? [] : [services.locks, services.shared, services.multicast];
    const engine = new RaincoreEngine(
      {
        cluster: "test",
        nodeId,
        incarnation: BigInt(incarnation),
        peers: peersOf(nodeId, nodes),
        timers: TIMERS,
        epochFloor: Math.floor(this.now_ms),
        startupWait_ms: 200,
        modules: kind === "filler" ? [new Filler(() => this.fill_bytes)] : modules,
        quorum: { policy: "majority", tieBreaker: 1 },
      },
      { random: () => this.#random() },
    );
    return { engine, services, kind, life: undefined };
  }

  #services(nodeId: number, incarnation: number, newerBy: number): Services {
    let isOutdated = false;
    const isNow = () => this.#node(nodeId).incarnation === incarnation && this.#node(nodeId).up;
    const multicast = new Multicast({
      self: nodeId,
      bytesMax: MULTICAST_BYTES_MAX,
      onDeliver: (delivery) => this.#onDeliver(nodeId, delivery),
      onView: (view) => {
        // One that has no part hears of views all the same.
        if (!isOutdated) this.#lifeOf(nodeId).entries.push({ type: "view", view });
      },
      onSettled: (id, outcome) => {
        if (isNow()) this.#onSettled(`${nodeId}/${incarnation}/${id}`, outcome);
      },
    });
    const { onToken, onOutdated } = multicast;
    multicast.onToken = (ctx, bytes) => {
      isOutdated = false;
      return onToken.call(multicast, ctx, bytes);
    };
    multicast.onOutdated = (ctx) => {
      isOutdated = true;
      this.#endLife(this.#node(nodeId).process);
      onOutdated.call(multicast, ctx);
    };
    const shared = new SharedCarriages({
      self: nodeId,
      onChange: () => {},
      onSettled: (_id, result: UpdateResult) => {
        this.counts[result.ok ? "updated" : "notUpdated"] += 1;
      },
    });
    const locks = new Locks({ self: nodeId, onEvent: (event) => this.#onLock(nodeId, incarnation, event) });
    for (const module of [multicast, shared, locks] as { format: number }[]) module.format += newerBy;
    return { multicast, shared, locks };
  }

  #onDeliver(nodeId: number, { bytes, view, order }: Delivery): void {
    const key = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
    this.#lifeOf(nodeId).entries.push({ type: "message", key, view, order });
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

  /** Of the present membership; a new one begins when the ring has lost the last one, or the services have. */
  #lifeOf(nodeId: number): Life {
    const { process } = this.#node(nodeId);
    if (process.life === undefined) {
      process.life = { node: nodeId, entries: [], isOver: false };
      this.#lives.push(process.life);
    }
    return process.life;
  }

  #endLife(process: Process): void {
    if (process.life !== undefined) process.life.isOver = true;
    process.life = undefined;
  }

  #onLock(nodeId: number, incarnation: number, event: LockEvent): void {
    const client = this.clients.find((one) => {
      return one.node === nodeId && one.incarnation === incarnation && one.id === event.id;
    });
    if (client === undefined) return;
    if (event.type === "granted") {
      const last = this.#lastFence.get(event.name) ?? 0n;
      if (event.fence <= last) this.#violate(`fence of ${event.name} went from ${last} to ${event.fence}`);
      this.#lastFence.set(event.name, event.fence);
    }
    if (event.type === "granted" || event.type === "refused") this.counts[event.type] += 1;
    client.state = event.type === "granted" ? "holding" : "over";
  }

  #serve(nodeId: number, act: (services: Services, node: Node) => void): void {
    this.#act(nodeId, (node, now_ms) => {
      if (node.process.services === undefined) return [];
      act(node.process.services, node);
      return node.process.engine.wake(now_ms);
    });
  }

  #act(nodeId: number, act: (node: Node, now_ms: number) => readonly Effect[]): void {
    const node = this.#node(nodeId);
    if (node.up && node.pausedUntil_ms <= this.now_ms) this.#apply(node, act(node, this.#own(node)));
  }

  #apply(node: Node, effects: readonly Effect[]): void {
    let hasLeft = false;
    for (const effect of effects) {
      if (effect.type === "state" && effect.state !== "member") this.#endLife(node.process);
      // One that has left ends its process.
      if (effect.type === "state" && effect.state === "closed") hasLeft = true;
      if (effect.type !== "send" || this.#random() < this.lossRate) continue;
      const at_ms = this.now_ms + 0.1 + this.#random() * 1.5;
      this.#datagrams.push({ at_ms, from: node.nodeId, to: effect.to, path: effect.path, bytes: effect.bytes });
    }
    if (hasLeft) this.crash(node.nodeId);
    this.#checkHolders();
  }

  #checkHolders(): void {
    const holders = new Map<string, number>();
    for (const { state, node: nodeId, incarnation, id, name } of this.clients) {
      const node = this.#node(nodeId);
      if (state !== "holding" || !node.up || node.incarnation !== incarnation) continue;
      if (node.process.services?.locks.holds(id, this.#own(node)) !== true) continue;
      const other = holders.get(name);
      if (other !== undefined) this.#violate(`nodes ${other} and ${nodeId} both hold ${name}`);
      holders.set(name, nodeId);
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
    this.#datagrams.splice(this.#datagrams.indexOf(datagram), 1);
    const { from, to, path, bytes } = datagram;
    const node = this.#node(to);
    if (!node.up || this.#sides.get(from) !== this.#sides.get(to)) return;
    if (node.pausedUntil_ms > this.now_ms) {
      this.#datagrams.push({ ...datagram, at_ms: node.pausedUntil_ms + 0.01 });
      return;
    }
    // Each receiver has bytes of its own.
    this.#apply(node, node.process.engine.receive(this.#own(node), from, path, Uint8Array.from(bytes)));
  }

  #nextTick(): { readonly node: Node; readonly at_ms: number } | undefined {
    let first: { readonly node: Node; readonly at_ms: number } | undefined;
    for (const node of this.#nodes) {
      if (!node.up) continue;
      const due_ms = (node.process.engine.deadline_ms - node.offset_ms) / node.rate;
      // A little late, so that rounding cannot make it early.
      const at_ms = Math.max(due_ms + 1e-6, node.pausedUntil_ms, this.now_ms);
      if (Number.isFinite(at_ms) && (first === undefined || at_ms < first.at_ms)) first = { node, at_ms };
    }
    return first;
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

/** What it may write is what it writes, so that it can always make room. */
class Filler implements TokenModule {
  readonly carriage = "filler";
  readonly format = 1;
  readonly #bytes: () => number;

  constructor(bytes: () => number) {
    this.#bytes = bytes;
  }

  get bytesMax(): number {
    return this.#bytes();
  }

  onToken(_ctx: TokenContext, bytes: Uint8Array | undefined): Uint8Array {
    return bytes?.length === this.bytesMax ? bytes : new Uint8Array(this.bytesMax);
  }

  onLost(): void {}
}

function peersOf(nodeId: number, nodes: number): { readonly nodeId: number; readonly paths: number }[] {
  return Array.from({ length: nodes }, (_, i) => ({ nodeId: i + 1, paths: 1 })).filter(
    (peer) => peer.nodeId !== nodeId,
  );
}

/** Two memberships that both reported a view have the same messages of all views that both were in before; if both go on, of all later ones, too. */
function checkTogether(p: Life, q: Life): void {
  const viewsOf = ({ entries }: Life) => entries.flatMap((entry) => (entry.type === "view" ? [entry.view] : []));
  const [firstP, firstQ] = [viewsOf(p)[0], viewsOf(q)[0]];
  const common = viewsOf(p).filter((view) => viewsOf(q).some((other) => compareViews(view, other) === 0));
  const last = common.at(-1);
  if (firstP === undefined || firstQ === undefined || last === undefined) return;
  const from = compareViews(firstP, firstQ) > 0 ? firstP : firstQ;
  const isGoingOn = !p.isOver && !q.isOver;
  const inCommon = ({ entries }: Life) =>
    entries.flatMap((entry) => {
      if (entry.type === "view" || compareViews(entry.view, from) < 0) return [];
      return isGoingOn || compareViews(entry.view, last) < 0 ? [`${entry.key} in ${entry.view.epoch}`] : [];
    });
  assert.deepEqual(inCommon(p), inCommon(q), `nodes ${p.node} and ${q.node} have the same`);
}
