// Engines on virtual time, and the network between them: it delays and loses datagrams, is cut and healed; processes die, are stopped and begin
// anew; every node has a clock of its own. It replays from its seed. What the engines carry, and what has to hold, is up to who extends it: the
// rings of the tests in locks, mixed, engine and transport.
import type { RaincoreEngine } from "../../lib/raincore/engine.js";
import type { Effect } from "../../lib/raincore/types.js";
import { Random } from "../simulator/random.js";

interface Datagram {
  readonly at_ms: number;
  readonly from: number;
  readonly to: number;
  readonly path: number;
  readonly bytes: Uint8Array;
}

/** Of a node, to virtual time. */
export interface Clock {
  readonly offset_ms: number;
  readonly rate: number;
}

export interface NetworkOptions {
  readonly nodes: number;
  readonly seed: number;
  /** Between any two of them; default 1. */
  readonly paths?: number;
  /** Of every node; default: of any offset, and up to a thousandth too fast or too slow. */
  readonly clock?: Clock;
  /** Of every datagram; default: 0.1 to 1.6, so that they overtake each other. */
  readonly delay_ms?: readonly [low: number, high: number];
}

export type Send = Effect & { readonly type: "send" };

/** What runs on a node. */
export interface Process {
  readonly engine: RaincoreEngine;
}

export interface VirtualNode<P extends Process> extends Clock {
  readonly nodeId: number;
  /** Counts its processes; 0 before the first. */
  life: number;
  /** Undefined: it is down. */
  process: P | undefined;
  pausedUntil_ms: number;
}

export abstract class VirtualNetwork<P extends Process> {
  now_ms = 0;
  lossRate = 0;
  protected readonly nodes: readonly VirtualNode<P>[];
  readonly #random: Random;
  readonly #paths: number;
  readonly #delay_ms: readonly [low: number, high: number];
  readonly #sides = new Map<number, number>();
  /** By time; those of one time in the order in which they were sent. */
  readonly #datagrams: Datagram[] = [];

  /** Nobody is up yet: who extends it starts its nodes. */
  constructor({ nodes, seed, paths = 1, clock, delay_ms = [0.1, 1.6] }: NetworkOptions) {
    this.#random = new Random(seed);
    this.#paths = paths;
    this.#delay_ms = delay_ms;
    this.nodes = Array.from({ length: nodes }, (_, index) => {
      const { offset_ms, rate } = clock ?? { offset_ms: this.random() * 1e6, rate: 1 + (this.random() - 0.5) * 0.002 };
      return { nodeId: index + 1, offset_ms, rate, life: 0, process: undefined, pausedUntil_ms: 0 };
    });
  }

  /** What a node runs from its start on. */
  protected abstract newProcess(node: VirtualNode<P>): P;

  /** After every call of an engine, when what it sends is on its way. */
  protected afterCall(_node: VirtualNode<P>, _effects: readonly Effect[]): void {}

  /** Besides those that `lossRate` takes. */
  protected loses(_from: number, _send: Send): boolean {
    return false;
  }

  get nodeIds(): number[] {
    return this.nodes.map(({ nodeId }) => nodeId);
  }

  membersSeenBy(nodeId: number): number {
    return this.processOf(nodeId).engine.status().members.length;
  }

  start(nodeId: number): void {
    const node = this.node(nodeId);
    if (node.process !== undefined) return;
    node.life += 1;
    node.process = this.newProcess(node);
    this.#apply(node, node.process.engine.start(this.own_ms(node)));
  }

  crash(nodeId: number): void {
    const node = this.node(nodeId);
    node.process = undefined;
    node.pausedUntil_ms = 0;
  }

  leave(nodeId: number): void {
    this.call(nodeId, ({ engine }, now_ms) => engine.leave(now_ms));
  }

  /** What comes for it meanwhile lies in its socket. */
  pause(nodeId: number, duration_ms: number): void {
    this.node(nodeId).pausedUntil_ms = this.now_ms + duration_ms;
  }

  /** Nodes on different sides do not hear each other. */
  cut(sideOf: (nodeId: number) => number): void {
    for (const nodeId of this.nodeIds) this.#sides.set(nodeId, sideOf(nodeId));
  }

