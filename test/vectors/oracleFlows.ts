// Flows that are assigned, as the rules 22 to 29 of docs/packet-path.md say: to be read rather than to be fast.
import { flowOf, type OracleTables, type Packet, type RelayKind, type Verdict } from "./oracle.js";

export interface OracleAssignment {
  readonly policy: "receiver" | "balanced";
  readonly epoch: number;
  /** Since which view each member is one. */
  readonly since: ReadonlyMap<number, number>;
  readonly ready: ReadonlySet<number>;
  readonly choiceOf: (packet: Packet) => number;
  readonly settled_ns: bigint;
}

/** How a packet came: from the segment (0, and nothing is said), or relayed by a node of the layer. */
export interface Came {
  readonly from: number;
  readonly as: RelayKind;
}

type Tables = OracleTables & { readonly assignment: OracleAssignment; readonly authority: number };

interface Known {
  readonly node: number;
  readonly epoch: number;
  /** Of the first packet. */
  readonly isFromLow: boolean;
  readonly life: "opening" | "closing" | "datagram" | "stream";
  readonly seen_ns: bigint;
  readonly asks: number;
}

const LIVES_NS: Readonly<Record<Known["life"], bigint>> = {
  opening: 60_000_000_000n,
  closing: 120_000_000_000n,
  datagram: 300_000_000_000n,
  stream: 7_440_000_000_000n,
};

export class OracleFlows {
  readonly #known = new Map<string, Known>();

  know(packet: Packet, node: number, epoch: number, seen_ns: bigint): void {
    const life = packet.protocol === 6 ? "stream" : "datagram";
    this.#known.set(nameOf(packet), { node, epoch, isFromLow: flowOf(packet).isFromLow, life, seen_ns, asks: 0 });
  }

  assign(packet: Packet, came: Came, tables: Tables, now_ns: bigint): Verdict {
    const { self, authority } = tables;
    const fromPeer = came.from !== 0;
    const name = nameOf(packet);
    let known = this.#known.get(name);
    if (known !== undefined && now_ns > known.seen_ns + LIVES_NS[known.life]) known = undefined;
    const isNew = known?.life === "closing" && isOpening(packet);
    const held = known !== undefined && !isNew && holds(known, tables) ? known : undefined;

    if (fromPeer && held?.node !== self && (came.as === "final" || (came.as === "direct" && held === undefined))) {
      if (!isError(packet)) this.#put(name, { ...fresh(packet, self, tables, now_ns), ...kept(isNew ? undefined : known) });
      return { kind: "pass", fromPeer };
    }
    if (held !== undefined) {
      const isAsked = fromPeer && held.node !== self;
      const asks = isAsked ? (held.asks === 63 ? 32 : held.asks + 1) : held.asks;
      this.#put(name, { ...held, asks, life: lifeAfter(held, packet), seen_ns: now_ns });
      if (held.node === self) return { kind: "pass", fromPeer };
      const told = isAsked && held.node !== came.from && [4, 8, 16, 32].includes(asks);
      return { kind: "relay", node: held.node, as: fromPeer ? "final" : "direct", fromPeer, told };
    }
    if (authority === self) return this.#decide(packet, came, known, isNew, tables, now_ns);
    if (fromPeer) return { kind: "drop", cause: "drop_relay_bound", fromPeer, conflict: false };
    return { kind: "relay", node: authority, as: "ask", fromPeer };
  }

  #decide(
    packet: Packet,
    came: Came,
    known: Known | undefined,
    isNew: boolean,
    tables: Tables,
    now_ns: bigint,
  ): Verdict {
    const { self, assignment } = tables;
    const fromPeer = came.from !== 0;
    if (isError(packet)) return { kind: "pass", fromPeer };
    const mayBeOld = !isOpening(packet) && (packet.protocol === 6 || now_ns < assignment.settled_ns);
    if (known === undefined && mayBeOld) return { kind: "punt", cause: "punt_flow", fromPeer };
    const wished =
      assignment.policy === "balanced" ? assignment.choiceOf(packet) : came.from === 0 ? self : came.from;
    const isOrphan = known !== undefined && known.node !== 0 && !isNew;
    const node = isOrphan || !assignment.ready.has(wished) ? self : wished;
    this.#put(nameOf(packet), fresh(packet, node, tables, now_ns));
    const cause = "flows_assigned";
    if (node === self) return { kind: "pass", fromPeer, cause };
    return { kind: "relay", node, as: fromPeer ? "final" : "direct", fromPeer, cause };
  }

  #put(name: string, known: Known): void {
    this.#known.set(name, known);
  }
}

function nameOf(packet: Packet): string {
  const { family, protocol, low, high } = flowOf(packet);
  return [family, protocol, low.address, low.port, high.address, high.port].join(" ");
}

function fresh(packet: Packet, node: number, { assignment }: Tables, seen_ns: bigint): Known {
  return { node, epoch: assignment.epoch, isFromLow: flowOf(packet).isFromLow, life: "opening", seen_ns, asks: 0 };
}

/** Whose it was before says nothing about how far its connection is. */
function kept(known: Known | undefined): Partial<Known> {
  return known === undefined || known.node === 0 ? {} : { isFromLow: known.isFromLow, life: known.life };
}

function holds({ node, epoch }: Known, { assignment }: Tables): boolean {
  const since = assignment.since.get(node);
  return since !== undefined && epoch >= since;
}

function lifeAfter({ life, isFromLow }: Known, packet: Packet): Known["life"] {
  if (isError(packet)) return life;
  const after = packet.protocol !== 6 ? "datagram" : isClosing(packet) ? "closing" : "stream";
  if (life === "opening" && isFromLow !== flowOf(packet).isFromLow) return after;
  return life === "stream" && isClosing(packet) ? "closing" : life;
}

function isError({ family, protocol, payload }: Packet): boolean {
  const type = payload[0] ?? 0;
  if (payload.length < 8) return false;
  return family === 6 ? protocol === 58 && type < 128 : protocol === 1 && [3, 4, 5, 11, 12].includes(type);
}

function isOpening({ protocol, payload }: Packet): boolean {
  return protocol === 6 && ((payload[13] ?? 0) & 0x17) === 0x02;
}

function isClosing({ protocol, payload }: Packet): boolean {
  return protocol === 6 && ((payload[13] ?? 0) & 0x05) !== 0;
}
