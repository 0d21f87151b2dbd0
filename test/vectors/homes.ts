// Where the vectors are run: each home takes a vector and says what became of its frames.
import { loadNativeIfPresent } from "../../lib/native.js";
import { HASH_KEY, slotOf } from "./hash.js";
import { address4, address6, mac } from "./notation.js";
import { Oracle, type OracleTables, type OracleVip, textOf, type Verdict } from "./oracle.js";
import { NOW_NS, SOON_NS, type Vector, VIPS } from "./vector.js";

/** What became of one frame, in words that all homes share. */
export interface Outcome {
  readonly kind: string;
  readonly node: number;
  readonly cause: string;
  readonly fromPeer: boolean;
  readonly conflict: boolean;
  /** Of a reply or a relay. */
  readonly out: Uint8Array | undefined;
}

export interface Home {
  readonly name: string;
  run(vector: Vector): Outcome[];
}

export const LEASE_NS = NOW_NS + 3_600_000_000_000n;

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
export function relayed(vector: Vector, frame: Uint8Array, node: number): Uint8Array {
  return Uint8Array.from([...mac(`front${node}`), ...frontMac(vector), ...frame.subarray(12)]);
}

export const oracleHome: Home = {
  name: "oracle",
  run(vector) {
    const oracle = new Oracle(vector.tables.self);
    const tables = oracleTables(vector);
    return vector.steps.map(({ frame, after_ns }) =>
      outcomeOf(vector, frame, oracle.steer(frame, tables, NOW_NS + after_ns)),
    );
  },
};

function oracleTables(vector: Vector): OracleTables {
  const { self, members, authority } = vector.tables;
  const vips = new Map<string, OracleVip>();
  const add = (texts: readonly string[], vip: OracleVip): void => {
    for (const text of texts) vips.set(textOf(text.includes(":") ? address6(text) : address4(text)), vip);
  };
  add(VIPS.ours, { owned: true, from_ns: NOW_NS });
  add(VIPS.theirs, { owned: false, from_ns: 0n });
  add(VIPS.soon, { owned: true, from_ns: SOON_NS });
  const authorityOf: OracleTables["authorityOf"] = (flow) =>
    authority === "spread" ? spreadNode(slotOf(flow)) : authority;
  return { self, members: new Set(members), authorityOf, leaseUntil_ns: leaseOf(vector), vips };
}

function outcomeOf(vector: Vector, frame: Uint8Array, verdict: Verdict): Outcome {
  const none = { node: 0, cause: "", fromPeer: false, conflict: false, out: undefined };
  switch (verdict.kind) {
    case "leave":
      return { ...none, kind: "leave" };
    case "pass":
      return { ...none, kind: "pass", fromPeer: verdict.fromPeer };
    case "drop":
      return { ...none, kind: "drop", cause: verdict.cause, fromPeer: verdict.fromPeer, conflict: verdict.conflict };
    case "relay":
      return { ...none, kind: "relay", node: verdict.node, out: relayed(vector, frame, verdict.node) };
    case "reply":
      return { ...none, kind: "reply", cause: verdict.cause, out: verdict.frame };
    case "punt":
      return { ...none, kind: "punt", cause: verdict.cause };
    default:
      return verdict satisfies never;
  }
}

/** All that can run here, and why others cannot. */
export function homesHere(): { readonly homes: readonly Home[]; readonly skipped: Readonly<Record<string, string>> } {
  const cpp = cppHome();
  return cpp === undefined
    ? { homes: [oracleHome], skipped: { cpp: "no addon" } }
    : { homes: [oracleHome, cpp], skipped: {} };
}

/** What the vector says. */
export function expectedOutcomes({ steps }: Vector): Outcome[] {
  return steps.map(({ expected, out }) => ({ ...expected, out }));
}

/** To be compared and read. */
export function shown({ kind, node, cause, fromPeer, conflict, out }: Outcome) {
  return {
    kind,
    node,
    cause,
    fromPeer,
    conflict,
    out: out === undefined ? undefined : Buffer.from(out).toString("hex"),
  };
}

/** native/steer as C++. Undefined without the addon. */
function cppHome(): Home | undefined {
  const native = loadNativeIfPresent();
  if (native === undefined) return undefined;
  return {
    name: "cpp",
    run(vector) {
      const pipeline = new native.Pipeline({ frontMac: colons(frontMac(vector)) });
      const { self, members, authority } = vector.tables;
      const nodeOf = (slot: number): number => (authority === "spread" ? spreadNode(slot) : authority);
      const slots =
        authority === 0 ? new Uint16Array(0) : Uint16Array.from({ length: 65537 }, (_, slot) => nodeOf(slot));
      pipeline.setTables({ self, members, slots, hashKey: HASH_KEY });
      pipeline.setVips([
        ...VIPS.ours.map((address) => ({ address, from_ns: NOW_NS })),
        ...VIPS.theirs.map((address) => ({ address })),
        ...VIPS.soon.map((address) => ({ address, from_ns: SOON_NS })),
      ]);
      pipeline.setLease(leaseOf(vector));
      return vector.steps.map(({ frame, after_ns }) => {
        const { verdict, out, ...rest } = pipeline.steer(Buffer.from(frame), NOW_NS + after_ns);
        return { kind: verdict, out, ...rest };
      });
    },
  };
}

function colons(address: Uint8Array): string {
  return Array.from(address, (octet) => octet.toString(16).padStart(2, "0")).join(":");
}
