// Where the vectors are run: each home takes a vector and says what became of its frames.
import {
  type FlowAssignment,
  type FlowService,
  loadNativeIfPresent,
  type NativeAddon,
  type Pipeline,
  type PortRanges,
  type XdpPipeline,
  type XdpRun,
} from "../../lib/native.js";
import { HASH_KEY, slotOf } from "./hash.js";
import { address4, address6, mac } from "./notation.js";
import {
  type Flow,
  Oracle,
  type OracleTables,
  type OracleVip,
  type RelayKind,
  textOf,
  type Verdict,
} from "./oracle.js";
import type { FlowPacket } from "./oracleFlows.js";
import { NOW_NS, SOON_NS, type Vector, type VectorTables, VIPS, vipsOf } from "./vector.js";

/** What became of one frame, in words that all homes share. */
export interface Outcome {
  readonly kind: string;
  readonly node: number;
  readonly cause: string;
  readonly fromPeer: boolean;
  readonly conflict: boolean;
  readonly told: number;
  /** Of a reply or a relay. */
  readonly out: Uint8Array | undefined;
}

export interface Home {
  readonly name: string;
  /** Undefined for a frame that nobody can give to this home. */
  run(vector: Vector): (Outcome | undefined)[];
}

export const LEASE_NS = NOW_NS + 36_000_000_000_000n;

export function leaseOf({ tables }: Vector): bigint {
  return tables.lease === "valid" ? LEASE_NS : NOW_NS;
}

/** Slots of `authority=spread`. */
export function spreadNode(slot: number): number {
  return (slot % 3) + 1;
}

export function frontMac(vector: Vector): Uint8Array {
  return mac(`front${vector.tables.self}`);
}

/** A relay changes the MACs and nothing else. */
function relayed({ tables }: Vector, frame: Uint8Array, node: number, as: RelayKind): Uint8Array {
  const source = mac(`${as === "ask" ? "front" : as}${tables.self}`);
  return Uint8Array.from([...mac(`front${node}`), ...source, ...frame.subarray(12)]);
}

export const oracleHome: Home = {
  name: "oracle",
  run(vector) {
    const oracle = new Oracle(vector.tables.self);
    const tables = oracleTables(vector);
    for (const { frame, node, epoch, isAlias } of vector.known)
      oracle.know(frame, node, epoch ?? vector.tables.epoch, NOW_NS, isAlias);
    return vector.steps.map(({ frame, after_ns }) =>
      outcomeOf(vector, frame, oracle.steer(frame, tables, NOW_NS + after_ns)),
    );
  },
};

function oracleTables(vector: Vector): OracleTables {
  const { self, members, departed, authority } = vector.tables;
  const vips = new Map<string, OracleVip>();
  const add = (texts: readonly string[], vip: OracleVip): void => {
    for (const text of vipsOf(vector, texts))
      vips.set(textOf(text.includes(":") ? address6(text) : address4(text)), vip);
  };
  add(VIPS.ours, { owned: true, from_ns: NOW_NS });
  add(VIPS.theirs, { owned: false, from_ns: 0n });
  add(VIPS.soon, { owned: true, from_ns: SOON_NS });
  const authorityOf: OracleTables["authorityOf"] = (flow) =>
    portOwner(flow, vector.tables.portRanges) ?? (authority === "spread" ? spreadNode(slotOf(flow)) : authority);
  return {
    self,
    members: new Set(members),
    departedUntil_ns: new Map(departed.map(({ node, after_ns }) => [node, NOW_NS + after_ns])),
    hasView: authority !== 0,
    authorityOf,
    isByPort: (flow) => portOwner(flow, vector.tables.portRanges) !== undefined,
    leaseUntil_ns: leaseOf(vector),
    carriesIpv6: vector.tables.vips === "all",
    vips,
    assignment: oracleAssignment(vector.tables),
  };
}

