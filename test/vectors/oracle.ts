// The pipeline once more, written from the rules of docs/packet-path.md and nothing else, to be read rather than to be fast: what the vectors say and
// what C++ and XDP do is compared with it.
import { internetChecksum, LAYER_PREFIX } from "./notation.js";
import { type Came, type FlowEnd, type FlowPacket, type OracleAssignment, OracleFlows } from "./oracleFlows.js";

export interface OracleVip {
  readonly owned: boolean;
  readonly from_ns: bigint;
}

export interface OracleTables {
  readonly self: number;
  readonly members: ReadonlySet<number>;
  /** When the lease of a node that has left the view has ended for certain. */
  readonly departedUntil_ns: ReadonlyMap<number, bigint>;
  readonly hasView: boolean;
  /** The node of a flow, in a view. */
  readonly authorityOf: (flow: Flow) => number;
  /** Whether that follows from one of its ports. */
  readonly isByPort: (flow: Flow) => boolean;
  readonly leaseUntil_ns: bigint;
  /** There is an IPv6 VIP. */
  readonly carriesIpv6: boolean;
  /** By address as text: see `textOf`. */
  readonly vips: ReadonlyMap<string, OracleVip>;
  /** Undefined: authorities handle their flows. */
  readonly assignment: OracleAssignment | undefined;
}

export type Verdict =
  | { readonly kind: "leave" }
  | { readonly kind: "pass"; readonly fromPeer: boolean; readonly cause?: string; readonly told?: number }
  | { readonly kind: "drop"; readonly cause: string; readonly fromPeer: boolean; readonly conflict: boolean }
  | Relay
  | { readonly kind: "reply"; readonly cause: string; readonly frame: Uint8Array }
  | { readonly kind: "punt"; readonly cause: string; readonly fromPeer: boolean };

interface Relay {
  readonly kind: "relay";
  readonly node: number;
  readonly as: RelayKind;
  readonly fromPeer: boolean;
  readonly cause?: string;
  readonly told?: number;
}

export type RelayKind = "ask" | "direct" | "final";

/** The two ends as text `address port`, in ascending order of their bytes. */
export interface Flow {
  readonly family: 4 | 6;
  readonly protocol: number;
  readonly low: End;
  readonly high: End;
  /** The packet that it is the flow of comes from there; of an error, the quoted one. */
  readonly isFromLow: boolean;
}
interface End {
  readonly address: Uint8Array;
  readonly port: number;
}

/** An IP packet down to its transport header. */
export interface Packet {
  readonly family: 4 | 6;
  readonly src: Uint8Array;
  readonly dst: Uint8Array;
  readonly protocol: number;
  readonly payload: Uint8Array;
  readonly fragment: "none" | "first" | "later";
  readonly id: number;
  readonly hopLimit: number;
  readonly hasExtensions: boolean;
}

class Fault extends Error {
  constructor(readonly cause_: string) {
    super(cause_);
  }
}

const FRAGMENT_LIFE_NS = 30_000_000_000n;
const EXTENSIONS_MAX = 8;

export class Oracle {
  /** Of one port, on one segment. */
  readonly #fragments = new Map<string, { readonly node: number; readonly until_ns: bigint }>();
  readonly #frontMac: Uint8Array;
  readonly #flows = new OracleFlows();

  constructor(self: number) {
    this.#frontMac = Uint8Array.from([...LAYER_PREFIX, self >> 8, self & 0xff]);
  }

  /** That node handles the packet's flow, as was assigned in view `epoch`. */
  know(frame: Uint8Array, node: number, epoch: number, now_ns: bigint, isAlias: boolean): void {
    const packet = parseIp(word(frame, 12) === 0x0800 ? 4 : 6, frame.subarray(14), true);
    this.#flows.know(flowPacketOf(packet), node, epoch, now_ns, isAlias);
  }

  steer(frame: Uint8Array, tables: OracleTables, now_ns: bigint): Verdict {
    try {
      return this.#steer(frame, tables, now_ns);
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      return drop(error.cause_);
    }
  }

