// One vector: frames that come in, in their order, and what must become of each. Read from the files in cases/:
//
//   vector NAME
//   tables authority=2 lease=void ...      (and self, members, departed, vips) what is not the default; departed=9:10ms: node 9 has left the view, its lease ends 10 ms after the first frame
//                                          service=ADDRESS,balanced,source or service=ADDRESS,tcp,21,receiver,none (several): what has a policy of its own; ports=ADDRESS,10000,100 and owners=1,0,3: port ranges
//                                          policy=receiver (and stickiness, epoch, since, ready, choice, settled): since=3:7: node 3 is a member since view 7; settled=10ms: after the first frame
//   known NODE LAYERS                      that node handles the packet's flow, as was assigned in this view; NODE@5: in view 5
//   alias NODE LAYERS                      the same, of the answers of a translated connection
//   in LAYERS                              a frame from the segment: see notation.ts
//   VERDICT                                leave | pass [CAUSE] | relay NODE [CAUSE] | drop CAUSE | reply CAUSE | punt CAUSE, and `from-peer`, `conflict`, `told=NODE`
//   out LAYERS                             the frame that goes out: of a reply or a relay
//   later 10s                              time goes by (ns, us, ms, s)
//
// `vector NAME $x for x=a,b,c` is one vector for each of these, in all of whose lines $x is that.
import { readdirSync, readFileSync } from "node:fs";
import type { FlowService, PortRanges } from "../../lib/native.js";
import { buildFrame } from "./notation.js";

export interface VectorTables {
  readonly self: number;
  readonly members: readonly number[];
  /** Who has left the view, and when its lease has ended, since the first step. */
  readonly departed: readonly { readonly node: number; readonly after_ns: bigint }[];
  /** Every flow's node, 0 for no view; `spread`: slot modulo 3, plus 1. */
  readonly authority: number | "spread";
  readonly lease: "valid" | "void";
  /** Those of `VIPS`, or the IPv4 ones of them. */
  readonly vips: "all" | "ipv4";
  readonly policy: "hash" | "receiver" | "balanced";
  readonly stickiness: "none" | "source" | "destination";
  /** The rest is for policies that assign flows: see FlowAssignment (lib/native.ts). Members have been so since view 1 unless it is said. */
  readonly epoch: number;
  readonly since: ReadonlyMap<number, number>;
  /** Undefined: all members. */
  readonly ready: readonly number[] | undefined;
  readonly choice: number;
  readonly settled_ns: bigint;
  readonly services: readonly FlowService[];
  readonly portRanges: PortRanges | undefined;
}

/** What the port remembers before the first step. */
export interface KnownFlow {
  readonly frame: Uint8Array;
  readonly node: number;
  /** Undefined: the view's. */
  readonly epoch: number | undefined;
  readonly isAlias: boolean;
}

export interface Expected {
  readonly kind: "leave" | "pass" | "relay" | "drop" | "reply" | "punt";
  readonly node: number;
  /** The counter; empty for what has none. */
  readonly cause: string;
  readonly fromPeer: boolean;
  readonly conflict: boolean;
  /** The node that is told who handles the flow, or 0. */
  readonly told: number;
}

export interface Step {
  /** Since the first step. */
  readonly after_ns: bigint;
  readonly frame: Uint8Array;
  readonly expected: Expected;
  readonly out: Uint8Array | undefined;
}

export interface Vector {
  readonly name: string;
  readonly place: string;
  readonly tables: VectorTables;
  readonly known: readonly KnownFlow[];
  readonly steps: readonly Step[];
}

export const DEFAULTS: VectorTables = {
  self: 1,
  members: [1, 2, 3],
  departed: [],
  authority: 1,
  lease: "valid",
  vips: "all",
  policy: "hash",
  stickiness: "none",
  epoch: 10,
  since: new Map(),
  ready: undefined,
  choice: 1,
  settled_ns: 0n,
  services: [],
  portRanges: undefined,
};
/** Ours; another's; ours as soon as its last owner's lease has run out. */
export const VIPS = {
  ours: ["10.77.0.20", "2001:db8::20"],
  theirs: ["10.77.0.21", "2001:db8::21"],
  soon: ["10.77.0.22", "2001:db8::22"],
} as const;