function oracleAssignment(tables: VectorTables) {
  const { policy, stickiness, epoch, members, since, ready, choice, settled_ns, services } = tables;
  if (policy === "hash") return undefined;
  return {
    policy: stickiness === "none" ? policy : "balanced",
    policyOf: (packet: FlowPacket) => servicePolicy(packet, services),
    epoch,
    since: new Map(members.map((node) => [node, since.get(node) ?? 1])),
    ready: new Set(ready ?? members),
    choiceOf: () => choice,
    settled_ns: NOW_NS + settled_ns,
  };
}

/** Rule 33. Undefined: in nobody's part. */
function portOwner(flow: Flow, all: PortRanges | undefined): number | undefined {
  if (all === undefined || ![6, 17].includes(flow.protocol)) return undefined;
  for (const { address, first, size } of all.ranges) {
    for (const end of [flow.low, flow.high]) {
      if (textOf(end.address) !== textOf(bytesOfAddress(address))) continue;
      const owner = end.port < first ? undefined : all.owners[Math.floor((end.port - first) / size)];
      if (owner !== undefined) return owner === 0 ? undefined : owner;
    }
  }
  return undefined;
}

/** Rule 34. Undefined: it has none of its own. */
function servicePolicy({ to, from, protocol }: FlowPacket, services: readonly FlowService[]) {
  const name = { 6: "tcp", 17: "udp" }[protocol];
  for (const end of [to, from]) {
    const of = services.filter(({ address }) => textOf(bytesOfAddress(address)) === end.address);
    const service =
      of.find((one) => one.protocol === name && one.port === end.port) ?? of.find((one) => one.port === undefined);
    if (service !== undefined) return service.stickiness === undefined ? service.policy : "balanced";
  }
  return undefined;
}

function bytesOfAddress(text: string): Uint8Array {
  return text.includes(":") ? address6(text) : address4(text);
}

function outcomeOf(vector: Vector, frame: Uint8Array, verdict: Verdict): Outcome {
  const none = { node: 0, cause: "", fromPeer: false, conflict: false, told: 0, out: undefined };
  switch (verdict.kind) {
    case "leave":
      return { ...none, kind: "leave" };
    case "pass":
      return { ...none, kind: "pass", fromPeer: verdict.fromPeer, cause: verdict.cause ?? "", told: verdict.told ?? 0 };
    case "drop":
      return { ...none, kind: "drop", cause: verdict.cause, fromPeer: verdict.fromPeer, conflict: verdict.conflict };
    case "relay": {
      const { node, as, fromPeer, cause = "", told = 0 } = verdict;
      return { ...none, kind: "relay", node, fromPeer, cause, told, out: relayed(vector, frame, node, as) };
    }
    case "reply":
      return { ...none, kind: "reply", cause: verdict.cause, out: verdict.frame };
    case "punt":
      return { ...none, kind: "punt", cause: verdict.cause, fromPeer: verdict.fromPeer };
    default:
      return verdict satisfies never;
  }
}

/** All that can run here, and why others cannot. */
export function homesHere(): { readonly homes: readonly Home[]; readonly skipped: Readonly<Record<string, string>> } {
  const native = loadNativeIfPresent();
  if (native === undefined) return { homes: [oracleHome], skipped: { cpp: "no addon", xdp: "no addon" } };
  const cpp = cppHome(native);
  const whyNot = whyNoXdp(native);
  if (whyNot !== undefined) return { homes: [cpp, oracleHome], skipped: { xdp: whyNot } };
  return { homes: [cpp, xdpHome(native), oracleHome], skipped: {} };
}

/** What became of the vector's frames in a home, and what should have: of those that could be given to it, how many could not. */
export function comparedIn(home: Home, vector: Vector) {
  const outcomes = home.run(vector);
  const expected = expectedOutcomes(vector);
  const indexes = outcomes.flatMap((outcome, index) => (outcome === undefined ? [] : [index]));
  const pick = (all: readonly (Outcome | undefined)[]) =>
    indexes.flatMap((index) => all[index] ?? []).map((outcome) => shown(outcome));
  return { got: pick(outcomes), wanted: pick(expected), notRun: outcomes.length - indexes.length };
}

