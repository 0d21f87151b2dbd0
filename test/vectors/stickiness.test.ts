// Flows of one host beyond the layer, where they stick together: the pipeline in C++ gives all of them to one node, by whichever segment and whichever way their packets come in.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { loadNativeIfPresent, type NativeAddon, type Pipeline } from "../../lib/native.js";
import { HASH_KEY } from "./hash.js";
import { spreadNode } from "./homes.js";
import { buildFrame } from "./notation.js";
import { NOW_NS } from "./vector.js";

const NODES = [1, 2, 3];
const SLOTS = 65_537;
const native = loadNativeIfPresent();

/** The authority of all flows is node 1, the node under test. */
function open({ Pipeline }: NativeAddon, stickiness: "source" | "destination"): Pipeline {
  const pipeline = new Pipeline({ frontMac: "02:aa:bb:cc:00:01" });
  const choices = Uint16Array.from({ length: SLOTS }, (_, slot) => spreadNode(slot));
  const assignment = {
    policy: "receiver",
    stickiness,
    epoch: 1,
    since: [1, 1, 1],
    ready: NODES,
    settled_ns: 0n,
    choices,
  } as const;
  pipeline.setTables({
    self: 1,
    members: NODES,
    slots: new Uint16Array(SLOTS).fill(1),
    hashKey: HASH_KEY,
    assignment,
  });
  pipeline.setVips([]);
  pipeline.setLease(NOW_NS * 2n);
  return pipeline;
}

function handlerOf(pipeline: Pipeline, packet: string): number {
  const { verdict, node } = pipeline.steer(Buffer.from(buildFrame(`eth stranger>front1 / ${packet}`)), NOW_NS);
  assert.ok(verdict === "pass" || verdict === "relay", verdict);
  return verdict === "pass" ? 1 : node;
}

describe("flows that stick together", { skip: native === undefined ? "no addon" : false }, () => {
  const addon = native as NativeAddon;

  it("go to the node of their host beyond the layer, which no translation changes", () => {
    const external = open(addon, "source");
    const internal = open(addon, "destination");
    const seen = new Set<number>();
    const port = fc.integer({ min: 1024, max: 65535 });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 254 }), fc.integer({ min: 1, max: 254 }), port, port, (host, vip, a, b) => {
        const client = `198.51.100.${host}`;
        const control = handlerOf(external, `ip4 ${client}>10.77.0.${vip} / tcp ${a}>21`);
        seen.add(control);
        // Passive: to the same VIP, by another port. Active: from the server that the VIP stands for.
        assert.equal(handlerOf(external, `ip4 ${client}>10.77.0.${vip} / tcp ${b}>${a}`), control);
        assert.equal(handlerOf(internal, `ip4 172.16.0.9>${client} / tcp 20>${b}`), control);
      }),
      { numRuns: 200 },
    );
    assert.deepEqual([...seen].sort(), NODES);
  });
});
