// Flows that are assigned, as the rules 22 to 34 of docs/packet-path.md say: to be read rather than to be fast. Used by the vectors' oracle, and by the simulator's nodes
// (test/simulator/flows).
import type { RelayKind, Verdict } from "./oracle.js";

export type { RelayKind };

/** Addresses as keys of maps. */
export interface FlowEnd {
  readonly address: string;
  readonly port: number;
}

/** What the rules see of a packet. */
export interface FlowPacket {
  /** The flow's: the same in both directions. */
  readonly name: string;
  readonly protocol: number;
  readonly from: FlowEnd;
  readonly to: FlowEnd;
  readonly isFromLow: boolean;
  readonly isTcp: boolean;
  /** TCP's first packet. */
  readonly isOpening: boolean;
  /** TCP's answer to it. */
  readonly isOpeningsAnswer: boolean;
  /** TCP's last ones. */
  readonly isClosing: boolean;
  /** ICMP's, about the flow. */
  readonly isError: boolean;
}

export interface OracleAssignment {
  readonly policy: "receiver" | "balanced";
  readonly epoch: number;
  /** Since which view each member is one. */
  readonly since: ReadonlyMap<number, number>;
  readonly ready: ReadonlySet<number>;
  readonly choiceOf: (packet: FlowPacket) => number;
  /** Of services; undefined: `policy`. */
  readonly policyOf?: (packet: FlowPacket) => "authority" | "receiver" | "balanced" | undefined;
  readonly settled_ns: bigint;
}

/** How a packet came: from the segment (0, and nothing is said), or relayed by a node of the layer. */
export interface Came {
  readonly from: number;
  readonly as: RelayKind;
}

export interface FlowTables {
  readonly self: number;
  /** Of this flow. */
  readonly authority: number;
  /** It is the authority because one of the flow's ports is of its part of a range. */
  readonly isByPort?: boolean;
  readonly assignment: OracleAssignment;
}

export type FlowVerdict = Exclude<Verdict, { kind: "leave" | "reply" }>;

/** What is remembered of a flow. */
export interface Known {
  /** 0: all others were asked, and none handles it. */
  readonly node: number;
  readonly epoch: number;
  /** Of the first packet. */
  readonly isFromLow: boolean;
  readonly isAnswered: boolean;
  readonly life: "opening" | "closing" | "datagram" | "stream";
  readonly seen_ns: bigint;
  /** Of packets by which others asked, or of periods with packets. */
  readonly count: number;
  /** It is how the answers of a translated connection look. */
  readonly isAlias?: boolean;
}

/** About a second. */
const PERIOD_NS = 1n << 30n;
const LIVES_NS: Readonly<Record<Known["life"], bigint>> = {
  opening: 60_000_000_000n,
  closing: 120_000_000_000n,
  datagram: 300_000_000_000n,
  stream: 7_440_000_000_000n,
};
/** In periods: what is over is forgotten soon, for another connection may begin between the same ends; */
const CLOSING_PERIODS = 4n;
/** so is what has not begun, and what another node handles, but by its authority; */
export const QUIET_PERIODS = 32n;
/** and by then who was to answer a first packet has done so. */
const ANSWERED_PERIODS = 2n;

export class OracleFlows {
  readonly #known = new Map<string, Known>();
  readonly #period_ns: bigint;

  constructor(period_ns = PERIOD_NS) {
    this.#period_ns = period_ns;
  }

  know({ name, isTcp }: FlowPacket, node: number, epoch: number, seen_ns: bigint, isAlias = false): void {
    const life = isTcp ? "stream" : "datagram";
    this.put(name, { node, epoch, isAlias, isFromLow: false, isAnswered: false, life, seen_ns, count: 0 });
  }

  find(name: string, now_ns: bigint): Known | undefined {
    const found = this.#known.get(name);
    return found !== undefined && now_ns <= found.seen_ns + LIVES_NS[found.life] ? found : undefined;
  }

  put(name: string, known: Known): void {
    this.#known.set(name, known);
  }

