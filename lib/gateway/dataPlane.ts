// The native data plane of this node: one front port per segment, told about views, VIPs and the lease. Used by gatewayPlugin.ts.

import { readFileSync } from "node:fs";
import { type Config, SEGMENT_NAMES, type SegmentName } from "../config/config.js";
import { DEFAULTS } from "../config/options.js";
import type {
  FlowAssignment,
  FlowExchange,
  FlowExchangeFigures,
  FrontPort,
  FrontPortTables,
  FrontPortVip,
  NativeAddon,
  PortBackend,
  PortRanges,
} from "../native.js";
import { Choices } from "../steering/choices.js";
import { type Departure, Departures } from "../steering/departures.js";
import { frontMac } from "../steering/frontMac.js";
import { buildMaglev } from "../steering/maglev.js";
import { portRangesFor } from "../steering/portRanges.js";
import { countsLoads, flowServices, needsChoices, stuckEnd, type Ways } from "../steering/services.js";
import { FLOW_HASH_KEY_BYTES } from "../steering/sharedSecret.js";
import { outerInterface } from "./names.js";

interface Port {
  readonly segment: SegmentName;
  readonly port: FrontPort;
  readonly counters: BigUint64Array;
}

type Answers = ReadonlyMap<string, { readonly from_ms: number }>;

const NO_VIEW: Uint16Array = new Uint16Array(0);
/** After so many tables the code that builds them is compiled: the first ones take four times as long, and the token waits for them. */
const TABLES_BEFORE = 6;
const NO_KEY = Buffer.alloc(FLOW_HASH_KEY_BYTES);
/** Of flows that are assigned: what a node remembers of them, and what it may have to say to others at a time. */
const FLOW_LIMITS = {
  established_max: 1_048_576,
  opening_max: 131_072,
  questions_max: 1024,
  questions_per_s: 4000,
  told_max: 65_536,
  told_per_s: 8000,
};
/** After a view an authority may not know yet what it is asked for: so long the others are asked for every flow that may not be new. */
const SETTLING_MS = 1_000;

/** What a view says. */
export interface PlaneView {
  readonly epoch: number;
  /** They may relay to this node. */
  readonly members: readonly number[];
  /** They share the flows. */
  readonly ready: readonly number[];
  /** Parts of port ranges are theirs: also of who drains, whose firewall has the connections still. */
  readonly portOwners: readonly number[];
  /** Since which view a member is one. */
  readonly since: (nodeId: number) => number;
}

const NO_PLANE_VIEW: PlaneView = { epoch: 0, members: [], ready: [], portOwners: [], since: () => 0 };

export class DataPlane {
  readonly #config: Config;
  readonly #backend: PortBackend;
  readonly #native: NativeAddon;
  readonly #ports: Port[] = [];
  #hashKey: Buffer | undefined;
  readonly #departures: Departures;
  /** Drivers take their time. */
  readonly #attaching = new Set<SegmentName>();
  #view = NO_PLANE_VIEW;
  #settled_ms = 0;
  readonly #flows: FlowExchange | undefined;
  #departed: readonly Departure[] = [];
  #slots = NO_VIEW;
  readonly #choices: Choices;
  /** Of new flows, all or some services'. */
  readonly #ways: Ways;
  /** Whose turn it is in `#slots`. */
  #readyKey = "";
  #answers: Answers = new Map();
  #lease_ms = 0;
  /** What this process knows is kept from the ports. */
  #isHeld = false;