  /** All faults end, and all nodes are up. */
  heal(): void {
    this.#sides.clear();
    this.lossRate = 0;
    for (const node of this.nodes) {
      node.pausedUntil_ms = Math.min(node.pausedUntil_ms, this.now_ms);
      this.start(node.nodeId);
    }
  }

  run(duration_ms: number, isDone: () => boolean = () => false): void {
    const end_ms = this.now_ms + duration_ms;
    while (!isDone()) {
      const datagram = this.#datagrams[0];
      const due = this.#nextTick();
      const next_ms = Math.min(datagram?.at_ms ?? Number.POSITIVE_INFINITY, due?.at_ms ?? Number.POSITIVE_INFINITY);
      if (next_ms > end_ms) {
        this.now_ms = end_ms;
        return;
      }
      this.now_ms = Math.max(this.now_ms, next_ms);
      if (due !== undefined && due.at_ms === next_ms) this.#tick(due.node);
      else this.#deliver();
    }
  }

  /** Does nothing with a node that is down or stopped. */
  protected call(nodeId: number, act: (process: P, now_ms: number) => readonly Effect[]): void {
    const node = this.node(nodeId);
    if (node.process === undefined || node.pausedUntil_ms > this.now_ms) return;
    this.#apply(node, act(node.process, this.own_ms(node)));
  }

  protected node(nodeId: number): VirtualNode<P> {
    const node = this.nodes[nodeId - 1];
    if (node === undefined) throw new Error(`there is no node ${nodeId}`);
    return node;
  }

  protected processOf(nodeId: number): P {
    const { process } = this.node(nodeId);
    if (process === undefined) throw new Error(`node ${nodeId} is down`);
    return process;
  }

  protected peersOf(nodeId: number): { readonly nodeId: number; readonly paths: number }[] {
    return this.nodeIds.filter((peer) => peer !== nodeId).map((peer) => ({ nodeId: peer, paths: this.#paths }));
  }

  /** What the node's own clock shows. */
  protected own_ms(node: Clock): number {
    return this.now_ms * node.rate + node.offset_ms;
  }

  protected random(): number {
    return this.#random.next();
  }

  #apply(node: VirtualNode<P>, effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.type !== "send" || this.random() < this.lossRate || this.loses(node.nodeId, effect)) continue;
      const at_ms = this.now_ms + this.#random.between(...this.#delay_ms);
      // Each receiver has bytes of its own.
      const bytes = Uint8Array.from(effect.bytes);
      this.#post({ at_ms, from: node.nodeId, to: effect.to, path: effect.path, bytes });
    }
    this.afterCall(node, effects);
  }

  #post(datagram: Datagram): void {
    let index = this.#datagrams.length;
    while ((this.#datagrams[index - 1]?.at_ms ?? 0) > datagram.at_ms) index -= 1;
    this.#datagrams.splice(index, 0, datagram);
  }

  #deliver(): void {
    const datagram = this.#datagrams.shift();
    if (datagram === undefined) return;
    const { from, to, path, bytes } = datagram;
    const node = this.node(to);
    if (node.process === undefined || this.#sides.get(from) !== this.#sides.get(to)) return;
    if (node.pausedUntil_ms > this.now_ms) this.#post({ ...datagram, at_ms: node.pausedUntil_ms + 0.01 });
    else this.#apply(node, node.process.engine.receive(this.own_ms(node), from, path, bytes));
  }

  #nextTick(): { readonly node: VirtualNode<P>; readonly at_ms: number } | undefined {
    let first: { readonly node: VirtualNode<P>; readonly at_ms: number } | undefined;
    for (const node of this.nodes) {
      if (node.process === undefined) continue;
      const due_ms = (node.process.engine.deadline_ms - node.offset_ms) / node.rate;
      // A little late, so that rounding cannot make it early.
      const at_ms = Math.max(due_ms + 1e-6, node.pausedUntil_ms, this.now_ms);
      if (Number.isFinite(at_ms) && (first === undefined || at_ms < first.at_ms)) first = { node, at_ms };
    }
    return first;
  }

  #tick(node: VirtualNode<P>): void {
    if (node.process !== undefined) this.#apply(node, node.process.engine.tick(this.own_ms(node)));
  }
}
