// Loads the native addon and gives it types. Only lib/gateway and lib/session (and benches and tests) may use
// this; the core runs without it.

import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { RainfrontError } from "./errors.js";
import type { AeadKey } from "./raincore/aead.js";
import type { DatagramCounters } from "./session/datagramPort.js";

/** One counter of a front port, as native/steer/counters.def lists it. */
export interface CounterInfo {
  readonly name: string;
  readonly meaning: string;
}

/** How a front port's frames go: by packet rings, or by an XDP program on the NIC. */
export type PortBackend = "af_packet" | "xdp";

/** Where a front port works. */
export interface FrontPortOptions {
  readonly backend: PortBackend;
  /** Interface of the segment. */
  readonly nic: string;
  /** The veth end that is not the kernel's; XDP has none. */
  readonly outer: string;
  /** This node's front MAC on the segment, `02:…`. */
  readonly frontMac: string;
  /** `counters.length` words or more over a SharedArrayBuffer; written by the port's thread, or by `collectCounters`. */
  readonly counters: BigUint64Array;
  /** All ports of a node have the same; absent: `tables` assign no flows. */
  readonly flows?: FlowExchange;
}

/** Which node handles which flow. */
export interface FrontPortTables {
  readonly self: number;
  /** Nodes whose relayed frames are accepted. */
  readonly members: readonly number[];
  /** Nodes that left the view, and when (`monotonicNow_ns`) their relayed frames are not accepted any more; at most 64. */
  readonly departed?: readonly FrontPortDeparture[];
  /** The Maglev table: 65,537 node ids, or empty when there is no view. */
  readonly slots: Uint16Array;
  /** 16 bytes, the same on all nodes of the cluster. */
  readonly hashKey: Buffer;
  /** Absent: the flows' authorities handle them. */
  readonly assignment?: FlowAssignment;
  /** Absent: there are none. */
  readonly portRanges?: PortRanges;
}

/** Ports in equal parts, one for each node: see docs/packet-path.md, rule 33. */
export interface PortRanges {
  /** At most 16. `size` ports from `first` on are the first part, and so on. */
  readonly ranges: readonly { readonly address: string; readonly first: number; readonly size: number }[];
  /** The node of each part; 0: it takes no flows now. At most 256. */
  readonly owners: readonly number[];
}

/** How the authorities assign flows: see docs/packet-path.md. */
export interface FlowAssignment {
  /** To the node that got the first packet, or by weights. */
  readonly policy: "receiver" | "balanced";
  /** The view's, above 0. */
  readonly epoch: number;
  /** Of each of `members`: the epoch of the view in which it came in, above 0. */
  readonly since: readonly number[];
  /** Who may be given new flows. */
  readonly ready: readonly number[];
  /** Until then (`monotonicNow_ns`) flows that an authority does not know may be others'. */
  readonly settled_ns: bigint;
  /** All flows of one host go to one node, whatever the policy: of packets that come in by this port, those of the host that is their source, or destination. */
  readonly stickiness?: "source" | "destination";
  /** With `balanced` and with `stickiness`, of services, too: 65,537 node ids. */
  readonly choices?: Uint16Array;
  /** What has a policy of its own; at most 256. */
  readonly services?: readonly FlowService[];
}

/** Of an address, or of one of its ports: see docs/packet-path.md, rule 34. */
export interface FlowService {
  readonly address: string;
  /** Both, or neither. */
  readonly protocol?: "tcp" | "udp";
  readonly port?: number;
  readonly policy: "authority" | "receiver" | "balanced";
  readonly stickiness?: "source" | "destination";
}

export interface FrontPortDeparture {
  readonly node: number;
  readonly until_ns: bigint;
}

/** A VIP of the port's segment. */
export interface FrontPortVip {
  readonly address: string;
  /** Present when this node owns the VIP: it answers from this time on (`monotonicNow_ns`). */
  readonly from_ns?: bigint;
}

