// A whole simulated cluster on virtual time: nodes, network and checkers, and what tests do to them. The same options
// (seed included) give the same trace hash.
import { deriveTimers, type Timers } from "../../lib/raincore/timers.js";
import type { Effect } from "../../lib/raincore/types.js";
import type { VipConfig } from "../../lib/vip/vipTable.js";
import type { Departure } from "./away.js";
import { Absentees } from "./checkers/absentees.js";
import { CarriageHistory } from "./checkers/carriages.js";
import { ChannelUse } from "./checkers/channel.js";
import { type Checker, Excuse, type Violation, type Watched } from "./checkers/checker.js";
import { Leases } from "./checkers/lease.js";
import { LockHolders } from "./checkers/locks.js";
import { MessageDelivery } from "./checkers/messages.js";
import { MulticastOrder } from "./checkers/multicast.js";
import { Ownership } from "./checkers/ownership.js";
import { QuorumOfMembers } from "./checkers/quorum.js";
import { TokenLife } from "./checkers/token.js";
import { VipVersions } from "./checkers/vipVersions.js";
import { type FlowPlan, Flows } from "./flows/flows.js";
import { type Datagram, Network } from "./network.js";
import { SimNode } from "./node.js";
import type { NodeHooks, NodeOptions, Step } from "./nodeOptions.js";
import type { NodePlan, Quorum } from "./plan.js";
import { Random } from "./random.js";
import { Schedule } from "./schedule.js";
import { TraceHash } from "./trace.js";
import { CarriageUsers } from "./users/carriageUsers.js";
import { LockUsers } from "./users/lockUsers.js";
import { MessageUsers } from "./users/messageUsers.js";
import { MulticastUsers } from "./users/multicastUsers.js";
import { Users } from "./users/users.js";
import { PATHS } from "./wire.js";

export interface WorldOptions {
  readonly seed: number;
  /** How many, with clocks drawn from the seed; or each as it is to be. */
  readonly nodes: number | readonly NodePlan[];
  readonly vips?: readonly VipConfig[];
  readonly failoverTarget_ms?: number;
  readonly startupWait_ms?: number;
  readonly timerLateness_ms?: number;
  readonly packetBytes_max?: number;
  readonly calmRounds?: number;
  readonly quorum?: Quorum;
  /** Datagrams go through the secure channel; default false. */
  readonly isSealed?: boolean;
  /** Planned absences are part of the run; default false. */
  readonly mayBeAway?: boolean;
  /** Processes die on machines that live, and say so: default drawn from the seed. */
  readonly machinesLive?: boolean;
  /** Connections go through the nodes; default: none do. */
  readonly flows?: FlowPlan | undefined;
  /** Changes single timers, to see what a wrong one does. */
  readonly timers?: Partial<Timers>;
}

export type Tracer = (node: number, line: string, now_ms: number) => void;

const CALM_ROUNDS = 32;
const CLOCK_DRIFT = 200e-6;
/** So many events in one run mean that it does not get anywhere in time. */
const EVENTS_MAX = 20_000_000;
const STEP_CODES: Record<Step, number> = {
  start: 1,
  crash: 2,
  leave: 3,
  receive: 4,
  tick: 5,
  wake: 6,
  send: 7,
  refused: 8,
  suspect: 9,
};

/** Two free VIPs on each segment. */
export const FREE_VIPS: readonly VipConfig[] = ["192.0.2.101", "192.0.2.102", "10.77.0.101", "10.77.0.102"].map(
  (address) => ({
    address,
    segment: address.startsWith("10.") ? "internal" : "external",
    preferredHost: 0,
    persistence: 0,
  }),
);

/** Virtual time stands still although events happen. */
export class Livelock extends Error {}

export class World {
  readonly timers: Timers;
  readonly startupWait_ms: number;
  readonly network: Network;
  readonly nodes: readonly SimNode[];
  readonly checker: Checkers;
  readonly random: Random;
  readonly addresses: readonly string[];
  readonly watched: Watched;
  readonly users: Users;
  readonly multicast: MulticastUsers;
  readonly flows: Flows | undefined;
  /** Datagrams go through the secure channel, which refuses what is damaged or comes again. */
  readonly isSealed: boolean;
  /** The faults are over. */
  isHealed = false;
  /** Told everything, for people. */
  tracer: Tracer | undefined;
  events = 0;
  readonly #schedule = new Schedule();
  readonly #trace = new TraceHash();
  readonly #machinesLive: boolean;
  readonly #byId: ReadonlyMap<number, SimNode>;