  /**
   * Opens the ports; the interfaces must be installed. XDP programs that an earlier process left with a lease that runs go on by what they know, until
   * `takeOver`. Throws what FrontPort throws, with nothing left open.
   */
  constructor(config: Config, backend: PortBackend, native: NativeAddon, onFlowsWaiting: () => void) {
    this.#config = config;
    this.#backend = backend;
    this.#native = native;
    this.#departures = new Departures(config.timers.lease_ms);
    this.#ways = [config, ...config.services];
    const weights = new Map(config.nodes.map(({ id, weight }) => [id, weight]));
    this.#choices = new Choices({
      weightOf: (node) => weights.get(node) ?? DEFAULTS.weight,
      isByLoad: countsLoads(this.#ways),
    });
    for (let table = 0; table < TABLES_BEFORE; table++) buildMaglev(config.nodes.map(({ id }) => id));
    try {
      this.#flows = config.assignment === "authority" ? undefined : this.#openFlows(onFlowsWaiting);
      for (const segment of SEGMENT_NAMES) this.#ports.push(this.#open(segment));
      this.#isHeld = this.#ports.every(({ port }) => port.leaseUntil() > native.monotonicNow_ns());
      if (!this.#isHeld) this.setLease(0);
      this.setAnswers(new Map());
    } catch (error) {
      // What serves for an earlier process is not ours to end.
      if (this.#ports.some(({ port }) => port.leaseUntil() > native.monotonicNow_ns())) this.leave();
      else this.close();
      throw error;
    }
  }

  #openFlows(onWaiting: () => void): FlowExchange {
    const nics = SEGMENT_NAMES.map((segment) => this.#config.segments[segment].interface);
    return new this.#native.FlowExchange({ backend: this.#backend, nics, ...FLOW_LIMITS }, onWaiting);
  }

  #open(segment: SegmentName): Port {
    const counters = new BigUint64Array(
      new SharedArrayBuffer(this.#native.counters.length * BigUint64Array.BYTES_PER_ELEMENT),
    );
    const port = new this.#native.FrontPort({
      backend: this.#backend,
      nic: this.#config.segments[segment].interface,
      outer: outerInterface(segment),
      frontMac: frontMac(this.#config.cluster, segment, this.#config.node.id),
      counters,
      ...(this.#flows && { flows: this.#flows }),
    });
    return { segment, port, counters };
  }

  /** Who was a member until now (`now_ms`, the clock of leases) may relay to this node as long as a lease lasts. Undefined: this node is in no view. */
  setView(view: PlaneView | undefined, now_ms: number): void {
    this.#view = view ?? NO_PLANE_VIEW;
    const { members, ready } = this.#view;
    this.#departed = this.#departures.become(members, now_ms);
    // A node that is not ready yet changes nothing here, and the token waits for this.
    const readyKey = ready.join();
    if (readyKey !== this.#readyKey) {
      this.#slots = ready.length === 0 ? NO_VIEW : buildMaglev(ready);
      this.#choices.become(ready, this.#slots, now_ms);
      this.#settled_ms = now_ms + SETTLING_MS;
    }
    this.#readyKey = readyKey;
    this.#applyTables();
  }

  /** Absent where flows are not assigned. */
  get flows(): FlowExchange | undefined {
    return this.#flows;
  }

  flowFigures(): FlowExchangeFigures | undefined {
    return this.#flows?.figures();
  }

  /** Who handles the flows, by slot of the Maglev table; empty without a view. */
  get slots(): Uint16Array {
    return this.#slots;
  }

  /** Whose ports are whose now; undefined: there are none. */
  get portRanges(): PortRanges | undefined {
    const { portRanges, nodes } = this.#config;
    const nodeIds = nodes.map(({ id }) => id);
    return portRangesFor(portRanges, nodeIds, this.#view.portOwners);
  }

  /** How busy a node's CPUs are, 0 to 1. */
  hearLoad(node: number, busy: number, now_ms: number): void {
    if (this.#choices.hear(node, busy, now_ms)) this.#applyTables();
  }

  /** Without a key nothing is steered. */
  setHashKey(key: Uint8Array | undefined): void {
    this.#hashKey = key === undefined ? undefined : Buffer.from(key);
    this.#applyTables();
  }

  /** The ports go on by what an earlier process told them. */
  get isHeld(): boolean {
    return this.#isHeld;
  }

  /** As an earlier process said which the ports go on by; undefined: none did. */
  heldSince(node: number): number | undefined {
    if (!this.#isHeld) return undefined;
    return this.#ports[0]?.port.memberSince(node) || undefined;
  }

  /** From now on by what this process knows. False: see `setAnswers`. */
  takeOver(): boolean {
    this.#isHeld = false;
    this.#applyTables();
    const confirmed = this.setAnswers(this.#answers);
    return this.setLease(this.#lease_ms) && confirmed;
  }

  /** The ports go on as they are until then, whatever becomes of this process. Before `leave`. */
  holdUntil(until_ms: number): void {
    this.setLease(until_ms);
    this.#isHeld = true;
  }

  #applyTables(): void {
    if (this.#isHeld) return;
    const slots = this.#hashKey === undefined ? NO_VIEW : this.#slots;
    const hashKey = this.#hashKey ?? NO_KEY;
    const departed = this.#departed.map(({ node, until_ms }) => ({ node, until_ns: nanoseconds(until_ms) }));
    const { members } = this.#view;
    const { portRanges } = this;
    const tables: FrontPortTables = {
      self: this.#config.node.id,
      members,
      departed,
      slots,
      hashKey,
      ...(portRanges && { portRanges }),
    };
    for (const { port, segment } of this.#ports) port.setTables({ ...tables, ...this.#assignmentOn(segment) });
  }

  #assignmentOn(segment: SegmentName): { readonly assignment?: FlowAssignment } {
    const { assignment: policy, stickiness, services } = this.#config;
    const end = stuckEnd(stickiness, segment);
    const { epoch, members, ready, since } = this.#view;
    if (policy === "authority" || members.length === 0 || members.some((node) => since(node) === 0)) return {};
    const settled_ns = nanoseconds(this.#settled_ms);
    const assignment: FlowAssignment = {
      policy,
      epoch,
      since: members.map(since),
      ready,
      settled_ns,
      ...(needsChoices(this.#ways) && { choices: this.#choices.table }),
      ...(end !== undefined && { stickiness: end }),
      ...(services.length > 0 && { services: flowServices(services, segment) }),
    };
    return { assignment };
  }

  /**
   * The VIPs this node answers for, and from when. In force at once; true when the ports also confirmed that no answer by the old
   * list is still on its way out.
   */
  setAnswers(answers: Answers): boolean {
    this.#answers = answers;
    if (this.#isHeld) return true;
    let confirmed = true;
    for (const { port, segment } of this.#ports) {
      const vips = this.#config.vips.filter((vip) => vip.segment === segment);
      confirmed = port.setVips(vips.map((vip) => portVip(vip.address, answers.get(vip.address)))) && confirmed;
    }
    return confirmed;
  }

  /** True when the ports also confirmed that no answer by a lease that ran for longer is still on its way out. */
  setLease(until_ms: number): boolean {
    this.#lease_ms = until_ms;
    if (this.#isHeld) return true;
    const until_ns = BigInt(Math.max(0, Math.floor(until_ms * 1e6)));
    return this.#ports.map(({ port }) => port.setLease(until_ns)).every((isConfirmed) => isConfirmed);
  }

  /** False: it was not off, or is being put back already. Rejects with what FrontPort's does. */
  async attachAgain(segment: SegmentName): Promise<boolean> {
    if (this.#attaching.has(segment)) return false;
    this.#attaching.add(segment);
    try {
      return (await this.#ports.find((port) => port.segment === segment)?.port.attachAgain()) ?? false;
    } finally {
      this.#attaching.delete(segment);
    }
  }

  /** At once and for good, whatever an earlier process told the ports or this one has agreed on. */
  fallSilent(): void {
    this.#isHeld = false;
    this.setLease(0);
  }

  announceAgain(): void {
    for (const { port } of this.#ports) port.announceAgain();
  }

  /** How frames go; where it is not the same on all segments, the slowest way. */
  mode(): string {
    const modes = this.#ports.map(({ port }) => port.mode());
    return modes.find((mode) => mode === "xdp_generic") ?? modes[0] ?? this.#backend;
  }

  /** Counters by segment. */
  counters(): Record<string, Record<string, number>> {
    const result: Record<string, Record<string, number>> = {};
    for (const { segment, port, counters } of this.#ports) {
      port.collectCounters();
      const named: Record<string, number> = {};
      this.#native.counters.forEach(({ name }, index) => {
        named[name] = Number(counters[index] ?? 0n);
      });
      // The kernel's inner end may refuse frames (its queue is full): the veth counts those, on the outer end.
      named.drop_kernel_refused = interfaceCounter(outerInterface(segment), "tx_dropped");
      result[segment] = named;
    }
    return result;
  }

  /** The ports go on without this process. */
  leave(): void {
    for (const { port } of this.#ports) port.leave();
    this.#ports.length = 0;
    this.#flows?.close();
  }

  close(): void {
    for (const { port } of this.#ports) port.close();
    this.#ports.length = 0;
    this.#flows?.close();
  }
}

function portVip(address: string, answer: { readonly from_ms: number } | undefined): FrontPortVip {
  if (answer === undefined) return { address };
  return { address, from_ns: nanoseconds(answer.from_ms) };
}

/** Not earlier. */
function nanoseconds(time_ms: number): bigint {
  return BigInt(Math.max(0, Math.ceil(time_ms * 1e6)));
}

function interfaceCounter(name: string, counter: string): number {
  try {
    return Number(readFileSync(`/sys/class/net/${name}/statistics/${counter}`, "utf8"));
  } catch {
    return 0; // the interface is being removed
  }
}