/** The data plane of one segment: see native/port/port.h. Methods throw `RF_PORT_CLOSED` after `close`, `RF_ARGUMENT` for bad values. */
export interface FrontPort {
  setTables(tables: FrontPortTables): void;
  /** True when the port's thread confirmed that it no longer answers for VIPs that are not owned any more. */
  setVips(vips: readonly FrontPortVip[]): boolean;
  /** True when no answer by a lease that ran for longer is on its way out. */
  setLease(until_ns: bigint): boolean;
  /** The lease in force, of an earlier process perhaps; 0: none. */
  leaseUntil(): bigint;
  /** Since which view a node is a member, as an earlier process said that the port's program goes by; 0: none did, or it is no member. */
  memberSince(node: number): number;
  announceAgain(): void;
  /** Brings the words of `counters` up to date. */
  collectCounters(): void;
  /**
   * Puts an XDP program that somebody else has taken off back on its NIC; false: it is there, or the port was closed meanwhile. Some drivers set up their
   * queues anew for it, which takes seconds: a thread of the pool waits for them. Rejects with `RF_XDP_TAKEN`, `RF_XDP_ATTACH` (also when the NIC is gone).
   */
  attachAgain(): Promise<boolean>;
  /** Generic: the NIC's driver cannot run XDP programs, so it runs behind the driver. */
  mode(): "af_packet" | "xdp" | "xdp_generic";
  /** Takes everything off the NIC. A process that ends without it leaves its XDP program there, which falls silent with the lease. */
  close(): void;
  /** Ends this process's part in it, as if the process had ended: an XDP program goes on by what it knows, for as long as its lease says. */
  leave(): void;
}

/** What a NIC's XDP program is. */
export interface AttachedXdp {
  readonly id: number;
  readonly name: string;
  readonly isOurs: boolean;
  readonly isGeneric: boolean;
  /** Of ours: until when it serves by itself (`monotonicNow_ns`); 0: it does not. */
  readonly leaseUntil_ns: bigint;
}

/** What the XDP program did with one frame. */
export interface XdpRun {
  readonly action: "aborted" | "drop" | "pass" | "tx" | "redirect";
  /** As it goes on, if it does. */
  readonly frame: Buffer;
  /** Counters that it added to. */
  readonly counted: Readonly<Record<string, number>>;
  /** A stranger claims a VIP of ours. */
  readonly conflict: boolean;
  /** Nodes that are to be told who handles the frame's flow, and who that is. */
  readonly told: readonly { readonly peer: number; readonly node: number }[];
  /** Frames handed to user space. */
  readonly punted: readonly Buffer[];
}

/** The XDP program by itself, over frames that the caller has. Its constructor throws `RF_NO_PRIVILEGE`, `RF_XDP_LOAD`. */
export interface XdpPipeline {
  setTables(tables: FrontPortTables): void;
  setVips(vips: readonly FrontPortVip[]): void;
  setLease(until_ns: bigint): void;
  /** Fragments and flows. */
  forget(): void;
  know(frame: Buffer, node: number, epoch: number, now_ns: bigint, isAlias?: boolean): void;
  /** A frame of 14 bytes or more. */
  run(frame: Buffer, now_ns: bigint): XdpRun;
}

export interface NativeXdp {
  /** Throws `RF_NIC_MISSING`, `RF_NO_PRIVILEGE`, `RF_XDP_ATTACH`. */
  attached(nic: string): AttachedXdp | undefined;
  /** Takes ours off; false when none of ours was there. Throws as `attached` does. */
  detach(nic: string): boolean;
  /** Whether the NIC's driver says that it runs XDP programs, as the NIC is set up now (queues, LRO); undefined: kernels before 6.3 do not say. Throws `RF_NIC_MISSING`. */
  driverRuns(nic: string): boolean | undefined;
  /**
   * Whether the kernel takes the program. The next port with `xdp` that this process opens goes on with what was loaded for that. Throws
   * `RF_NO_PRIVILEGE`, `RF_XDP_LOAD`.
   */
  probe(): void;
  readonly Pipeline: new (options: { readonly frontMac: string }) => XdpPipeline;
}

/** What the pipeline says of one frame; the names are those of the vectors (docs/packet-path.md). */
export interface PipelineVerdict {
  readonly verdict: "leave" | "pass" | "drop" | "relay" | "reply" | "punt";
  /** The counter under which it is counted, or "". */
  readonly cause: string;
  /** Of a relay. */
  readonly node: number;
  readonly fromPeer: boolean;
  /** A stranger claims a VIP of ours. */
  readonly conflict: boolean;
  /** The node that is to be told who handles the flow, or 0. */
  readonly told: number;
  /** The frame that goes out: of a relay or a reply. */
  readonly out?: Buffer;
}

/** The packet pipeline by itself, over frames that the caller has. */
export interface Pipeline {
  setTables(tables: FrontPortTables): void;
  setVips(vips: readonly FrontPortVip[]): void;
  setLease(until_ns: bigint): void;
  /** The flow of the frame, which has no tags, is handled by that node, as was assigned in view `epoch`. */
  know(frame: Buffer, node: number, epoch: number, now_ns: bigint, isAlias?: boolean): void;
  steer(frame: Buffer, now_ns: bigint): PipelineVerdict;
}

