// Connections through the simulated gateways: what each node does with their packets, the wires between, and the hosts. In runs with flows only. Owned by world.ts.

import { CONNECTIONS_KIND, FLOWS_KIND } from "../../../lib/messageKinds.js";
import type { Effect, TokenModule, View } from "../../../lib/raincore/types.js";
import { buildMaglev } from "../../../lib/steering/maglev.js";
import { FlowPaths } from "../checkers/flows.js";
import type { SimNode } from "../node.js";
import type { Step } from "../nodeOptions.js";
import { Random } from "../random.js";
import type { World } from "../world.js";
import { Connection } from "./connection.js";
import { type End, type Ends, originalName, type Packet, type Protocol } from "./packet.js";
import { FlowPlane, type FlowPolicy, FORGOTTEN_MS } from "./plane.js";
import { Segments, segmentOf } from "./segments.js";

export interface FlowPlan extends FlowPolicy {
  /** Mean time between two connections. */
  readonly openEvery_ms: number;
}

const KINDS = ["in", "out", "source", "destination"] as const;
export type FlowKind = (typeof KINDS)[number];
export const FLOW_KINDS: readonly FlowKind[] = KINDS;
const PROTOCOLS: readonly Protocol[] = ["tcp", "tcp", "tcp", "udp"];
/** While there are faults; after them there are some more. */
const OPEN_MAX = 40;
/** Of messages about flows, the first byte; of others it is that of payload.ts. */
const MESSAGE_KINDS: ReadonlySet<number> = new Set([...Object.values(FLOWS_KIND), CONNECTIONS_KIND.copy]);
/** Between two things that are said, in units. */
const GAP_U: readonly [number, number] = [0.5, 200];

export class Flows {
  readonly paths: FlowPaths;
  readonly connections: Connection[] = [];
  readonly segments: Segments;
  readonly work: Record<string, number> = {
    flows_opened: 0,
    flows_established: 0,
    packets_handled: 0,
    packets_invalid: 0,
    packets_dropped: 0,
    packets_parked: 0,
  };
  readonly policy: FlowPolicy;
  readonly #plan: FlowPlan;
  readonly #world: World;
  readonly #random: Random;
  readonly #planes = new Map<number, FlowPlane>();
  /** When a node last began a life, or was not in somebody's view. */
  readonly #missed_ms = new Map<number, number>();
  /** What dies are processes; their machines have their firewalls still. */
  readonly machinesLive: boolean;
  /** Connections whose ends have opened others. */
  readonly #reopened = new Set<number>();
  #packets = 0;

  constructor(world: World, plan: FlowPlan, seed: number, machinesLive: boolean) {
    this.#world = world;
    this.#plan = plan;
    this.policy = plan;
    this.machinesLive = machinesLive;
    this.#random = Random.for(seed, 20);
    this.paths = new FlowPaths(world.watched);
    this.segments = new Segments(
      world,
      Random.for(seed, 21),
      this.paths,
      (node) => this.planeOf(node),
      (packet) => this.connections[packet.ends.id]?.arrived(packet),
    );
  }

  get figures(): Record<string, number> {
    return { ...this.work, ...this.paths.relays };
  }

  planeOf(node: SimNode): FlowPlane {
    let plane = this.#planes.get(node.nodeId);
    if (plane === undefined) {
      plane = this.#newPlane(node);
      this.#planes.set(node.nodeId, plane);
    }
    return plane;
  }

  modulesOf(node: SimNode): readonly TokenModule[] {
    this.#missed_ms.set(node.nodeId, this.#world.now_ms);
    return [this.planeOf(node).begin()];
  }

  /** True: it is nobody else's. */
  effect(node: SimNode, effect: Effect): boolean {
    const { process } = this.planeOf(node);
    switch (effect.type) {
      case "view":
        process.onView(effect.view);
        this.#noteMissing(node, effect.view);
        return false;
      case "state":
        if (effect.state === "member") return false;
        this.#missed_ms.set(node.nodeId, this.#world.now_ms);
        process.onLost();
        return false;
      case "message":
        if (!isAboutFlows(effect.bytes)) return false;
        process.onMessage(effect.from, effect.bytes);
        return true;
      case "settled":
        return isAboutFlows(effect.bytes);
      default:
        return false;
    }
  }