/** What the vector says. */
export function expectedOutcomes({ steps }: Vector): Outcome[] {
  return steps.map(({ expected, out }) => ({ ...expected, out }));
}

/** To be compared and read. */
export function shown({ kind, node, cause, fromPeer, conflict, told, out }: Outcome) {
  return {
    kind,
    node,
    cause,
    fromPeer,
    conflict,
    told,
    out: out === undefined ? undefined : Buffer.from(out).toString("hex"),
  };
}

/** native/steer as C++. */
function cppHome(native: NativeAddon): Home {
  return {
    name: "cpp",
    run(vector) {
      const pipeline = new native.Pipeline({ frontMac: colons(frontMac(vector)) });
      fill(pipeline, vector);
      for (const { frame, node, epoch, isAlias } of vector.known)
        pipeline.know(Buffer.from(frame), node, epoch ?? vector.tables.epoch, NOW_NS, isAlias);
      return vector.steps.map(({ frame, after_ns }) => {
        const { verdict, out, ...rest } = pipeline.steer(Buffer.from(frame), NOW_NS + after_ns);
        return { kind: verdict, out, ...rest };
      });
    },
  };
}

/** Why the XDP program cannot be loaded here. */
function whyNoXdp({ xdp }: NativeAddon): string | undefined {
  if (xdp === undefined) return "built without clang or libbpf";
  try {
    new xdp.Pipeline({ frontMac: colons(mac("front1")) });
    return undefined;
  } catch (error) {
    if ((error as { code?: unknown }).code !== "RF_NO_PRIVILEGE") throw error;
    return "no privilege to load BPF programs";
  }
}

/** native/steer in the kernel. What it did is told from the kernel's action, the frame and the counters. */
function xdpHome({ xdp }: NativeAddon): Home {
  /** One for each node: loading it takes longer than all its frames. */
  const pipelines = new Map<string, XdpPipeline>();
  return {
    name: "xdp",
    run(vector) {
      if (xdp === undefined) throw new Error("no XDP in this addon");
      const front = colons(frontMac(vector));
      const pipeline = pipelines.get(front) ?? new xdp.Pipeline({ frontMac: front });
      pipelines.set(front, pipeline);
      pipeline.forget();
      fill(pipeline, vector);
      for (const { frame, node, epoch, isAlias } of vector.known)
        pipeline.know(Buffer.from(frame), node, epoch ?? vector.tables.epoch, NOW_NS, isAlias);
      return vector.steps.map(({ frame, after_ns }) => {
        // The kernel runs no program on less than an Ethernet header.
        if (frame.length < 14) return undefined;
        const run = pipeline.run(Buffer.from(frame), NOW_NS + after_ns);
        const outcome = outcomeOfRun(Buffer.from(frame), run);
        const wrong = miscounted(frame, outcome, run.counted) ?? mistold(outcome, run, vector);
        return wrong === undefined ? outcome : { ...outcome, cause: wrong };
      });
    },
  };
}

function outcomeOfRun(frame: Buffer, { action, frame: after, counted, conflict, told, punted }: XdpRun): Outcome {
  const fromPeer = counted.relay_in_frames === 1;
  const cause = Object.keys(counted).find((name) => !FRAME_COUNTERS.has(name)) ?? "";
  const common = { node: 0, cause, fromPeer, conflict, told: told[0]?.peer ?? 0, out: undefined };
  if (action === "tx" && counted.relay_out_frames === 1)
    return { ...common, kind: "relay", node: after.readUInt16BE(4), out: after };
  if (action === "tx") return { ...common, kind: "reply", out: after };
  if (action === "drop" && punted.length === 1 && punted[0]?.equals(frame) === true) return { ...common, kind: "punt" };
  if (action === "drop") return { ...common, kind: "drop" };
  if (action !== "pass") return { ...common, kind: action };
  if (!after.equals(frame)) return { ...common, kind: "changed" };
  return { ...common, kind: counted.pass_frames === 1 ? "pass" : "leave" };
}