/** Addresses and memory of a datagram port. */
export interface NativeDatagramPortOptions {
  /** IPv4, one socket each; the index is the path. */
  readonly addresses: readonly string[];
  readonly port: number;
  readonly peers: readonly { readonly path: number; readonly address: string }[];
  /** Of each socket, in each direction. */
  readonly buffer_bytes: number;
  /** Memory that the port reads and writes while it lives; lib/session/datagramPortSlabs.ts has its layout. */
  readonly incoming: Buffer;
  readonly arrivals: Int32Array;
  readonly outgoing: Buffer;
  readonly departures: Int32Array;
}

/** See native/datagram/datagram_port.h; lib/session/datagramPort.ts says what the calls do. Belongs to the thread that made it. */
export interface NativeDatagramPort {
  /** Keeps the thread alive from then on, until `close`. */
  listen(onWake: (count: number, timerDue: boolean) => void): void;
  flush(count: number): void;
  setTimer(at_ms: number): void;
  /** CLOCK_BOOTTIME. */
  now_ms(): number;
  counters(): DatagramCounters;
  close(): void;
}

/** Who answers for these addresses on the NIC's segment? */
export interface SurveyOptions {
  readonly nic: string;
  /** The asker's: the NIC's own. */
  readonly mac: string;
  /** IPv4 and IPv6. */
  readonly addresses: readonly string[];
  /** The thread waits so long; up to a minute. */
  readonly patience_ms: number;
}

export interface SurveyAnswer {
  readonly address: string;
  readonly mac: string;
}

/** Of a share of connections (native/conntrack/conntrack_share.h): what was done so far, and what is at hand. */
export interface ConntrackFigures {
  /** Records given out, and changes that found no room to wait. */
  readonly told: number;
  readonly told_full: number;
  /** Times that the kernel had no room for its events, and that it did not tell its entries or take some: both are done again. */
  readonly events_lost: number;
  readonly failed: number;
  /** Records of others that were kept, that found no room, and deliveries that were malformed. */
  readonly kept: number;
  readonly kept_full: number;
  readonly malformed: number;
  /** Entries given to this node's firewall, and that it refused. */
  readonly taken_over: number;
  readonly taken_over_refused: number;
  /** Flows that nobody was found to handle, and of which there was a copy here; and those that were too many to look for copies of. */
  readonly nobodys: number;
  readonly nobodys_full: number;
  /** While this node drains: connections that others have taken from it, and that they have not yet. */
  readonly moved: number;
  readonly unmoved: number;
  /** How often it was looked for them since the drain began. */
  readonly moves_looked: number;
  readonly waiting: number;
  readonly replicas: number;
}

/** Why a connection is told: for when its node is gone; because the receiver handles it from now on; because the sender does. */
export type ConntrackPurpose = "copy" | "move" | "taken";

export interface ConntrackDelivery {
  readonly node: number;
  readonly purpose: ConntrackPurpose;
  readonly records: Buffer;
}

export interface ConntrackShareOptions {
  /** Changes that wait to be told, and connections of others that are kept. */
  readonly waiting_max: number;
  readonly replicas_max: number;
  /** The `handle` of a FlowExchange of this process, where flows are assigned. */
  readonly flows?: number;
}

/** What this node's firewall knows of connections, to be told to the nodes that would take them over. */
export interface ConntrackShare {
  /**
   * Flows are shared by `tables` from now on, and would be by the slots `withoutSelf` if this node were gone (empty: nobody, or not known yet). The firewall gets what
   * has become this node's by a thread of the share's.
   */
  become(tables: FrontPortTables, withoutSelf: Uint16Array): void;
  /** Whether others are to take this node's connections, all that there are and that begin. Not needed where the hash decides who handles them. */
  drain(isDraining: boolean): void;
  /** What waits, for each node and purpose at most so many bytes. */
  take(bytes_max: number): readonly ConntrackDelivery[];
  /** What another node's `take` gave. */
  receive(from: number, purpose: ConntrackPurpose, records: Uint8Array): void;
  /** What is kept of another node's connection, by its first packets' flow. */
  replica(flow: FlowTuple): { readonly from: number; readonly connection: KnownConnection } | undefined;
  figures(): ConntrackFigures;
  close(): void;
}

/** A flow's two ends. Of ICMP queries both ports are the identifier; of protocols without ports both are 0. */
export interface FlowTuple {
  readonly protocol: number;
  readonly source: string;
  readonly sourcePort: number;
  readonly destination: string;
  readonly destinationPort: number;
}