  stepped(node: SimNode, step: Step): void {
    if (step === "crash" && !this.machinesLive) this.planeOf(node).firewall.forgetAll();
  }

  /** It was in everybody's view since. */
  wasThereSince(nodeId: number, since_ms: number): boolean {
    return (this.#missed_ms.get(nodeId) ?? 0) < since_ms;
  }

  /** Clients open connections, and say something now and then, until the faults are over. */
  begin(until_ms: number): void {
    const delay_ms = this.#random.between(0, 2 * this.#plan.openEvery_ms);
    if (this.#world.now_ms + delay_ms >= until_ms || this.connections.length >= OPEN_MAX) return;
    this.#world.after(delay_ms, () => {
      const connection = this.open(this.#random.pick(KINDS), this.#random.pick(PROTOCOLS));
      if (connection !== undefined) this.#goOn(connection, until_ms);
      this.begin(until_ms);
    });
  }

  /** Undefined: a segment has no VIP. */
  open(kind: FlowKind, protocol: Protocol): Connection | undefined {
    const ends = this.#draw(kind, protocol);
    return ends && this.#open(ends);
  }

  /** Its ends are free. */
  isReopenable({ state, ends }: Connection): boolean {
    return state === "over" && ends.protocol === "tcp" && !this.#reopened.has(ends.id);
  }

  /** Another one between the same ends, as the one that is over: clients use their ports again. */
  reopen({ ends }: Connection): Connection {
    this.count("flows_reopened");
    this.#reopened.add(ends.id);
    return this.#open({ ...ends, id: this.connections.length });
  }

  #open(ends: Ends): Connection {
    const connection = new Connection(ends, {
      unit_ms: this.#world.unit_ms,
      random: this.#random,
      now: () => this.#world.now_ms,
      after: (delay_ms, act) => this.#world.after(delay_ms, act),
      nextNumber: () => ++this.#packets,
      send: (packet) => this.segments.send(packet),
    });
    this.connections.push(connection);
    this.count("flows_opened");
    connection.say("open", "client", () => this.count("flows_established"));
    return connection;
  }

  /** Who is to follow its handler has a copy of it. */
  isCopied({ ends, handler }: Connection): boolean {
    const node = handler === undefined ? undefined : this.#world.findNode(handler);
    const follower = node && this.planeOf(node).process.followerOf(originalName(ends));
    const replicas = follower === undefined ? undefined : this.#planes.get(follower)?.process.replicas;
    return handler !== undefined && replicas?.holds(ends.id, handler) === true;
  }

  /** Some node has a copy of an earlier connection between these ends: such are forgotten after minutes. */
  isMistaken({ ends }: Connection): boolean {
    return [...this.#planes.values()].some(({ process }) => process.replicas?.isMistaken(ends) === true);
  }

  /** No other machine's firewall knows a connection between these ends that goes on; one may that has missed the end of an earlier one. */
  isOnlyAt({ ends }: Connection, nodeId: number): boolean {
    const others = [...this.#planes].filter(([id]) => id !== nodeId);
    return others.every(([, { firewall }]) => firewall.find(originalName(ends)) === undefined);
  }

  #goOn(connection: Connection, until_ms: number): void {
    const gap_ms = this.#random.logBetween(...GAP_U) * this.#world.unit_ms;
    this.#world.after(gap_ms, () => {
      if (this.#world.now_ms >= until_ms || connection.state === "failed") return;
      if (connection.state === "over") {
        const isNext = this.isReopenable(connection) && this.connections.length < OPEN_MAX;
        if (isNext) this.#world.after(FORGOTTEN_MS, () => this.#goOn(this.reopen(connection), until_ms));
        return;
      }
      if (connection.isOpen && !connection.isBusy) {
        const step = this.#random.chance(0.1) ? "close" : "data";
        connection.say(step, this.#random.chance(0.6) ? "client" : "server");
      }
      this.#goOn(connection, until_ms);
    });
  }

  #draw(kind: FlowKind, protocol: Protocol): Ends | undefined {
    const random = this.#random;
    const id = this.connections.length;
    const isOutward = kind === "out" || kind === "source";
    const vipsOf = (segment: string): string[] =>
      this.#world.addresses.filter((address) => segmentOf(address) === segment);
    const [clientVips, serverVips] = isOutward
      ? [vipsOf("internal"), vipsOf("external")]
      : [vipsOf("external"), vipsOf("internal")];
    if (clientVips.length === 0 || serverVips.length === 0) return undefined;
    const vips = { client: random.pick(clientVips), server: random.pick(serverVips) };
    const host = (isInternal: boolean): string => `${isInternal ? "10.77.1" : "198.51.100"}.${random.integer(1, 200)}`;
    const client: End = { address: host(isOutward), port: 10_000 + id };
    const server: End = { address: host(!isOutward), port: 80 };
    return {
      id,
      protocol,
      client,
      server,
      vips,
      shownServer: kind === "destination" ? { address: vips.client, port: 80 } : server,
      shownClient: kind === "source" ? { address: vips.server, port: client.port } : client,
    };
  }