/** Of every frame that is not left to the kernel, beside its cause. */
const FRAME_COUNTERS: ReadonlySet<string> = new Set([
  "rx_frames",
  "rx_bytes",
  "tx_frames",
  "tx_bytes",
  "pass_frames",
  "relay_out_frames",
  "relay_in_frames",
]);

/** What it counted, if that is not what such an outcome counts. */
function miscounted(frame: Uint8Array, outcome: Outcome, counted: XdpRun["counted"]): string | undefined {
  const { kind, cause, fromPeer, out } = outcome;
  const wanted: Record<string, number> = kind === "leave" ? {} : { rx_frames: 1, rx_bytes: frame.length };
  if (cause !== "") wanted[cause] = 1;
  if (fromPeer) wanted.relay_in_frames = 1;
  if (kind === "pass") wanted.pass_frames = 1;
  if (kind === "relay") wanted.relay_out_frames = 1;
  if (out !== undefined) Object.assign(wanted, { tx_frames: 1, tx_bytes: out.length });
  const text = (counts: Readonly<Record<string, number>>) => JSON.stringify(Object.entries(counts).sort());
  return text(counted) === text(wanted) ? undefined : `counted ${text(counted)}`;
}

/** Who handles the flow, as others are told, if that is another one than what became of the frame says. */
function mistold({ kind, node }: Outcome, { told }: XdpRun, { tables }: Vector): string | undefined {
  const handler = kind === "relay" ? node : tables.self;
  return told.every((one) => one.node === handler) && told.length <= 1 ? undefined : `told ${JSON.stringify(told)}`;
}

/** The vector's tables. */
function fill(pipeline: Pick<Pipeline, "setTables" | "setVips" | "setLease">, vector: Vector): void {
  const { self, members, authority, policy } = vector.tables;
  const departed = vector.tables.departed.map(({ node, after_ns }) => ({ node, until_ns: NOW_NS + after_ns }));
  const nodeOf = (slot: number): number => (authority === "spread" ? spreadNode(slot) : authority);
  const slots = authority === 0 ? new Uint16Array(0) : Uint16Array.from({ length: 65537 }, (_, slot) => nodeOf(slot));
  const assignment = policy === "hash" ? undefined : assignmentOf(vector.tables, policy);
  const { portRanges } = vector.tables;
  const rest = { ...(portRanges && { portRanges }), ...(assignment && { assignment }) };
  pipeline.setTables({ self, members, departed, slots, hashKey: HASH_KEY, ...rest });
  pipeline.setVips([
    ...vipsOf(vector, VIPS.ours).map((address) => ({ address, from_ns: NOW_NS })),
    ...vipsOf(vector, VIPS.theirs).map((address) => ({ address })),
    ...vipsOf(vector, VIPS.soon).map((address) => ({ address, from_ns: SOON_NS })),
  ]);
  pipeline.setLease(leaseOf(vector));
}

function assignmentOf(tables: VectorTables, policy: FlowAssignment["policy"]): FlowAssignment {
  const { stickiness, epoch, members, since, ready = members, choice, settled_ns, services } = tables;
  const ofServices = services.some((one) => one.policy === "balanced" || one.stickiness !== undefined);
  const isChosen = policy === "balanced" || stickiness !== "none" || ofServices;
  return {
    policy,
    ...(stickiness !== "none" && { stickiness }),
    epoch,
    since: members.map((node) => since.get(node) ?? 1),
    ready,
    settled_ns: NOW_NS + settled_ns,
    ...(isChosen && { choices: new Uint16Array(65537).fill(choice) }),
    ...(services.length > 0 && { services }),
  };
}

function colons(address: Uint8Array): string {
  return Array.from(address, (octet) => octet.toString(16).padStart(2, "0")).join(":");
}