  constructor(options: WorldOptions) {
    this.timers = { ...deriveTimers(options.failoverTarget_ms ?? 250), ...options.timers };
    this.startupWait_ms = Math.max(options.startupWait_ms ?? 400, this.timers.startupWaitMin_ms);
    this.random = new Random(options.seed);
    this.isSealed = options.isSealed ?? false;
    this.#machinesLive = options.machinesLive ?? Random.for(options.seed, 4).chance(0.5);
    const vips = options.vips ?? FREE_VIPS;
    this.addresses = vips.map((vip) => vip.address);
    this.network = new Network(this.#schedule, Random.for(options.seed, 1), (datagram) => this.#deliver(datagram));
    const plans = typeof options.nodes === "number" ? this.#drawNodes(options.nodes, options) : options.nodes;
    const ids = plans.map((plan) => plan.nodeId);
    this.nodes = plans.map((plan) => this.#newNode(plan, ids, vips, options));
    this.#byId = new Map(this.nodes.map((node) => [node.nodeId, node]));
    // After a partition, two owners are excused for a lease and two beacons: where the channel has to prove a life first, that uses up one. They
    // are sent when the token is here.
    const grace_ms = this.timers.lease_ms + 2 * (this.timers.beaconInterval_ms + this.timers.rotation_ms);
    const excuse = new Excuse(this.network, this.nodes, options.quorum?.policy === "majority", grace_ms);
    this.watched = {
      nodes: this.nodes,
      network: this.network,
      excuse,
      now_ms: () => this.now_ms,
      report: (family, what, at_ms = this.now_ms) => this.checker.report({ at_ms, family, what }),
    };
    this.checker = new Checkers(this.watched, this.addresses, () => this.tracer);
    this.multicast = new MulticastUsers(this.checker.multicast);
    this.users = new Users(this, Random.for(options.seed, 2), [
      new CarriageUsers(this.checker.carriages),
      new MessageUsers(this, this.checker.messages),
      this.multicast,
      new LockUsers(this, this.checker.locks, Random.for(options.seed, 3)),
    ]);
    this.flows = options.flows && new Flows(this, options.flows, options.seed, this.#machinesLive);
  }

  get unit_ms(): number {
    return this.timers.unit_ms;
  }

  get now_ms(): number {
    return this.#schedule.now_ms;
  }

  get traceHash(): string {
    return this.#trace.digest();
  }

  node(nodeId: number): SimNode {
    const node = this.#byId.get(nodeId);
    if (node === undefined) throw new Error(`no node ${nodeId}`);
    return node;
  }

  /** Undefined: a shortened plan is without it. */
  findNode(nodeId: number): SimNode | undefined {
    return this.#byId.get(nodeId);
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
      this.events += 1;
      if (this.events > EVENTS_MAX) throw new Livelock(`${EVENTS_MAX} events, and it is still ${this.now_ms} ms`);
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
    return this.nodes.find((node) => node.isUp && node.place.holding);
  }

  /** All running nodes are ready members of one view, and every VIP has exactly one owner that answers. */
  get isSettled(): boolean {
    return this.isWhole(this.nodes.filter((node) => node.isUp && node.place.state !== "closed"));
  }

  /** Nobody is away, and none of these takes anybody for absent. */
  isEverybodyBack(core: readonly SimNode[]): boolean {
    return core.every((node) => !node.isHeld && node.knownAbsent.size === 0);
  }

  /** These are the ready members of one view, and between them every VIP has exactly one owner that answers; without a quorum, none. */
  isWhole(core: readonly SimNode[], isQuorate = true): boolean {
    if (!isOneView(core)) return false;
    if (!isQuorate) return core.every((node) => this.addresses.every((address) => !node.isAnswering(address)));
    return this.addresses.every((address) => core.filter((node) => node.isAnswering(address)).length === 1);
  }

  /** Becomes part of the trace's hash. */
  note(value: number): void {
    this.#trace.add(value);
  }

  say(line: string): void {
    this.tracer?.(0, line, this.now_ms);
  }

  #deliver(datagram: Datagram): void {
    this.findNode(datagram.to)?.receive(datagram);
  }

  #drawNodes(count: number, options: WorldOptions): NodePlan[] {
    return Array.from({ length: count }, (_, index) => ({
      nodeId: index + 1,
      startAt_ms: 0,
      clockRate: 1 + this.random.between(-CLOCK_DRIFT, CLOCK_DRIFT),
      clockOffset_ms: this.random.between(0, 1e9),
      timerLateness_ms: options.timerLateness_ms ?? 1,
      nearWrap: false,
    }));
  }

  #newNode(plan: NodePlan, ids: readonly number[], vips: readonly VipConfig[], options: WorldOptions): SimNode {
    const nodeOptions: NodeOptions = {
      ...plan,
      peerIds: ids.filter((id) => id !== plan.nodeId),
      timers: this.timers,
      startupWait_ms: this.startupWait_ms,
      vips,
      quorum: options.quorum ?? { policy: "available" },
      packetBytes_max: options.packetBytes_max ?? 1400,
      calmRounds: options.calmRounds ?? CALM_ROUNDS,
      isSealed: this.isSealed,
      mayBeAway: options.mayBeAway ?? false,
    };
    const hooks: NodeHooks = {
      send: (datagram) => this.#send(datagram),
      modulesOf: (node) => [...(this.flows?.modulesOf(node) ?? []), ...this.users.modulesOf(node)],
      effect: (node, effect) => this.#effect(node, effect),
      opened: (node, datagram) => this.checker.channel.opened(node, datagram),
      began: (node) => this.checker.channel.began(node),
      wentAway: (node, departure) => this.#wentAway(node, departure),
      stepped: (node, step) => this.#stepped(node, step),
      tracer: () => this.tracer,
    };
    return new SimNode(nodeOptions, this.#schedule, Random.for(options.seed, 1000 + plan.nodeId), hooks);
  }

  #send(datagram: Datagram): void {
    this.#trace.add(datagram.to * 16 + datagram.path);
    this.#trace.addBytes(datagram.bytes);
    this.network.send(datagram);
  }

