// What a simulated node does with flows: its data plane by the rules 22 to 32 of docs/packet-path.md, the firewall behind it, and the control plane that the two have in the ring's
// thread, wired as lib/gateway/gatewayPlugin.ts and dataPlane.ts wire it. Owned by flows.ts.
import type { TokenModule, View } from "../../../lib/raincore/types.js";
import { type Departure, Departures } from "../../../lib/steering/departures.js";
import { FlowTalk } from "../../../lib/steering/flowTalk.js";
import { MAGLEV_SLOTS } from "../../../lib/steering/maglev.js";
import { SharedSecret } from "../../../lib/steering/sharedSecret.js";
import { Tenures } from "../../../lib/steering/tenures.js";
import {
  type Came,
  type FlowVerdict,
  type OracleAssignment,
  OracleFlows,
  type RelayKind,
} from "../../vectors/oracleFlows.js";
import type { SimNode } from "../node.js";
import { ExchangeModel } from "./exchange.js";
import { Firewall } from "./firewall.js";
import {
  describePacket,
  type Ends,
  flowName,
  flowPacketOf,
  isTranslated,
  originalName,
  type Packet,
  replyName,
} from "./packet.js";
import { Replicas } from "./replicas.js";

/** As lib/gateway/dataPlane.ts has it. */
const SETTLING_MS = 1_000;
/** As native/port/frame_park.h has them. */
const PARKED_MAX = 256;
const PARKED_MS = 10;
/** Ports look whether what waits can go on. */
const PARK_POLL_MS = 1;
/** Of a sixtieth of the usual length: runs are short. */
const PERIOD_NS = 1n << 24n;
/** By then who has seen a connection's end does not take packets for its own; */
export const ENDED_MS = 100;
/** and nobody goes by what he remembers of a connection that is over. */
export const FORGOTTEN_MS = 600;

export interface FlowPolicy {
  readonly assignment: "receiver" | "balanced";
  readonly keepConnections: boolean;
}

export interface PlaneHost {
  readonly policy: FlowPolicy;
  readonly after: (delay_ms: number, act: () => void) => void;
  readonly random: (bytes: number) => Uint8Array;
  readonly slotsOf: (ready: readonly number[]) => Uint16Array;
  readonly hashOf: (name: string, key: Uint8Array) => number;
  readonly endsOf: (id: number) => Ends;
  /** To another node. */
  readonly relay: (to: number, packet: Packet, as: RelayKind, relays: number) => void;
  /** The firewall got it, and let it through as `out`. */
  readonly handled: (packet: Packet, out: Packet | undefined) => void;
  readonly count: (what: string, n?: number) => void;
  readonly trace: (line: () => string) => void;
}

interface PlaneView {
  readonly epoch: number;
  readonly members: readonly number[];
  readonly ready: readonly number[];
  readonly since: ReadonlyMap<number, number>;
}

interface Parked {
  readonly packet: Packet;
  readonly came: Came;
  readonly relays: number;
  readonly until_ms: number;
}

export class FlowPlane {
  readonly firewall = new Firewall();
  readonly #node: SimNode;
  readonly #host: PlaneHost;
  #process: Process;

  constructor(node: SimNode, host: PlaneHost) {
    this.#node = node;
    this.#host = host;
    this.#process = new Process(node, host, this.firewall);
  }

  /** A new process, with nothing left of an earlier one but the firewall; the module is of its ring. */
  begin(): TokenModule {
    this.#process = new Process(this.#node, this.#host, this.firewall);
    return this.#process.secret;
  }

  get process(): Process {
    return this.#process;
  }
}