/** `addresses`, which are some of `VIPS`, as far as the vector has them. */
export function vipsOf({ tables }: Pick<Vector, "tables">, addresses: readonly string[]): readonly string[] {
  return addresses.filter((address) => tables.vips === "all" || !address.includes(":"));
}

export const NOW_NS = 5_000_000_000n;
/** A VIP that is ours soon is ours then. */
export const SOON_NS = NOW_NS + 10_000_000n;

const CASES = new URL("./cases/", import.meta.url);

export function readVectors(): Vector[] {
  const files = readdirSync(CASES).filter((file) => file.endsWith(".txt"));
  const vectors = files.sort().flatMap((file) => readFile(file, readFileSync(new URL(file, CASES), "utf8")));
  const names = new Set(vectors.map(({ name }) => name));
  if (names.size !== vectors.length) throw new Error("two vectors have one name");
  return vectors;
}

interface Draft {
  readonly name: string;
  readonly place: string;
  tables: VectorTables;
  readonly known: KnownFlow[];
  readonly steps: {
    after_ns: bigint;
    frame: Uint8Array;
    expected: Expected | undefined;
    out: Uint8Array | undefined;
  }[];
  after_ns: bigint;
}

function readFile(file: string, text: string): Vector[] {
  const drafts: Draft[] = [];
  for (const { line, place } of text
    .split("\n")
    .map((line, index) => ({ line: line.trim(), place: `${file}:${index + 1}` }))
    .reduce(toBlocks, [])
    .flatMap(expand)) {
    try {
      readLine(line, place, drafts);
    } catch (error) {
      throw new Error(`${place}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return drafts.map(({ name, place, tables, known, steps }) => ({
    name,
    place,
    tables,
    known,
    steps: steps.map((step) => {
      if (step.expected === undefined) throw new Error(`${place}: a frame of "${name}" has no verdict`);
      return { ...step, expected: step.expected };
    }),
  }));
}

interface Line {
  readonly line: string;
  readonly place: string;
}

function toBlocks(blocks: Line[][], one: Line): Line[][] {
  if (one.line.startsWith("vector ") || blocks.length === 0) blocks.push([]);
  blocks.at(-1)?.push(one);
  return blocks;
}

function expand(block: Line[]): Line[] {
  const [, name, variable, values] = /^(vector .*) for (\w+)=(\S+)$/.exec(block[0]?.line ?? "") ?? [];
  if (name === undefined || variable === undefined || values === undefined) return block;
  return values.split(",").flatMap((value) =>
    block.map(({ line, place }, index) => ({
      line: (index === 0 ? name : line).replaceAll(`$${variable}`, value),
      place,
    })),
  );
}

function readLine(line: string, place: string, drafts: Draft[]): void {
  if (line === "" || line.startsWith("#")) return;
  const at = line.indexOf(" ");
  const [word, rest] = at < 0 ? [line, ""] : [line.slice(0, at), line.slice(at + 1).trim()];
  if (word === "vector") {
    drafts.push({ name: rest, place, tables: DEFAULTS, known: [], steps: [], after_ns: 0n });
    return;
  }
  const draft = drafts.at(-1);
  if (draft === undefined) throw new Error("a file begins with a vector");
  const step = draft.steps.at(-1);
  if (word === "tables") draft.tables = { ...draft.tables, ...readTables(rest) };
  else if (word === "known" || word === "alias") draft.known.push({ ...readKnown(rest), isAlias: word === "alias" });
  else if (word === "later") draft.after_ns += nanoseconds(rest);
  else if (word === "in")
    draft.steps.push({ after_ns: draft.after_ns, frame: buildFrame(rest), expected: undefined, out: undefined });
  else if (step === undefined) throw new Error(`${word} before any frame`);
  else if (word === "out") step.out = buildFrame(rest);
  else step.expected = readExpected(word, rest);
}

function readTables(text: string): Partial<VectorTables> {
  const tables: { -readonly [Key in keyof VectorTables]?: VectorTables[Key] } = {};
  const ranges: PortRanges["ranges"][number][] = [];
  let owners: readonly number[] = [];
  for (const part of text.split(/\s+/)) {
    const [key, value = ""] = part.split("=");
    if (key === "self") tables.self = Number(value);
    else if (key === "members") tables.members = value.split(",").map(Number);
    else if (key === "departed") tables.departed = value.split(",").map(readDeparted);
    else if (key === "authority") tables.authority = value === "spread" ? value : Number(value);
    else if (key === "lease" && (value === "valid" || value === "void")) tables.lease = value;
    else if (key === "vips" && (value === "all" || value === "ipv4")) tables.vips = value;
    else if (key === "policy" && (value === "hash" || value === "receiver" || value === "balanced"))
      tables.policy = value;
    else if (key === "stickiness" && (value === "source" || value === "destination")) tables.stickiness = value;
    else if (key === "epoch") tables.epoch = Number(value);
    else if (key === "since") tables.since = new Map(value.split(",").map(readSince));
    else if (key === "ready") tables.ready = value.split(",").map(Number);
    else if (key === "choice") tables.choice = Number(value);
    else if (key === "settled") tables.settled_ns = nanoseconds(value);
    else if (key === "service") tables.services = [...(tables.services ?? []), readService(value)];
    else if (key === "ports") ranges.push(readRange(value));
    else if (key === "owners") owners = value.split(",").map(Number);
    else throw new Error(`no such table: ${part}`);
  }
  return ranges.length === 0 ? tables : { ...tables, portRanges: { ranges, owners } };
}

function readService(text: string): FlowService {
  const words = text.split(",");
  const [address = "", protocol, port] = words;
  const [policy, stickiness] = words.slice(-2);
  if (policy !== "authority" && policy !== "receiver" && policy !== "balanced") throw new Error(`no policy: ${text}`);
  const isOfPort = words.length === 5 && (protocol === "tcp" || protocol === "udp");
  return {
    address,
    policy,
    ...(isOfPort && { protocol, port: Number(port) }),
    ...((stickiness === "source" || stickiness === "destination") && { stickiness }),
  };
}

function readRange(text: string): PortRanges["ranges"][number] {
  const [address = "", first, size] = text.split(",");
  return { address, first: Number(first), size: Number(size) };
}

function readDeparted(text: string): VectorTables["departed"][number] {
  const [node, time = ""] = text.split(":");
  return { node: Number(node), after_ns: nanoseconds(time) };
}

function readSince(text: string): [number, number] {
  const [node, epoch] = text.split(":");
  return [Number(node), Number(epoch)];
}

function readKnown(text: string): Omit<KnownFlow, "isAlias"> {
  const at = text.indexOf(" ");
  const [node, epoch] = text.slice(0, at).split("@");
  return {
    frame: buildFrame(text.slice(at + 1).trim()),
    node: Number(node),
    epoch: epoch === undefined ? undefined : Number(epoch),
  };
}

const FLAGS = new Set(["from-peer", "conflict"]);
const KINDS = new Set(["leave", "pass", "relay", "drop", "reply", "punt"]);

function readExpected(word: string, rest: string): Expected {
  if (!KINDS.has(word)) throw new Error(`no such line: ${word}`);
  const words = rest.split(/\s+/).filter((one) => one !== "");
  const flags = new Set<string>(words.filter((one) => FLAGS.has(one) || one.startsWith("told=")));
  const kind = word as Expected["kind"];
  const [node = "0", cause = ""] = [...(kind === "relay" ? [] : ["0"]), ...words.filter((one) => !flags.has(one))];
  return {
    kind,
    node: Number(node),
    cause,
    fromPeer: flags.has("from-peer"),
    conflict: flags.has("conflict"),
    told: Number([...flags].find((flag) => flag.startsWith("told="))?.slice(5) ?? 0),
  };
}

function nanoseconds(text: string): bigint {
  const [, amount, unit] = /^(\d+)(ns|us|ms|s)$/.exec(text) ?? [];
  const factor = { ns: 1n, us: 1000n, ms: 1_000_000n, s: 1_000_000_000n }[unit ?? ""];
  if (amount === undefined || factor === undefined) throw new Error(`no time: ${text}`);
  return BigInt(amount) * factor;
}
