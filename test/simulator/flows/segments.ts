// The wires on both sides of the gateways: a host's packet goes to whoever was last heard to have the VIP that it sends by, a relay to the node that it is addressed to, and what a
// firewall lets through to its host. Owned by flows.ts.
import type { RelayKind } from "../../vectors/oracleFlows.js";
import type { FlowPaths } from "../checkers/flows.js";
import type { SimNode } from "../node.js";
import type { Random } from "../random.js";
import type { World } from "../world.js";
import type { Packet } from "./packet.js";
import type { FlowPlane } from "./plane.js";

/** Of a host's wire, which loses nothing: its packets are lost at nodes. */
const DELAY_MS: readonly [number, number] = [0.02, 0.3];
/** Relays go by the path that the ring has on their segment. */
const PATH = { external: 0, internal: 1 } as const;

export class Segments {
  readonly #world: World;
  readonly #random: Random;
  readonly #paths: FlowPaths;
  readonly #planeOf: (node: SimNode) => FlowPlane;
  readonly #arrived: (packet: Packet) => void;
  /** By VIP: whose MAC the hosts have. */
  readonly #neighbours = new Map<string, SimNode>();
  /** Whom hosts hear: everybody, or those that are healed. */
  visible: readonly SimNode[];
  /** By VIP: where packets come in instead of at its owner, as if it had moved. */
  ways: ReadonlyMap<string, SimNode> = new Map();

  constructor(
    world: World,
    random: Random,
    paths: FlowPaths,
    planeOf: (node: SimNode) => FlowPlane,
    arrived: (packet: Packet) => void,
  ) {
    this.#world = world;
    this.#random = random;
    this.#paths = paths;
    this.#planeOf = planeOf;
    this.#arrived = arrived;
    this.visible = world.nodes;
  }

  /** From a host. */
  send(packet: Packet): void {
    const vip = packet.ends.vips[packet.sentBy];
    const node = this.ways.get(vip) ?? this.#neighbour(vip);
    if (node === undefined) return;
    this.#later(() => {
      if (node.isUp) this.#planeOf(node).process.steer(packet, { from: 0, as: "ask" }, 0);
    });
  }

  /** From a node to another one. */
  relay(from: number, to: number, packet: Packet, as: RelayKind, relays: number): void {
    this.#paths.relayed(packet, relays);
    const path = PATH[segmentOf(packet.ends.vips[packet.sentBy])];
    this.#world.network.ask(from, to, path, () => {
      const node = this.#world.findNode(to);
      if (node?.isUp === true) this.#planeOf(node).process.steer(packet, { from, as }, relays);
    });
  }

  /** To a host. */
  deliver(packet: Packet): void {
    this.#later(() => this.#arrived(packet));
  }

  /** Who answers now, or who did last: of two, the one that is known. */
  #neighbour(vip: string): SimNode | undefined {
    const known = this.#neighbours.get(vip);
    const answering = this.visible.filter((node) => node.isAnswering(vip));
    const [first] = answering;
    if (first === undefined || (known !== undefined && answering.includes(known))) return known;
    this.#neighbours.set(vip, first);
    return first;
  }

  #later(act: () => void): void {
    this.#world.after(this.#random.between(...DELAY_MS), act);
  }
}

export function segmentOf(vip: string): "external" | "internal" {
  return vip.startsWith("10.") ? "internal" : "external";
}