/** One life of a node's process. What it tells the data plane ends with it. */
class Process {
  readonly secret: SharedSecret;
  readonly exchange: ExchangeModel;
  readonly replicas: Replicas | undefined;
  readonly #node: SimNode;
  readonly #life: number;
  readonly #host: PlaneHost;
  readonly #firewall: Firewall;
  readonly #store = new OracleFlows(PERIOD_NS);
  readonly #talk: FlowTalk;
  readonly #tenures: Tenures;
  readonly #departures: Departures;
  #departed: readonly Departure[] = [];
  #hashKey: Uint8Array | undefined;
  #view: PlaneView | undefined;
  #viewKey = "";
  #slots: Uint16Array | undefined;
  #readyKey = "";
  #settled_ms = 0;
  #parked: Parked[] = [];

  constructor(node: SimNode, host: PlaneHost, firewall: Firewall) {
    this.#node = node;
    this.#life = node.life;
    this.#host = host;
    this.#firewall = firewall;
    const self = node.nodeId;
    this.secret = new SharedSecret({ random: host.random, onChange: (key) => this.#onHashKey(key) });
    this.#tenures = new Tenures(self, undefined);
    this.#departures = new Departures(node.options.timers.lease_ms);
    this.exchange = new ExchangeModel({
      self,
      store: this.#store,
      firewall,
      now_ns: () => this.#now_ns,
      assignment: () => this.#assignment(),
      authorityOf: (name) => this.#authorityOf(name),
      waiting: () => this.#later(0, () => this.#talk.wake()),
      takeOverLast: (name) => this.replicas?.takeOverLast(name) === true,
      count: host.count,
      trace: host.trace,
    });
    const send = (to: number, bytes: Uint8Array): void => this.#later(0, () => node.send(to, bytes));
    const after = (delay_ms: number, act: () => void): void => this.#later(delay_ms, act);
    this.#talk = new FlowTalk({ exchange: this.exchange, send, after });
    if (host.policy.keepConnections) this.replicas = this.#newReplicas(send, after);
    firewall.onNews = (tracked) => this.replicas?.changed(tracked);
    // An answer of TCP's says that it is none of a new connection, and is asked for; a datagram does not.
    firewall.onNew = ({ ends }) => {
      if (ends.protocol === "udp" && isTranslated(ends))
        this.#later(0, () => this.#own(ends, [replyName(ends)], false));
    };
  }

  onView(view: View): void {
    const members = view.members.map(({ nodeId }) => nodeId).sort((a, b) => a - b);
    const readyMembers = view.members.filter(({ ready }) => ready).map(({ nodeId }) => nodeId);
    const ready = readyMembers.sort((a, b) => a - b);
    this.#tenures.become(view.quorate ? view.members : [], [], view.epoch);
    const since = new Map(members.map((node) => [node, this.#tenures.since(node)]));
    const key = `${view.quorate}/${members.join()}/${ready.join()}/${view.epoch}/${[...since.values()].join()}`;
    if (key === this.#viewKey) return;
    this.#viewKey = key;
    this.#setView({ epoch: view.epoch, members, ready: view.quorate ? ready : [], since });
    const others = members.filter((node) => node !== view.self);
    this.#talk.become(view.quorate ? others : undefined, true);
    this.replicas?.viewChanged();
  }

  onLost(): void {
    this.#viewKey = "";
    this.#tenures.become([], [], 0);
    this.#setView(undefined);
    this.#talk.become(undefined, false);
  }

  /** False: it is not about flows. */
  onMessage(from: number, bytes: Uint8Array): boolean {
    return this.#talk.receive(from, bytes) || this.replicas?.receive(from, bytes) === true;
  }

  /** A packet on the wire, from the segment or from a node of the layer. */
  steer(packet: Packet, came: Came, relays: number, isAgain = false): void {
    const flow = flowPacketOf(packet);
    const assignment = this.#assignment();
    const authority = this.#authorityOf(flow.name);
    const cause = this.#standstill(came);
    if (assignment === undefined || authority === undefined || cause !== undefined) {
      this.#drop(packet, cause ?? "no_view");
      return;
    }
    const tables = { self: this.#node.nodeId, authority, assignment };
    const verdict = this.#store.assign(flow, came, tables, this.#now_ns);
    this.#host.trace(() => `${describePacket(packet)} from ${came.from} as ${came.as}: ${describeVerdict(verdict)}`);
    if ("told" in verdict && verdict.told !== undefined && verdict.told !== 0)
      this.#tell(verdict.told, flow.name, assignment);
    switch (verdict.kind) {
      case "pass":
        this.#host.handled(packet, this.#firewall.process(packet));
        break;
      case "relay":
        this.#host.relay(verdict.node, packet, verdict.as, relays + 1);
        break;
      case "punt":
        this.#park({ packet, came, relays, until_ms: this.#node.nowOwn_ms + PARKED_MS }, isAgain);
        break;
      case "drop":
        this.#drop(packet, verdict.cause);
        break;
      default:
        verdict satisfies never;
    }
  }

  get #now_ns(): bigint {
    return BigInt(Math.round(this.#node.nowOwn_ms * 1e6));
  }

  #standstill({ from }: Came): string | undefined {
    if (this.#view === undefined || this.#hashKey === undefined) return "no_view";
    if (this.#node.nowOwn_ms >= this.#node.leaseUntilOwn_ms) return "lease_void";
    if (from === 0 || this.#view.members.includes(from)) return undefined;
    const departure = this.#departed.find(({ node }) => node === from);
    return departure !== undefined && this.#node.nowOwn_ms < departure.until_ms ? undefined : "stale_peer";
  }

  #park(parked: Parked, isAgain: boolean): void {
    const { packet } = parked;
    this.#host.count("packets_parked");
    const name = flowName(packet.ends.protocol, packet.from, packet.to);
    if (isAgain || !this.exchange.ask(name) || this.#parked.length >= PARKED_MAX) {
      this.#drop(packet, "flow_unknown");
      return;
    }
    this.#parked.push(parked);
    if (this.#parked.length === 1) this.#host.after(PARK_POLL_MS, () => this.#pollParked());
  }

  /** By the port, which the process's stops do not touch. */
  #pollParked(): void {
    if (!this.#lives) return;
    const now_ms = this.#node.nowOwn_ms;
    const all = this.#parked;
    this.#parked = [];
    const waiting: Parked[] = [];
    for (const parked of all) {
      const { packet, came, relays } = parked;
      const name = flowName(packet.ends.protocol, packet.from, packet.to);
      if (this.exchange.isSettled(name)) this.steer(packet, came, relays, true);
      else if (now_ms >= parked.until_ms) this.#drop(packet, "flow_unknown");
      else waiting.push(parked);
    }
    this.#parked = waiting;
    if (waiting.length > 0) this.#host.after(PARK_POLL_MS, () => this.#pollParked());
  }

  #drop(packet: Packet, cause: string): void {
    this.#host.trace(() => `${describePacket(packet)} dropped: ${cause}`);
    this.#host.count("packets_dropped");
  }

  /** What was decided of the flow just now. */
  #tell(node: number, name: string, { epoch }: OracleAssignment): void {
    const found = this.#store.find(name, this.#now_ns);
    if (found === undefined) return;
    const { seen_ns: _, ...known } = found;
    this.exchange.tell(node, { name, known: { ...known, epoch } });
  }

  #setView(view: PlaneView | undefined): void {
    this.#view = view;
    const now_ms = this.#node.nowOwn_ms;
    const { members, ready } = view ?? { members: [], ready: [] };
    this.#departed = this.#departures.become(members, now_ms);
    const readyKey = ready.join();
    if (readyKey !== this.#readyKey) {
      this.#slots = ready.length === 0 ? undefined : this.#host.slotsOf(ready);
      this.#settled_ms = now_ms + SETTLING_MS;
    }
    this.#readyKey = readyKey;
  }

  #onHashKey(key: Uint8Array | undefined): void {
    this.#hashKey = key;
    if (key !== undefined) this.replicas?.viewChanged();
  }

  #assignment(): OracleAssignment | undefined {
    const { policy } = this.#host;
    if (this.#view === undefined || this.#slots === undefined || this.#hashKey === undefined) return undefined;
    const { epoch, since, ready } = this.#view;
    return {
      policy: policy.assignment,
      epoch,
      since,
      ready: new Set(ready),
      choiceOf: ({ name }) => this.#nodeOf(`share of ${name}`, this.#slots) ?? 0,
      settled_ns: BigInt(Math.ceil(this.#settled_ms * 1e6)),
    };
  }

  #nodeOf(name: string, slots: Uint16Array | undefined): number | undefined {
    if (this.#hashKey === undefined) return undefined;
    return slots?.[this.#host.hashOf(name, this.#hashKey) % MAGLEV_SLOTS];
  }

  #authorityOf(name: string): number | undefined {
    return this.#nodeOf(name, this.#slots);
  }

  #newReplicas(
    send: (to: number, bytes: Uint8Array) => void,
    after: (delay_ms: number, act: () => void) => void,
  ): Replicas {
    const { nodeId: self } = this.#node;
    return new Replicas({
      self,
      firewall: this.#firewall,
      after,
      send,
      endsOf: (id) => this.#host.endsOf(id),
      authorityOf: (name) => this.#authorityOf(name),
      followerOf: (name) => this.followerOf(name),
      handlerOf: (ends) => this.exchange.handlerOf(originalName(ends)) ?? this.exchange.handlerOf(replyName(ends)),
      isAnothers: (ends) => this.exchange.isAnothers(originalName(ends)) || this.exchange.isAnothers(replyName(ends)),
      epoch: () => this.#view?.epoch ?? 0,
      sinceOf: (node) => this.#view?.since.get(node),
      takeOver: (ends) => this.#takeOver(ends),
    });
  }

  /** Tables have limits. */
  driveOut(name: string): void {
    this.#store.forget(name);
  }

  /** The authority without this node. It is the one with it but for a slot in a thousand, which moves without need. */
  followerOf(name: string): number | undefined {
    const others = (this.#view?.ready ?? []).filter((node) => node !== this.#node.nodeId);
    return others.length === 0 ? undefined : this.#nodeOf(name, this.#host.slotsOf(others));
  }

  #takeOver(ends: Ends): void {
    this.#host.trace(() => `takes over connection ${ends.id}`);
    this.#firewall.inject(ends);
    this.#own(ends, [originalName(ends), replyName(ends)], true);
  }

  /** This node handles these flows of the connection; who would have to ask for the answers' is told. */
  #own(ends: Ends, names: readonly string[], isAnswered: boolean): void {
    const assignment = this.#assignment();
    if (assignment === undefined) return;
    const { nodeId: node } = this.#node;
    const life = ends.protocol === "tcp" ? "stream" : "datagram";
    for (const name of names) {
      const isAlias = isTranslated(ends) && name === replyName(ends);
      const known = { node, epoch: assignment.epoch, isFromLow: false, isAnswered, life, count: 0, isAlias } as const;
      this.#store.put(name, { ...known, seen_ns: this.#now_ns });
      const authority = this.#authorityOf(name);
      if (isAlias && authority !== undefined && authority !== node) this.exchange.tell(authority, { name, known });
    }
  }

  get #lives(): boolean {
    return this.#node.isUp && this.#node.life === this.#life;
  }

  /** In the ring's thread, if that is this life's still. */
  #later(delay_ms: number, act: () => void): void {
    this.#host.after(delay_ms, () => {
      if (this.#lives) this.#node.whenAwake(act);
    });
  }
}

function describeVerdict(verdict: FlowVerdict): string {
  const told = "told" in verdict && verdict.told ? `, tells ${verdict.told}` : "";
  if (verdict.kind === "relay") return `relay to ${verdict.node} as ${verdict.as}${told}`;
  return `${verdict.kind}${"cause" in verdict && verdict.cause ? ` ${verdict.cause}` : ""}${told}`;
}
