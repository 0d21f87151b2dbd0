// Flows that are assigned, as the rules 22 to 30 of docs/packet-path.md say: to be read rather than to be fast.
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
  /** 0: all others were asked, and none handles it. */
  readonly node: number;
  readonly epoch: number;
  /** Of the first packet. */
  readonly isFromLow: boolean;
  readonly isAnswered: boolean;
  /** Of the answers of a translated connection. */
  readonly isAlias: boolean;
  readonly life: "opening" | "closing" | "datagram" | "stream";
  readonly seen_ns: bigint;
  /** Of packets by which others asked, or of periods with packets. */
  readonly count: number;
}

/** About a second. */
const PERIOD_NS = 1n << 30n;
const LIVES_NS: Readonly<Record<Known["life"], bigint>> = {
  opening: 60_000_000_000n,
  closing: 120_000_000_000n,
  datagram: 300_000_000_000n,
  stream: 7_440_000_000_000n,
};

export class OracleFlows {
  readonly #known = new Map<string, Known>();

  know(packet: Packet, node: number, epoch: number, seen_ns: bigint, isAlias: boolean): void {
    const life = packet.protocol === 6 ? "stream" : "datagram";
    const known = { node, epoch, isAlias, isFromLow: false, isAnswered: false, life, seen_ns, count: 0 } as const;
    this.#known.set(nameOf(packet), known);
  }

  assign(packet: Packet, came: Came, tables: Tables, now_ns: bigint): Verdict {
    const { self, authority } = tables;
    const fromPeer = came.from !== 0;
    const name = nameOf(packet);
    const found = this.#known.get(name);
    const known = found !== undefined && now_ns <= found.seen_ns + LIVES_NS[found.life] ? found : undefined;
    const isFirst = known !== undefined && known.seen_ns / PERIOD_NS !== now_ns / PERIOD_NS;
    if (known !== undefined) this.#known.set(name, { ...known, seen_ns: now_ns });
    const isNew = known?.life === "closing" && isOpening(packet);
    const held = known !== undefined && !isNew && holds(known, tables) ? known : undefined;

    if (held?.node === self) {
      const isTelling = isFirst && authority !== self;
      const count = isTelling ? next(held.count) : held.count;
      this.#advance(name, held, count, packet, now_ns);
      const isWorth = ["stream", "datagram"].includes(after(held, packet).life);
      return { kind: "pass", fromPeer, told: isTelling && isPowerOfTwo(count) && isWorth ? authority : 0 };
    }
    if (fromPeer && (came.as === "final" || (came.as === "direct" && held === undefined))) {
      if (!isError(packet))
        this.#known.set(name, { ...fresh(packet, self, tables, now_ns), ...kept(isNew ? undefined : known) });
      return { kind: "pass", fromPeer };
    }
    if (held !== undefined) {
      const count = fromPeer ? next(held.count) : held.count;
      this.#advance(name, held, count, packet, now_ns);
      const isTold = fromPeer && held.node !== came.from && count >= 4 && isPowerOfTwo(count);
      return {
        kind: "relay",
        node: held.node,
        as: fromPeer ? "final" : "direct",
        fromPeer,
        told: isTold ? came.from : 0,
      };
    }
    if (authority === self) {
      const former = isNew ? known?.node : undefined;
      return this.#decide(packet, came, isNew ? undefined : known, former, tables, now_ns);
    }
    if (fromPeer) return { kind: "drop", cause: "drop_relay_bound", fromPeer, conflict: false };
    return { kind: "relay", node: authority, as: "ask", fromPeer };
  }

  /** `known`: of a node that handles it no more, or nobody's. `former`: who handled a connection that is over. */
  #decide(
    packet: Packet,
    came: Came,
    known: Known | undefined,
    former: number | undefined,
    tables: Tables,
    now_ns: bigint,
  ): Verdict {
    const { self, assignment } = tables;
    const fromPeer = came.from !== 0;
    if (isError(packet)) return { kind: "pass", fromPeer };
    const wasAsked = known?.node === 0 && known.epoch === assignment.epoch;
    const isGone = known !== undefined && known.node !== 0 && !assignment.since.has(known.node);
    const isOrphan = isGone && !known.isAlias;
    const isOutdated = known !== undefined && !wasAsked && !isOrphan;
    const mayBeOld = isOutdated || packet.protocol === 6 || now_ns < assignment.settled_ns;
    if (!wasAsked && !isOrphan && !isOpening(packet) && mayBeOld) return { kind: "punt", cause: "punt_flow", fromPeer };
    const wished = assignment.policy === "balanced" ? assignment.choiceOf(packet) : fromPeer ? came.from : self;
    const isAmidst = packet.protocol === 6 && !isOpening(packet);
    const node = isOrphan || isAmidst || !assignment.ready.has(wished) ? self : wished;
    this.#known.set(nameOf(packet), fresh(packet, node, tables, now_ns));
    const cause = "flows_assigned";
    if (node === self) return { kind: "pass", fromPeer, cause };
    const isTold = former !== undefined && ![0, self, node].includes(former) && assignment.since.has(former);
    const told = isTold ? former : 0;
    return { kind: "relay", node, as: "final", fromPeer, cause, told };
  }

  #advance(name: string, held: Known, count: number, packet: Packet, now_ns: bigint): void {
    const { life, isAnswered } = after(held, packet);
    if (life === held.life && isAnswered === held.isAnswered && count === held.count) return;
    this.#known.set(name, { ...held, life, isAnswered, count, seen_ns: now_ns });
  }
}

function nameOf(packet: Packet): string {
  const { family, protocol, low, high } = flowOf(packet);
  return [family, protocol, low.address, low.port, high.address, high.port].join(" ");
}

function next(count: number): number {
  return count === 63 ? 32 : count + 1;
}

function isPowerOfTwo(count: number): boolean {
  return Number.isInteger(Math.log2(count));
}

function fresh(packet: Packet, node: number, { assignment }: Tables, seen_ns: bigint): Known {
  const { isFromLow } = flowOf(packet);
  const { epoch } = assignment;
  return { node, epoch, isFromLow, isAnswered: false, isAlias: false, life: "opening", seen_ns, count: 0 };
}

/** Whose it was before says nothing about how far its connection is. */
function kept(known: Known | undefined): Partial<Known> {
  if (known === undefined || known.node === 0) return {};
  const { isFromLow, isAnswered, isAlias, life } = known;
  return { isFromLow, isAnswered, isAlias, life };
}

function holds({ node, epoch }: Known, { assignment }: Tables): boolean {
  const since = assignment.since.get(node);
  return since !== undefined && epoch >= since;
}

function after(held: Known, packet: Packet): Pick<Known, "life" | "isAnswered"> {
  const { life, isAnswered } = held;
  if (isError(packet)) return { life, isAnswered };
  if (life === "stream" && isClosing(packet)) return { life: "closing", isAnswered };
  if (life !== "opening") return { life, isAnswered };
  const isAnswer = held.isFromLow !== flowOf(packet).isFromLow;
  if (packet.protocol !== 6) return { life: isAnswer ? "datagram" : life, isAnswered: isAnswered || isAnswer };
  const isSpoken = isAnswered && !isAnswer && !isOpening(packet);
  if (!isSpoken) return { life, isAnswered: isAnswered || isAnswer };
  return { life: isClosing(packet) ? "closing" : "stream", isAnswered };
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