  forget(name: string): void {
    this.#known.delete(name);
  }

  assign(packet: FlowPacket, came: Came, tables: FlowTables, now_ns: bigint): FlowVerdict {
    const { self, authority } = tables;
    const fromPeer = came.from !== 0;
    const { name } = packet;
    const known = this.find(name, now_ns);
    const idle = known === undefined ? 0n : this.idle(known, now_ns);
    const isFirst = known !== undefined && idle !== 0n;
    if (known !== undefined) this.#known.set(name, { ...known, seen_ns: now_ns });
    const isDirect = fromPeer && came.as === "direct";
    const isNew = known !== undefined && isDoubted(known, idle, packet, isDirect, tables);
    if (isNew && !(authority === self && packet.isOpening)) this.#known.delete(name);
    const held = known !== undefined && !isNew && holds(known, tables.assignment) ? known : undefined;

    if (held?.node === self) {
      const isTelling = isFirst && authority !== self;
      const count = isTelling ? next(held.count) : held.count;
      this.#advance(name, held, count, packet, now_ns);
      const isWorth = ["stream", "datagram"].includes(after(held, packet).life);
      return { kind: "pass", fromPeer, told: isTelling && isPowerOfTwo(count) && isWorth ? authority : 0 };
    }
    const wasAsked = !isNew && known?.node === 0 && known.epoch === tables.assignment.epoch;
    const isHearsay = isDirect && isAmidst(packet) && came.from !== authority && !wasAsked;
    if (fromPeer && (came.as === "final" || (isDirect && held === undefined && !isHearsay))) {
      if (!packet.isError)
        this.#known.set(name, {
          ...fresh(packet, self, tables, now_ns),
          ...kept(isNew && known.life === "closing" ? undefined : known),
          ...(packet.isClosing && { life: "closing" }),
        });
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
    if (isDirect) {
      this.#known.delete(name);
      return { kind: "punt", cause: "punt_flow", fromPeer };
    }
    if (fromPeer) return { kind: "drop", cause: "drop_relay_bound", fromPeer, conflict: false };
    return { kind: "relay", node: authority, as: "ask", fromPeer };
  }

  /** `known`: of a node that handles it no more, or nobody's. `former`: who handled a connection that is over. */
  #decide(
    packet: FlowPacket,
    came: Came,
    known: Known | undefined,
    former: number | undefined,
    tables: FlowTables,
    now_ns: bigint,
  ): FlowVerdict {
    const { self, assignment, isByPort } = tables;
    const fromPeer = came.from !== 0;
    if (packet.isError) return { kind: "pass", fromPeer };
    const wasAsked = known?.node === 0 && known.epoch === assignment.epoch;
    const isGone = known !== undefined && known.node !== 0 && !assignment.since.has(known.node);
    // Who has the copy of a translated connection is named by the other key; and who was away since has not heard who took it over.
    const wasHere = (assignment.since.get(self) ?? Number.POSITIVE_INFINITY) <= (known?.epoch ?? 0);
    const isOrphan = isGone && wasHere && known.isAlias !== true;
    const isSure = wasAsked || isOrphan;
    const isOutdated = known !== undefined && !isSure;
    const mayBeOld = isOutdated || packet.isTcp || now_ns < assignment.settled_ns;
    if (!isSure && !packet.isOpening && mayBeOld) return { kind: "punt", cause: "punt_flow", fromPeer };
    const policy = assignment.policyOf?.(packet) ?? assignment.policy;
    const receiver = policy === "receiver" && fromPeer ? came.from : self;
    const wished = policy === "balanced" ? assignment.choiceOf(packet) : receiver;
    // A connection that goes on does so here, if anywhere: this node has the copies.
    const goesOn = packet.isTcp && !packet.isOpening;
    // Of UDP an answer cannot be told from a beginning, and to a node's own ports nobody else translates.
    const isAnswerHere = isByPort === true && packet.protocol === 17;
    const node = isOrphan || goesOn || isAnswerHere || !assignment.ready.has(wished) ? self : wished;
    this.put(packet.name, fresh(packet, node, tables, now_ns));
    const cause = "flows_assigned";
    const isTold = former !== undefined && ![0, self, node].includes(former) && assignment.since.has(former);
    const told = isTold ? former : 0;
    if (node === self) return { kind: "pass", fromPeer, cause, told };
    return { kind: "relay", node, as: "final", fromPeer, cause, told };
  }

  /** For so many periods nothing was heard of it. */
  idle({ seen_ns }: Known, now_ns: bigint): bigint {
    return now_ns / this.#period_ns - seen_ns / this.#period_ns;
  }

  #advance(name: string, held: Known, count: number, packet: FlowPacket, now_ns: bigint): void {
    const { life, isAnswered } = after(held, packet);
    if (life === held.life && isAnswered === held.isAnswered && count === held.count) return;
    this.#known.set(name, { ...held, life, isAnswered, count, seen_ns: now_ns });
  }
}