  #steer(frame: Uint8Array, tables: OracleTables, now_ns: bigint): Verdict {
    if (frame.length < 14) throw new Fault("drop_runt");
    let at = 12;
    for (let tags = 0; tags < 2 && [0x8100, 0x88a8].includes(word(frame, at)); tags++) {
      at += 4;
      if (frame.length < at + 2) throw new Fault("drop_runt");
    }
    const type = word(frame, at);
    const head = frame.subarray(0, at + 2);
    const payload = frame.subarray(at + 2);
    const isForUs = same(frame.subarray(0, 6), this.#frontMac);
    const source = frame.subarray(6, 12);
    if (type === 0x0806) return this.#arp(head, payload, tables, now_ns);
    if (!isForUs && type !== 0x86dd) return { kind: "leave" };
    if (isForUs && this.#isOwn(source)) throw new Fault("drop_looped");
    if (type !== 0x0800 && type !== 0x86dd) throw new Fault("drop_not_ip");
    if (type === 0x86dd && !tables.carriesIpv6) return isForUs ? drop("drop_ipv6") : { kind: "leave" };
    const fromPeer = isPeer(source);

    let packet: Packet;
    try {
      packet = parseIp(type === 0x0800 ? 4 : 6, payload, true);
      if (isNeighbourMessage(packet)) return this.#neighbour(head, packet, tables, now_ns);
      if (!isForUs) return { kind: "leave" };
      if (isLinkLocalMessage(packet)) return { kind: "pass", fromPeer: false };
      if (packet.fragment !== "later") flowOf(packet);
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      if (error.cause_ === "drop_malformed_nd" || error.cause_ === "drop_looped") return drop(error.cause_);
      return isForUs ? { kind: "drop", cause: error.cause_, fromPeer, conflict: false } : { kind: "leave" };
    }
    return this.#toHandler(packet, source, fromPeer, tables, now_ns);
  }

  #toHandler(packet: Packet, source: Uint8Array, fromPeer: boolean, tables: OracleTables, now_ns: bigint): Verdict {
    const refuse = (cause: string): Verdict => ({ kind: "drop", cause, fromPeer, conflict: false });
    if (!tables.hasView) return refuse("drop_no_view");
    if (now_ns >= tables.leaseUntil_ns) return refuse("drop_lease_void");
    if (fromPeer && !mayRelay(word(source, 4), tables, now_ns)) return refuse("drop_stale_peer");
    const came: Came = fromPeer ? { from: word(source, 4), as: relayKindOf(source) } : { from: 0, as: "ask" };

    const datagram = `${packet.family} ${packet.src} ${packet.dst} ${packet.id} ${packet.family === 4 ? packet.protocol : ""}`;
    const first = this.#fragments.get(datagram);
    const known = first !== undefined && now_ns < first.until_ns ? first.node : 0;
    if (packet.fragment === "later") return laterFragment(known, came, tables);
    const { self, assignment } = tables;
    const authority = tables.authorityOf(flowOf(packet));
    const verdict =
      assignment === undefined
        ? byHash(authority, came, tables)
        : this.#flows.assign(
            flowPacketOf(packet),
            came,
            { self, authority, isByPort: tables.isByPort(flowOf(packet)), assignment },
            now_ns,
          );
    // What its authority would not take back is still that one's.
    const node = verdict.kind === "pass" ? self : verdict.kind === "relay" ? verdict.node : authority;
    const isSomewhere = verdict.kind !== "punt" && (verdict.kind !== "drop" || assignment === undefined);
    if (packet.fragment === "first" && isSomewhere)
      this.#fragments.set(datagram, { node, until_ns: now_ns + FRAGMENT_LIFE_NS });
    return verdict;
  }

  /** A node has a MAC for each kind of relay. */
  #isOwn(address: Uint8Array): boolean {
    return isPeer(address) && same(address.subarray(4), this.#frontMac.subarray(4));
  }

  #arp(head: Uint8Array, arp: Uint8Array, tables: OracleTables, now_ns: bigint): Verdict {
    if (arp.length < 28) throw new Fault("drop_malformed_arp");
    const operation = word(arp, 6);
    const isRight = word(arp, 0) === 1 && word(arp, 2) === 0x0800 && arp[4] === 6 && arp[5] === 4;
    const senderMac = arp.subarray(8, 14);
    if (!isRight || (operation !== 1 && operation !== 2) || isGroup(senderMac)) throw new Fault("drop_malformed_arp");
    if (this.#isOwn(head.subarray(6, 12))) throw new Fault("drop_looped");
    const claimed = tables.vips.get(textOf(arp.subarray(14, 18)));
    if (claimed !== undefined) return claim(claimed, senderMac, "arp_peer_claim", "arp_conflict");
    if (operation === 2)
      return same(head.subarray(0, 6), this.#frontMac) ? { kind: "pass", fromPeer: false } : { kind: "leave" };
    const target = arp.subarray(24, 28);
    const vip = tables.vips.get(textOf(target));
    if (vip === undefined) return { kind: "leave" };
    const refusal = whyNot(vip, tables, now_ns);
    if (refusal !== undefined) return drop(`arp_${refusal}`);
    const answer = [0, 1, 8, 0, 6, 4, 0, 2, ...this.#frontMac, ...target, ...senderMac, ...arp.subarray(14, 18)];
    const frame = Uint8Array.from([...senderMac, ...this.#frontMac, ...head.subarray(12), ...answer]);
    return { kind: "reply", cause: "arp_answered", frame };
  }

  /** RFC 4861, 7.1.1 and 7.1.2, and RFC 4862, 5.4. */
  #neighbour(head: Uint8Array, packet: Packet, tables: OracleTables, now_ns: bigint): Verdict {
    const message = packet.payload;
    const isSolicitation = message[0] === 135;
    const options = new Map<number, Uint8Array>();
    const isWhole = message.length >= 24 && message.length <= 88 && readOptions(message.subarray(24), options);
    const pseudo = [...packet.src, ...packet.dst, 0, 0, message.length >> 8, message.length & 0xff, 0, 0, 0, 58];
    const isSumRight = internetChecksum(Uint8Array.from([...pseudo, ...message])) === 0;
    const linkLayer = options.get(isSolicitation ? 1 : 2);
    const isProbe = isSolicitation && packet.src.every((byte) => byte === 0);
    if (isProbe && linkLayer !== undefined) throw new Fault("drop_malformed_nd");
    if (
      !isWhole ||
      packet.hasExtensions ||
      packet.hopLimit !== 255 ||
      message[1] !== 0 ||
      !isSumRight ||
      message[8] === 0xff ||
      packet.src[0] === 0xff ||
      isGroup(head.subarray(6, 12))
    )
      throw new Fault("drop_malformed_nd");
    const source = head.subarray(6, 12);
    if (this.#isOwn(source)) throw new Fault("drop_looped");

    const target = message.subarray(8, 24);
    const about = tables.vips.get(textOf(target));
    if (isProbe && about !== undefined) {
      if (isPeer(source)) return claim(about, source, "nd_peer_claim", "");
    } else {
      const claimed = isSolicitation ? tables.vips.get(textOf(packet.src)) : about;
      if (claimed !== undefined) return claim(claimed, linkLayer ?? source, "nd_peer_claim", "nd_conflict");
    }
    if (!isSolicitation || about === undefined) {
      return same(head.subarray(0, 6), this.#frontMac) ? { kind: "pass", fromPeer: false } : { kind: "leave" };
    }
    const refusal = whyNot(about, tables, now_ns);
    if (refusal !== undefined) return drop(`nd_${refusal}`);
    const everybody = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    const to = isProbe ? everybody : [...packet.src];
    const body = [136, 0, 0, 0, isProbe ? 0xa0 : 0xe0, 0, 0, 0, ...target, 2, 1, ...this.#frontMac];
    const sum = internetChecksum(Uint8Array.from([...target, ...to, 0, 0, 0, body.length, 0, 0, 0, 58, ...body]));
    body[2] = sum >> 8;
    body[3] = sum & 0xff;
    const toMac = isProbe ? [0x33, 0x33, 0, 0, 0, 1] : [...source];
    const frame = Uint8Array.from([
      ...toMac,
      ...this.#frontMac,
      ...head.subarray(12),
      0x60,
      0,
      0,
      0,
      0,
      body.length,
      58,
      255,
      ...target,
      ...to,
      ...body,
    ]);
    return { kind: "reply", cause: isProbe ? "nd_defended" : "nd_answered", frame };
  }
}

/** Throws `Fault`. `isWhole`: it must be there completely. */
function parseIp(family: 4 | 6, bytes: Uint8Array, isWhole: boolean): Packet {
  return family === 4 ? parseIpv4(bytes, isWhole) : parseIpv6(bytes, isWhole);
}

function parseIpv4(bytes: Uint8Array, isWhole: boolean): Packet {
  const malformed = new Fault("drop_malformed_ip");
  if (bytes.length < 20) throw malformed;
  const first = bytes[0] ?? 0;
  const headerLength = (first & 15) * 4;
  const length = word(bytes, 2);
  if (first >> 4 !== 4 || headerLength < 20 || length < headerLength || headerLength > bytes.length) throw malformed;
  if (isWhole && length > bytes.length) throw malformed;
  const place = word(bytes, 6);
  const fragment = (place & 0x1fff) !== 0 ? "later" : (place & 0x2000) !== 0 ? "first" : "none";
  return {
    family: 4,
    src: bytes.slice(12, 16),
    dst: bytes.slice(16, 20),
    protocol: bytes[9] ?? 0,
    payload: bytes.subarray(headerLength, Math.min(length, bytes.length)),
    fragment,
    id: word(bytes, 4),
    hopLimit: bytes[8] ?? 0,
    hasExtensions: headerLength > 20,
  };
}

const EXTENSIONS = new Set([0, 43, 44, 51, 60, 135, 139, 140]);

function parseIpv6(bytes: Uint8Array, isWhole: boolean): Packet {
  const malformed = new Fault("drop_malformed_ip");
  if (bytes.length < 40 || (bytes[0] ?? 0) >> 4 !== 6) throw malformed;
  const length = word(bytes, 4);
  if (isWhole && length > bytes.length - 40) throw malformed;
  let rest = bytes.subarray(40, Math.min(40 + length, bytes.length));
  let protocol = bytes[6] ?? 0;
  let fragment: Packet["fragment"] = "none";
  let id = 0;
  let count = 0;
  while (EXTENSIONS.has(protocol) && fragment !== "later") {
    if (count === EXTENSIONS_MAX) throw new Fault("drop_ipv6_chain");
    count += 1;
    if (rest.length < 8) throw malformed;
    const units = rest[1] ?? 0;
    const size = protocol === 44 ? 8 : protocol === 51 ? (units + 2) * 4 : (units + 1) * 8;
    if (protocol === 44) {
      const place = word(rest, 2);
      id = word(rest, 4) * 0x10000 + word(rest, 6);
      fragment = place >> 3 !== 0 ? "later" : (place & 1) !== 0 ? "first" : "none";
    }
    if (rest.length < size) throw malformed;
    protocol = rest[0] ?? 0;
    rest = rest.subarray(size);
  }
  return {
    family: 6,
    src: bytes.slice(8, 24),
    dst: bytes.slice(24, 40),
    protocol,
    payload: rest,
    fragment,
    id,
    hopLimit: bytes[7] ?? 0,
    hasExtensions: count > 0,
  };
}

function isIcmp({ family, protocol }: Packet): boolean {
  return protocol === (family === 4 ? 1 : 58);
}

/** Types that are never routed: listeners, routers, neighbours, redirects. */
function isLinkLocalMessage(packet: Packet): boolean {
  if (packet.family !== 6 || packet.protocol !== 58 || packet.fragment === "later" || packet.payload.length < 8)
    return false;
  const type = packet.payload[0] ?? 0;
  return (type >= 130 && type <= 137) || type === 143;
}

function isNeighbourMessage(packet: Packet): boolean {
  return isLinkLocalMessage(packet) && [135, 136].includes(packet.payload[0] ?? 0);
}

/** Throws `Fault`. Not of a later fragment. */
export function flowOf(packet: Packet): Flow {
  if (isIcmp(packet) && packet.payload.length >= 8) {
    const type = packet.payload[0] ?? 0;
    const isError = packet.family === 6 ? type < 128 : [3, 4, 5, 11, 12].includes(type);
    if (isError) {
      let quoted: Packet;
      try {
        quoted = parseIp(packet.family, packet.payload.subarray(8), false);
      } catch {
        throw new Fault("drop_malformed_l4");
      }
      return quoted.fragment === "later" ? flow(quoted, 0, 0) : flowByPorts(quoted, true);
    }
  }
  return flowByPorts(packet, false);
}

function flowByPorts(packet: Packet, isQuoted: boolean): Flow {
  const { payload, protocol, family } = packet;
  const least =
    new Map([
      [6, 20],
      [17, 8],
      [132, 12],
    ]).get(protocol) ?? (isIcmp(packet) ? 8 : 0);
  if (payload.length < (isQuoted ? Math.min(8, least) : least)) throw new Fault("drop_malformed_l4");
  if (least === 0) return flow(packet, 0, 0);
  if (!isIcmp(packet)) return flow(packet, word(payload, 0), word(payload, 2));
  const type = payload[0] ?? 0;
  const hasId = family === 6 ? type === 128 || type === 129 : [0, 8, 13, 14, 15, 16, 17, 18].includes(type);
  const id = hasId ? word(payload, 4) : 0;
  return flow(packet, id, id);
}

function flow({ family, protocol, src, dst }: Packet, sport: number, dport: number): Flow {
  const ends = [
    { address: src, port: sport },
    { address: dst, port: dport },
  ] as const;
  const order = Buffer.compare(src, dst) || sport - dport;
  return order <= 0
    ? { family, protocol, low: ends[0], high: ends[1], isFromLow: true }
    : { family, protocol, low: ends[1], high: ends[0], isFromLow: false };
}

function flowPacketOf(packet: Packet): FlowPacket {
  const { family, protocol, payload } = packet;
  const flow = flowOf(packet);
  const { low, high, isFromLow } = flow;
  const [from, to] = (isFromLow ? [low, high] : [high, low]).map(({ address, port }) => ({
    address: textOf(address),
    port,
  })) as [FlowEnd, FlowEnd];
  const type = payload[0] ?? 0;
  const isErrorType = family === 6 ? protocol === 58 && type < 128 : protocol === 1 && [3, 4, 5, 11, 12].includes(type);
  const isTcp = protocol === 6;
  const flags = payload[13] ?? 0;
  return {
    name: [family, flow.protocol, low.address, low.port, high.address, high.port].join(" "),
    protocol: flow.protocol,
    from,
    to,
    isFromLow,
    isTcp,
    isOpening: isTcp && (flags & 0x17) === 0x02,
    isOpeningsAnswer: isTcp && (flags & 0x17) === 0x12,
    isClosing: isTcp && (flags & 0x05) !== 0,
    isError: payload.length >= 8 && isErrorType,
  };
}

function laterFragment(node: number, { from, as }: Came, { self, assignment }: OracleTables): Verdict {
  const fromPeer = from !== 0;
  if (fromPeer && (node === 0 || as !== "ask")) return { kind: "pass", fromPeer };
  if (node === 0) return { kind: "punt", cause: "punt_fragment", fromPeer };
  if (node === self) return { kind: "pass", fromPeer };
  if (!fromPeer) return { kind: "relay", node, as: "ask", fromPeer };
  if (assignment === undefined) return { kind: "drop", cause: "drop_relay_bound", fromPeer, conflict: false };
  return { kind: "relay", node, as: "final", fromPeer };
}

function byHash(authority: number, { from, as }: Came, { self }: OracleTables): Verdict {
  const fromPeer = from !== 0;
  if (authority === self || (fromPeer && as !== "ask")) return { kind: "pass", fromPeer };
  if (fromPeer) return { kind: "drop", cause: "drop_relay_bound", fromPeer, conflict: false };
  return { kind: "relay", node: authority, as: "ask", fromPeer };
}

function relayKindOf(mac: Uint8Array): RelayKind {
  return (["ask", "direct", "final", "ask"] as const)[((mac[0] ?? 0) >> 2) & 3] ?? "ask";
}

function mayRelay(node: number, { members, departedUntil_ns }: OracleTables, now_ns: bigint): boolean {
  const until_ns = departedUntil_ns.get(node);
  return members.has(node) || (until_ns !== undefined && now_ns < until_ns);
}

function whyNot(vip: OracleVip, tables: OracleTables, now_ns: bigint): string | undefined {
  if (!vip.owned) return "not_owner";
  if (now_ns >= tables.leaseUntil_ns) return "lease_void";
  return now_ns < vip.from_ns ? "held_back" : undefined;
}

function claim(vip: OracleVip, by: Uint8Array, peerCause: string, strangerCause: string): Verdict {
  return { kind: "drop", cause: isPeer(by) ? peerCause : strangerCause, fromPeer: false, conflict: vip.owned };
}

function readOptions(bytes: Uint8Array, into: Map<number, Uint8Array>): boolean {
  let at = 0;
  while (at < bytes.length) {
    const size = (bytes[at + 1] ?? 0) * 8;
    if (size === 0 || at + size > bytes.length) return false;
    into.set(bytes[at] ?? 0, bytes.subarray(at + 2, at + 8));
    at += size;
  }
  return true;
}

function drop(cause: string): Verdict {
  return { kind: "drop", cause, fromPeer: false, conflict: false };
}

function isPeer(mac: Uint8Array): boolean {
  const [first, ...rest] = LAYER_PREFIX;
  return ((mac[0] ?? 0) & 0xf3) === first && same(mac.subarray(1, 4), Uint8Array.from(rest));
}

function isGroup(mac: Uint8Array): boolean {
  return ((mac[0] ?? 0) & 1) === 1;
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

export function word(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
}

/** An address as a key of `vips`. */
export function textOf(address: Uint8Array): string {
  return Buffer.from(address).toString("hex");
}
