// What no list of cases can say: whatever comes in, all homes say the same; and a packet, its reply and an error about it are one flow's.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type Home, homesHere, shown } from "./homes.js";
import { buildFrame } from "./notation.js";
import { DEFAULTS, readVectors, type Vector, type VectorTables } from "./vector.js";

const { homes } = homesHere();
const frames = readVectors().flatMap(({ steps }) => steps.map(({ frame }) => frame));
const tables: VectorTables = {
  ...DEFAULTS,
  departed: [{ node: 9, after_ns: 1n }],
  authority: "spread",
};
const NOTHING = { kind: "leave", node: 0, cause: "", fromPeer: false, conflict: false, told: 0 } as const;

function vectorOf(bytes: readonly Uint8Array[], change: Partial<VectorTables> = {}): Vector {
  const steps = bytes.map((frame) => ({ after_ns: 0n, frame, expected: NOTHING, out: undefined }));
  return { name: "", place: "", tables: { ...tables, ...change }, known: [], steps };
}

function outcomesIn(home: Home, vector: Vector) {
  return home.run(vector).map((outcome) => (outcome === undefined ? undefined : shown(outcome)));
}

/** A frame of the vectors with some bytes changed, cut off or added. */
const spoiled = fc
  .record({
    frame: fc.constantFrom(...frames),
    pokes: fc.array(
      fc.tuple(fc.nat(140), fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 4, 6, 17, 43, 44, 58, 60, 255))),
      { maxLength: 4 },
    ),
    cut: fc.option(fc.nat(140), { freq: 4 }),
    tail: fc.uint8Array({ maxLength: 12 }),
  })
  .map(({ frame, pokes, cut, tail }) => {
    const bytes = Buffer.concat([frame.subarray(0, cut ?? frame.length), tail]);
    for (const [at, value] of pokes) if (at < bytes.length) bytes[at] = value;
    return new Uint8Array(bytes);
  });

describe("all homes agree", { skip: homes.length < 2 ? "there is no home but the oracle here" : false }, () => {
  // The first seed is the same in every run; by the second one, each run sees others (it is printed if it finds something).
  for (const [name, chosen] of [
    ["on frames that are nearly right", { numRuns: 2500, seed: 1 }],
    ["on others in every run", { numRuns: 1000 }],
  ] as const)
    it(name, () => onSpoiled(chosen));
});

function onSpoiled(chosen: fc.Parameters<unknown>): void {
  fc.assert(
    fc.property(
      fc.array(spoiled, { minLength: 1, maxLength: 6 }),
      // What is the default more often tells more.
      fc.record({
        lease: fc.constantFrom<VectorTables["lease"]>("valid", "valid", "valid", "void"),
        vips: fc.constantFrom<VectorTables["vips"]>("all", "all", "all", "ipv4"),
        authority: fc.constantFrom<VectorTables["authority"]>("spread", "spread", 2, 0),
        self: fc.constantFrom(1, 1, 1, 2),
        policy: fc.constantFrom<VectorTables["policy"]>("hash", "receiver", "balanced"),
        choice: fc.constantFrom(1, 2, 3),
        ready: fc.constantFrom<VectorTables["ready"]>(undefined, undefined, [2]),
      }),
      (bytes, tables) => {
        const vector = vectorOf(bytes, tables);
        const [first, ...others] = homes.map((home) => outcomesIn(home, vector));
        for (const other of others) {
          const notRun = other.map((outcome) => outcome === undefined);
          assert.deepEqual(
            other,
            first?.map((outcome, index) => (notRun[index] === true ? undefined : outcome)),
          );
        }
      },
    ),
    chosen,
  );
}

const octet = fc.nat(255);
const address = fc.oneof(
  fc.tuple(octet, octet).map(([a, b]) => `10.${a}.3.${b}`),
  fc.tuple(octet, octet).map(([a, b]) => `2001:db8:${a.toString(16)}::${b.toString(16)}`),
);
const ends = fc
  .tuple(address, address, fc.nat(65535), fc.nat(65535))
  .filter(([a, b]) => a.includes(":") === b.includes(":"));

/** A packet's, and its reply's. */
function transports(protocol: string, isV6: boolean, p: number, q: number): readonly [string, string] {
  if (protocol === "gre" || protocol === "esp") return [`${protocol} / bytes 20`, `${protocol} / bytes 24`];
  if (protocol !== "query") return [`${protocol} ${p}>${q}`, `${protocol} ${q}>${p}`];
  return isV6 ? [`icmp6 type=128 id=${p}`, `icmp6 type=129 id=${p}`] : [`icmp type=8 id=${p}`, `icmp type=0 id=${p}`];
}

describe("one flow", () => {
  it("are a packet, its reply, and the errors about both", () => {
    fc.assert(
      fc.property(ends, fc.constantFrom("tcp", "udp", "sctp", "query", "gre", "esp"), ([a, b, p, q], protocol) => {
        const isV6 = a.includes(":");
        const ip = isV6 ? "ip6" : "ip4";
        const [request, answer] = transports(protocol, isV6, p, q);
        const there = `${ip} ${a}>${b} / ${request}`;
        const back = `${ip} ${b}>${a} / ${answer}`;
        const about = (inner: string): string =>
          `${ip} ${isV6 ? "2001:db8:9::1" : "172.16.0.1"}>${a} / ${isV6 ? "icmp6 type=1" : "icmp type=3"} / ${inner}`;
        const texts = [there, back, about(there), about(back)];
        const vector = vectorOf(texts.map((text) => buildFrame(`eth stranger>front1 / ${text}`)));
        for (const home of homes) {
          const nodes = outcomesIn(home, vector).map((outcome) =>
            outcome?.kind === "pass" ? 1 : (outcome?.node ?? 0),
          );
          assert.deepEqual(new Set(nodes).size, 1, `${home.name}: ${nodes.join(" ")} for ${texts.join("; ")}`);
          assert.ok((nodes[0] ?? 0) > 0);
        }
      }),
      { numRuns: 500, seed: 1 },
    );
  });
});