/** What a node's ports remember of a flow. */
export interface KnownFlow {
  /** From who began it, as far as that is known. */
  readonly flow: FlowTuple;
  /** Who handles it; 0: nobody did when all were asked. */
  readonly node: number;
  /** Of the view in which it was assigned. */
  readonly epoch: number;
  readonly place: "opening" | "established";
  readonly life: "opening" | "closing" | "datagram" | "stream";
  /** The node has been a member since, and handles it. */
  readonly isHeld: boolean;
  readonly isAnswered: boolean;
  /** It is a translated connection's, as its answers have it. */
  readonly isAlias: boolean;
  /** The node's firewall knew it, and its packet path did not. */
  readonly isGuessed: boolean;
  /** Since the last packet of it that was handled or passed on here, to within a tenth of a second. */
  readonly idle_ms: number;
}

/** What a firewall knows of a connection; `reply` is not the reverse of `original` where it is translated. */
export interface KnownConnection {
  readonly original: FlowTuple;
  readonly reply: FlowTuple;
  /** Of TCP the kernel's name for it, else `answered` or `unanswered`. */
  readonly state: string;
  readonly isAssured: boolean;
  /** Until it is forgotten. */
  readonly timeout_s: number;
}

/** Looks at flows, which live no longer for that. All throw `RF_ARGUMENT`; `handle` is a FlowExchange's, of any of this process's threads (`RF_PORT_CLOSED`). */
export interface FlowLook {
  /** Of the Maglev table. */
  slot(flow: FlowTuple, hashKey: Buffer): number;
  /** The node of whose part of a port range the flow is; 0: of nobody's. */
  portOwner(flow: FlowTuple, portRanges: PortRanges | undefined): number;
  known(handle: number, flow: FlowTuple): KnownFlow | undefined;
  /** Some flows, all or one node's; and how many there are of each node (0: nobody's). A thread of the pool reads them all. */
  list(
    handle: number,
    options: { readonly node?: number; readonly flows_max: number },
  ): Promise<{
    readonly flows: readonly KnownFlow[];
    readonly counts: readonly { readonly node: number; readonly flows: number }[];
  }>;
  /** What this node's firewall knows of the flow's connection. Throws `RF_NO_PRIVILEGE`, `RF_CONNTRACK`. */
  connection(flow: FlowTuple): KnownConnection | undefined;
}

/** What was done so far: see native/flows/flow_exchange.h. */
export type FlowExchangeFigures = {
  /** Flows that all others were asked for; for which there was no room, or that were too many; that another handles; that nobody does; of which not all could say anything. */
  readonly asked: number;
  readonly asked_full: number;
  readonly found: number;
  readonly unknown: number;
  readonly abandoned: number;
  /** Of others' questions, those of flows that this node handles; of these, those that its firewall alone knew; times that the firewall could not say. */
  readonly answered: number;
  readonly answered_by_firewall: number;
  readonly firewall_failed: number;
  /** Flows that the firewall was not asked for, because these were too many. */
  readonly firewall_full: number;
  /** Records given out; for which there was no room. */
  readonly told: number;
  readonly told_full: number;
  /** Of others' records, those that were taken; and name another node than was known; that name who was not a member since; deliveries that were no records. */
  readonly learned: number;
  readonly corrected: number;
  readonly outdated: number;
  readonly malformed: number;
};

export interface FlowExchangeOptions {
  readonly backend: PortBackend;
  /** Flows that a node remembers, and of these those that nobody has answered yet. */
  readonly established_max: number;
  readonly opening_max: number;
  /** That are not settled, and that are asked in a second: others have to look them up. */
  readonly questions_max: number;
  readonly questions_per_s: number;
  /** Of all peers together. */
  readonly told_max: number;
  readonly told_per_s: number;
  /** With `xdp`: where an earlier process may have left its flows. */
  readonly nics: readonly string[];
}

/** What a node's ports remember of flows, and what nodes say to each other of them. Methods throw `RF_PORT_CLOSED` after `close`, `RF_ARGUMENT` for bad values. */
export interface FlowExchange {
  /** Names it to other threads of this process. */
  readonly handle: number;
  /** Flows that all others are to be asked for; each is to be settled. */
  takeQuestions(bytes_max: number): Buffer;
  /** Of another node's questions, what this node handles; undefined: it cannot say, for it is in no view. */
  answer(keys: Uint8Array): Buffer | undefined;
  /** All others have answered. */
  settle(keys: Uint8Array): void;
  /** They have not. */
  abandon(keys: Uint8Array): void;
  takeTold(bytes_max: number): readonly { readonly node: number; readonly records: Buffer }[];
  learn(records: Uint8Array): void;
  figures(): FlowExchangeFigures;
  close(): void;
}