  #newPlane(node: SimNode): FlowPlane {
    const { nodeId } = node;
    return new FlowPlane(node, {
      policy: this.policy,
      after: (delay_ms, act) => this.#world.after(delay_ms, act),
      random: (bytes) => Uint8Array.from({ length: bytes }, () => this.#random.integer(0, 255)),
      slotsOf,
      hashOf,
      endsOf: (id) => this.#connection(id).ends,
      relay: (to, packet, as, relays) => this.segments.relay(nodeId, to, packet, as, relays),
      handled: (packet, out) => this.#handled(nodeId, packet, out),
      count: (what, n) => this.count(what, n),
      trace: (line) => this.#world.tracer?.(nodeId, line(), this.#world.now_ms),
    });
  }

  #handled(node: number, packet: Packet, out: Packet | undefined): void {
    const { sentBy } = packet;
    this.#world.note(packet.number * 8 + node);
    this.count(out === undefined ? "packets_invalid" : "packets_handled");
    this.#connection(packet.ends.id).handled({ node, sentBy, isAccepted: out !== undefined });
    if (out !== undefined) this.segments.deliver(out);
  }

  #connection(id: number): Connection {
    const connection = this.connections[id];
    if (connection === undefined) throw new Error(`no connection ${id}`);
    return connection;
  }

  /** Who does not serve remembers nothing, and does not say what the others are. */
  #noteMissing(node: SimNode, { quorate, members }: View): void {
    const missing = quorate
      ? this.#world.nodes.filter(({ nodeId }) => members.every((member) => member.nodeId !== nodeId))
      : [node];
    for (const { nodeId } of missing) this.#missed_ms.set(nodeId, this.#world.now_ms);
  }

  count(what: string, n = 1): void {
    this.work[what] = (this.work[what] ?? 0) + n;
  }
}

/** Building one takes as long as a thousand events, and all nodes of all runs build the same. */
const SLOTS_KEPT = 64;
const slotsByNodes = new Map<string, Uint16Array>();

function slotsOf(ready: readonly number[]): Uint16Array {
  const key = ready.join();
  const slots = slotsByNodes.get(key) ?? buildMaglev(ready);
  if (slotsByNodes.size >= SLOTS_KEPT) slotsByNodes.clear();
  slotsByNodes.set(key, slots);
  return slots;
}

function isAboutFlows(bytes: Uint8Array): boolean {
  return MESSAGE_KINDS.has(bytes[0] ?? 0);
}

/** FNV-1a, and a finalizer. */
function hashOf(name: string, key: Uint8Array): number {
  let hash = 0x811c9dc5;
  const add = (byte: number): void => {
    hash = Math.imul(hash ^ byte, 0x01000193);
  };
  for (const byte of key) add(byte);
  for (let at = 0; at < name.length; at++) add(name.charCodeAt(at));
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  return (hash ^ (hash >>> 13)) >>> 0;
}