  #effect(node: SimNode, effect: Effect): void {
    if (effect.type === "log" && effect.code === "ring_module_failed") {
      throw new Error(`a module failed at node ${node.nodeId}: ${JSON.stringify(effect.fields)}`);
    }
    if (this.flows?.effect(node, effect) === true) return;
    this.checker.effect(node, effect);
    this.users.effect(node, effect);
    if (effect.type === "probe") this.#probe(node, effect.to, effect.path);
  }

  /** The machine of a process that died says that nobody has its port; in other seeds machines die. */
  #probe(node: SimNode, to: number, path: number): void {
    if (!this.#machinesLive || this.findNode(to)?.isUp !== false) return;
    this.network.ask(node.nodeId, to, path, () => {
      if (this.findNode(to)?.isUp === false) this.network.ask(to, node.nodeId, path, () => node.refused(to, path));
    });
  }

  /** Whoever is let go when the faults are over is started again at once. */
  #wentAway(node: SimNode, { back_ms }: Departure): void {
    this.users.countAbsence();
    this.checker.absentees.granted(node);
    const { isHealed } = this;
    const { life } = node;
    const comeBack = () => {
      // Healing starts all that are to run.
      if (node.life !== life || this.isHealed !== isHealed) return;
      if (!node.isUp) node.start();
      else this.after(this.unit_ms, comeBack);
    };
    if (isHealed) comeBack();
    else if (back_ms !== undefined) this.after(back_ms, comeBack);
  }

  #stepped(node: SimNode, step: Step): void {
    this.#trace.add(this.now_ms);
    this.#trace.add(node.nodeId * 16 + STEP_CODES[step]);
    this.checker.stepped(node, step);
    this.flows?.stepped(node, step);
    if (step === "crash") this.#cutLifelines(node);
  }

  /** The machine of a process that died closes its connections. */
  #cutLifelines({ nodeId }: SimNode): void {
    if (!this.#machinesLive) return;
    for (const other of this.nodes) {
      if (other.nodeId === nodeId) continue;
      for (let path = 0; path < PATHS; path++) {
        this.network.ask(nodeId, other.nodeId, path, () => other.suspect(nodeId));
      }
    }
  }
}

/** All invariants of a world, and what was found. */
export class Checkers {
  readonly violations: Violation[] = [];
  readonly carriages: CarriageHistory;
  readonly channel: ChannelUse;
  readonly messages: MessageDelivery;
  readonly locks: LockHolders;
  readonly multicast: MulticastOrder;
  readonly vips: VipVersions;
  readonly absentees: Absentees;
  readonly #ownership: Ownership;
  readonly #all: Checker[];
  readonly #tracer: () => Tracer | undefined;

  constructor(watched: Watched, addresses: readonly string[], tracer: () => Tracer | undefined) {
    this.absentees = new Absentees(watched.nodes, watched.now_ms);
    this.#ownership = new Ownership(watched, addresses, this.absentees);
    this.carriages = new CarriageHistory(watched);
    this.channel = new ChannelUse(watched);
    this.messages = new MessageDelivery(watched);
    this.locks = new LockHolders(watched);
    this.multicast = new MulticastOrder(watched);
    this.vips = new VipVersions(watched);
    this.#all = [
      this.absentees,
      this.#ownership,
      new TokenLife(watched),
      new Leases(watched),
      new QuorumOfMembers(watched),
      this.vips,
      this.multicast,
      this.locks,
    ];
    this.#tracer = tracer;
  }

  report(violation: Violation): void {
    this.violations.push(violation);
    this.#tracer()?.(0, `VIOLATION ${violation.family}: ${violation.what}`, violation.at_ms);
  }

  timePasses(until_ms: number): void {
    for (const checker of this.#all) checker.timePasses?.(until_ms);
  }

  stepped(node: SimNode, step: Step): void {
    for (const checker of this.#all) checker.stepped?.(node, step);
  }

  effect(node: SimNode, effect: Effect): void {
    for (const checker of this.#all) checker.effect?.(node, effect);
  }

  /** Begins to measure silence anew. */
  resetSilence(): void {
    this.#ownership.resetSilence();
  }

  longestSilence_ms(address: string): number {
    return this.#ownership.longestSilence_ms(address);
  }
}

function isOneView(nodes: readonly SimNode[]): boolean {
  const first = nodes[0]?.place;
  if (first === undefined) return false;
  const isTogether = ({ isUp, isPaused, place }: SimNode) =>
    isUp && !isPaused && place.state === "member" && place.epoch === first.epoch && place.origin === first.origin;
  if (!nodes.every(isTogether)) return false;
  return nodes.every(
    ({ status }) => status.members.length === nodes.length && status.members.every((member) => member.ready),
  );
}