/** What the addon exports. */
export interface NativeAddon {
  /** Throws errors with the system's code, such as EADDRINUSE. */
  readonly DatagramPort: new (
    options: NativeDatagramPortOptions,
  ) => NativeDatagramPort;
  /** ChaCha20-Poly1305 by node's OpenSSL. */
  readonly AeadKey: new () => AeadKey;
  /** False when this node has no OpenSSL that would do. */
  readonly hasAead: boolean;
  /** Absent where the addon was built without clang or libbpf. */
  readonly xdp?: NativeXdp;
  /**
   * Throws `RF_NIC_MISSING`, `RF_NO_PRIVILEGE`, `RF_PORT_SOCKET`, `RF_PORT_RING`; with `xdp`, `RF_XDP_MISSING`, `RF_XDP_LOAD`,
   * `RF_XDP_TAKEN`, `RF_XDP_ATTACH`.
   */
  readonly FrontPort: new (
    options: FrontPortOptions,
  ) => FrontPort;
  readonly Pipeline: new (options: { readonly frontMac: string }) => Pipeline;
  /** `onWaiting` is called when there are questions or records to take after there were none. Throws `RF_NO_PRIVILEGE`, `RF_XDP_LOAD`, `RF_PORT_RING`, `RF_NIC_MISSING`. */
  readonly FlowExchange: new (
    options: FlowExchangeOptions,
    onWaiting: () => void,
  ) => FlowExchange;
  /** `onWaiting` is called when there is something to take after there was nothing. Throws `RF_NO_PRIVILEGE`, `RF_CONNTRACK`. */
  readonly ConntrackShare: new (
    options: ConntrackShareOptions,
    onWaiting: () => void,
  ) => ConntrackShare;
  readonly flowLook: FlowLook;
  readonly counters: readonly CounterInfo[];
  /** CLOCK_BOOTTIME. */
  monotonicNow_ns(): bigint;
  /**
   * Real-time scheduling for the threads that the process has now: the engine's helpers before the calling one, and that before the main one. With
   * `wholeProcess` only the main one has it at all, and the helpers keep to one CPU. False when the privilege is missing.
   */
  enterRealtime(wholeProcess: boolean): boolean;
  /**
   * The program and its libraries are read into memory and stay there: the ring never waits for a disk to read a page of them. False when the
   * privilege is missing.
   */
  lockMappedFiles(): boolean;
  /** Throws `RF_NIC_MISSING`, `RF_NO_PRIVILEGE`, `RF_PORT_SOCKET`. */
  survey(options: SurveyOptions): readonly SurveyAnswer[];
  /** Takes an interface up or down. Throws `RF_NIC_MISSING`, `RF_NO_PRIVILEGE`, `RF_PORT_SOCKET`. */
  setLinkUp(name: string, isUp: boolean): void;
  /** Offload bits (native/port/offloads.h) that are on. */
  readOffloads(nic: string): number;
  /** Sets the bits in `mask` as in `wanted`; returns what is on afterwards. */
  writeOffloads(nic: string, mask: number, wanted: number): number;
}

export const OFFLOAD_RECEIVE_MERGE = 1 | 2;
export const OFFLOAD_LRO = 2;
export const OFFLOAD_TRANSMIT = 4 | 8;
export const OFFLOAD_RECEIVE_VLAN = 16;

/** The package's folder: two levels up from dist/lib, one from lib. */
function packageRoot(): string {
  const here = dirname(fileURLToPath(import.meta.url));
  return here.endsWith(join("dist", "lib")) ? join(here, "..", "..") : join(here, "..");
}

let loaded: NativeAddon | undefined;

/** For what works without the addon, too. */
export function loadNativeIfPresent(): NativeAddon | undefined {
  try {
    return loadNative();
  } catch {
    return undefined;
  }
}

/** The addon, loaded once. Throws `RF_NATIVE_MISSING` when it was neither shipped for this machine nor built. */
export function loadNative(): NativeAddon {
  if (loaded !== undefined) return loaded;
  const require = createRequire(import.meta.url);
  try {
    const nodeGypBuild = require("node-gyp-build") as (folder: string) => NativeAddon;
    loaded = nodeGypBuild(packageRoot());
    return loaded;
  } catch (cause) {
    throw new RainfrontError("RF_NATIVE_MISSING", "the native addon could not be loaded", {
      fix: "run `npm rebuild rainfront` with a C++20 compiler and CMake installed (in a clone: `npm run build:native`)",
      cause,
    });
  }
}