/** Whether a packet may be of another connection than what is known. `idle`: for how many periods nothing was heard of that. */
function isDoubted(known: Known, idle: bigint, packet: FlowPacket, isDirect: boolean, tables: FlowTables): boolean {
  const { life, node, epoch, isAlias } = known;
  const { self, authority, assignment } = tables;
  if (packet.isError) return false;
  const isOfThisView = epoch === assignment.epoch;
  const isHearsay = node !== self && !(authority === self && isOfThisView);
  const isSecond = packet.isOpening || packet.isOpeningsAnswer;
  if (life === "closing" && (isSecond || idle > CLOSING_PERIODS)) return true;
  // Who sent it on has heard of it lately.
  if (packet.isTcp && !isDirect && (isHearsay || life === "opening") && idle > QUIET_PERIODS) return true;
  if (!packet.isOpeningsAnswer) return false;
  if (life === "opening") return !isOfThisView || (isHearsay && idle >= ANSWERED_PERIODS);
  return node === self ? idle >= ANSWERED_PERIODS : isHearsay || isAlias === true;
}

/** Of a TCP connection that its ends have opened. */
function isAmidst({ isTcp, isOpening, isOpeningsAnswer, isError }: FlowPacket): boolean {
  return isTcp && !isOpening && !isOpeningsAnswer && !isError;
}

function next(count: number): number {
  return count === 63 ? 32 : count + 1;
}

function isPowerOfTwo(count: number): boolean {
  return Number.isInteger(Math.log2(count));
}

function fresh({ isFromLow, isClosing }: FlowPacket, node: number, { assignment }: FlowTables, seen_ns: bigint): Known {
  const life = isClosing ? "closing" : "opening";
  return { node, epoch: assignment.epoch, isFromLow, isAnswered: false, life, seen_ns, count: 0 };
}

/** Whose it was before says nothing about how far its connection is. */
function kept(known: Known | undefined): Partial<Known> {
  if (known === undefined || known.node === 0) return {};
  const { isFromLow, isAnswered, life, isAlias } = known;
  return { isFromLow, isAnswered, life, ...(isAlias && { isAlias }) };
}

/** Its node was a member all the time since. */
export function holds({ node, epoch }: Known, { since }: OracleAssignment): boolean {
  const from = since.get(node);
  return from !== undefined && epoch >= from;
}

function after(held: Known, packet: FlowPacket): Pick<Known, "life" | "isAnswered"> {
  const { life, isAnswered } = held;
  if (packet.isError || (life !== "opening" && !(life === "stream" && packet.isClosing))) return { life, isAnswered };
  if (packet.isClosing) return { life: "closing", isAnswered };
  const isAnswer = held.isFromLow !== packet.isFromLow;
  if (!packet.isTcp) return { life: isAnswer ? "datagram" : life, isAnswered: isAnswered || isAnswer };
  // Of an alias only one direction comes by.
  const isSpoken = !packet.isOpening && (held.isAlias === true || (isAnswered && !isAnswer));
  return { life: isSpoken ? "stream" : life, isAnswered: isAnswered || isAnswer };
}
