// Frames on their way through several nodes, each the pipeline in C++: whatever the nodes believe, no frame is relayed more than twice; and where they agree on the view, all packets of a flow are
// handled by one of them, however they come in and whatever word between the nodes is lost.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type FlowAssignment, loadNativeIfPresent, type NativeAddon, type Pipeline } from "../../lib/native.js";
import { HASH_KEY } from "./hash.js";
import { buildFrame } from "./notation.js";
import { NOW_NS } from "./vector.js";

const NODES = [1, 2, 3, 4] as const;
const SLOTS = 65_537;
const EPOCH = 10;
const native = loadNativeIfPresent();

interface Beliefs {
  readonly policy: FlowAssignment["policy"] | undefined;
  /** Slots and choices are theirs in turns. */
  readonly ready: readonly number[];
  readonly since: readonly number[];
  readonly choice: number;
}

function open({ Pipeline }: NativeAddon, self: number, { policy, ready, since, choice }: Beliefs): Pipeline {
  const pipeline = new Pipeline({ frontMac: `02:aa:bb:cc:00:0${self}` });
  const slots = Uint16Array.from({ length: SLOTS }, (_, slot) => ready[slot % ready.length] ?? 1);
  const choices = new Uint16Array(SLOTS).fill(choice);
  const assignment = policy && { policy, epoch: EPOCH, since, ready, settled_ns: 0n, choices };
  pipeline.setTables({ self, members: NODES, slots, hashKey: HASH_KEY, ...(assignment && { assignment }) });
  pipeline.setVips([]);
  pipeline.setLease(NOW_NS * 2n);
  return pipeline;
}

interface Told {
  readonly peer: number;
  readonly node: number;
  readonly frame: Buffer;
}

interface Way {
  /** The node that handled it; undefined: it was dropped, or waits. */
  readonly node: number | undefined;
  readonly relays: number;
  readonly told: readonly Told[];
}

/** From the segment to its end. */
function follow(pipelines: readonly Pipeline[], at: number, packet: string): Way {
  let frame: Buffer = Buffer.from(buildFrame(`eth stranger>front${at} / ${packet}`));
  let node = at;
  const told: Told[] = [];
  for (let relays = 0; ; relays++) {
    const verdict = pipelines[node - 1]?.steer(frame, NOW_NS) ?? assert.fail();
    const handler = verdict.verdict === "relay" ? verdict.node : node;
    if (verdict.told !== 0) told.push({ peer: verdict.told, node: handler, frame });
    if (verdict.verdict !== "relay" || verdict.out === undefined || relays > NODES.length)
      return { node: verdict.verdict === "pass" ? node : undefined, relays, told };
    frame = verdict.out;
    node = verdict.node;
  }
}

const nodeId = fc.constantFrom(...NODES);
const beliefs: fc.Arbitrary<Beliefs> = fc.record({
  policy: fc.constantFrom("receiver", "balanced", undefined),
  ready: fc.subarray([...NODES], { minLength: 1 }),
  since: fc.array(fc.constantFrom(1, EPOCH), { minLength: NODES.length, maxLength: NODES.length }),
  choice: nodeId,
});
const packets = [
  "tcp 1>2 flags=S",
  "tcp 2>1 flags=SA",
  "tcp 1>2 flags=A",
  "tcp 1>2 flags=FA",
  "udp 1>2",
  "udp 2>1",
].map((transport) => `ip4 198.51.100.7>10.77.0.20 / ${transport}`);

describe("relays", { skip: native === undefined ? "no addon" : false }, () => {
  const addon = native as NativeAddon;

  it("are two at most, whatever the nodes believe", () => {
    let most = 0;
    fc.assert(
      fc.property(
        fc.tuple(beliefs, beliefs, beliefs, beliefs),
        fc.array(fc.tuple(nodeId, nodeId, fc.constantFrom(1, EPOCH), fc.constantFrom(...packets)), { maxLength: 6 }),
        fc.array(fc.tuple(nodeId, fc.constantFrom(...packets)), { minLength: 1, maxLength: 8 }),
        (all, known, ways) => {
          const pipelines = all.map((one, index) => open(addon, index + 1, one));
          for (const [at, node, epoch, packet] of known)
            pipelines[at - 1]?.know(Buffer.from(buildFrame(`eth stranger>front1 / ${packet}`)), node, epoch, NOW_NS);
          for (const [at, packet] of ways) {
            const { relays } = follow(pipelines, at, packet);
            assert.ok(relays <= 2, `${relays} relays`);
            most = Math.max(most, relays);
          }
        },
      ),
      { numRuns: 400 },
    );
    assert.equal(most, 2);
  });

  it("bring all packets of a flow to one node, wherever they come in, and whichever word is lost", () => {
    fc.assert(
      fc.property(
        fc.constantFrom("receiver", "balanced"),
        fc.subarray([...NODES], { minLength: 1 }),
        nodeId,
        fc.constantFrom("tcp", "udp"),
        fc.array(fc.record({ at: nodeId, isAnswer: fc.boolean(), isHeard: fc.boolean() }), {
          minLength: 1,
          maxLength: 40,
        }),
        (policy, ready, choice, protocol, ways) => {
          const view: Beliefs = { policy: policy as "receiver", ready, since: NODES.map(() => 1), choice };
          const pipelines = NODES.map((self) => open(addon, self, view));
          const nodes = new Set<number | undefined>();
          for (const [index, { at, isAnswer, isHeard }] of ways.entries()) {
            const flags = protocol === "udp" ? "" : index === 0 ? " flags=S" : isAnswer ? " flags=SA" : " flags=A";
            const isBack = isAnswer && index > 0;
            const ip = isBack ? "ip4 10.77.0.20>198.51.100.7" : "ip4 198.51.100.7>10.77.0.20";
            const way = follow(pipelines, at, `${ip} / ${protocol} ${isBack ? "2>1" : "1>2"}${flags}`);
            nodes.add(way.node);
            for (const { peer, node, frame } of isHeard ? way.told : [])
              pipelines[peer - 1]?.know(frame, node, EPOCH, NOW_NS);
          }
          assert.equal(nodes.size, 1);
          assert.ok(!nodes.has(undefined));
        },
      ),
      { numRuns: 400 },
    );
  });
});
