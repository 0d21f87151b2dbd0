// A whole simulated cluster on virtual time: nodes, network and checker, and what tests do to them. The same options
// (seed included) give the same trace hash.
import { deriveTimers, type Timers } from "../../lib/raincore/timers.js";
import type { VipConfig } from "../../lib/vip/vipTable.js";
import { Checker } from "./checker.js";
import { Network } from "./network.js";
import { SimNode } from "./node.js";
import { Random } from "./random.js";
import { Schedule } from "./schedule.js";
import { TraceHash } from "./trace.js";

export interface WorldOptions {
  readonly seed: number;
  readonly nodes: number;
  readonly vips?: readonly VipConfig[];
  readonly failoverTarget_ms?: number;
  readonly startupWait_ms?: number;
  readonly timerLateness_ms?: number;
  /** Changes single timers, to see what a wrong one does. */
  readonly timers?: Partial<Timers>;
}

const CLOCK_DRIFT = 200e-6;

/** Two free VIPs on each segment. */
export const FREE_VIPS: readonly VipConfig[] = ["192.0.2.101", "192.0.2.102", "10.77.0.101", "10.77.0.102"].map(
  (address) => ({
    address,
    segment: address.startsWith("10.") ? "internal" : "external",
    preferredHost: 0,
    persistence: 0,
  }),
);

export class World {
  readonly timers: Timers;
  readonly startupWait_ms: number;
  readonly network: Network;
  readonly nodes: readonly SimNode[];
  readonly checker: Checker;
  readonly random: Random;
  readonly addresses: readonly string[];
  readonly #schedule = new Schedule();
  readonly #trace = new TraceHash();

  constructor(options: WorldOptions) {
    this.timers = { ...deriveTimers(options.failoverTarget_ms ?? 250), ...options.timers };
    this.startupWait_ms = Math.max(options.startupWait_ms ?? 400, this.timers.lease_ms);
    this.random = new Random(options.seed);
    const vips = options.vips ?? FREE_VIPS;
    this.addresses = vips.map((vip) => vip.address);
    this.network = new Network(this.#schedule, this.random.fork(), (from, to, path, bytes) => {
      this.node(to).receive(from, path, bytes);
    });
    const ids = Array.from({ length: options.nodes }, (_, index) => index + 1);
    this.nodes = ids.map((nodeId) => this.#newNode(nodeId, ids, vips, options));
    // After a partition, two owners are excused for a lease and one beacon.
    const grace_ms = this.timers.lease_ms + this.timers.beaconInterval_ms;
    this.checker = new Checker(this.nodes, this.network, this.addresses, grace_ms);
  }

  get now_ms(): number {
    return this.#schedule.now_ms;
  }

  get traceHash(): string {
    return this.#trace.digest();
  }

  node(nodeId: number): SimNode {
    const node = this.nodes[nodeId - 1];
    if (node === undefined) throw new Error(`no node ${nodeId}`);
    return node;
  }

  startAll(): void {
    for (const node of this.nodes) node.start();
  }

  at(at_ms: number, act: () => void): void {
    this.#schedule.at(at_ms, act);
  }

  after(delay_ms: number, act: () => void): void {
    this.#schedule.after(delay_ms, act);
  }

  run(duration_ms: number): void {
    this.runUntil(() => false, duration_ms);
  }

  /** How long it took; undefined if the condition did not come true within `limit_ms`. */
  runUntil(condition: () => boolean, limit_ms: number): number | undefined {
    const start_ms = this.now_ms;
    const end_ms = start_ms + limit_ms;
    while (this.#schedule.next_ms <= end_ms) {
      this.checker.timePasses(this.#schedule.next_ms);
      this.#schedule.take()?.();
      if (condition()) return this.now_ms - start_ms;
    }
    this.checker.timePasses(end_ms);
    this.#schedule.now_ms = end_ms;
    return condition() ? limit_ms : undefined;
  }

  /** Starts all nodes together and waits for one view in which every VIP has its owner. */
  startAndSettle(): void {
    this.startAll();
    if (this.runUntil(() => this.isSettled, 4 * this.startupWait_ms) === undefined) {
      throw new Error("the cluster does not come up");
    }
  }

  pause(nodeId: number, duration_ms: number): void {
    const node = this.node(nodeId);
    node.pause();
    this.after(duration_ms, () => node.resume());
  }

  /** The nodes that answer for a VIP now. */
  answering(address: string): number[] {
    return this.nodes.filter((node) => node.isAnswering(address)).map((node) => node.nodeId);
  }

  owner(address: string): number | undefined {
    const owners = this.answering(address);
    return owners.length === 1 ? owners[0] : undefined;
  }

  hostsInTable(nodeId: number): number[] {
    return this.node(nodeId)
      .vip.table()
      .map((record) => record.currentHost);
  }

  /** The node that has the token and may change it. */
  get holder(): SimNode | undefined {
    return this.nodes.find((node) => node.isUp && node.status.holding);
  }

  /** All running nodes are ready members of one view, and every VIP has exactly one owner that answers. */
  get isSettled(): boolean {
    const up = this.nodes.filter((node) => node.isUp && node.status.state !== "closed");
    const first = up[0]?.status;
    if (first === undefined) return false;
    const isOneView = up.every(
      ({ status }) =>
        status.state === "member" &&
        status.epoch === first.epoch &&
        status.origin === first.origin &&
        status.members.length === up.length &&
        status.members.every((member) => member.ready),
    );
    return isOneView && this.addresses.every((address) => this.answering(address).length === 1);
  }

  #newNode(nodeId: number, ids: readonly number[], vips: readonly VipConfig[], options: WorldOptions): SimNode {
    const random = this.random.fork();
    return new SimNode(
      {
        nodeId,
        peerIds: ids.filter((id) => id !== nodeId),
        timers: this.timers,
        startupWait_ms: this.startupWait_ms,
        vips,
        clockRate: 1 + random.between(-CLOCK_DRIFT, CLOCK_DRIFT),
        clockOffset_ms: random.between(0, 1e9),
        timerLateness_ms: options.timerLateness_ms ?? 1,
      },
      this.#schedule,
      random,
      {
        send: (from, to, path, bytes) => this.network.send(from, to, path, bytes),
        stepped: (node, what) => {
          this.#trace.add(`${this.now_ms} ${node.nodeId} ${what} ${node.status.epoch}/${node.status.seq}`);
          this.checker.stepped(node, this.now_ms);
        },
      },
    );
  }
}
