import assert from "node:assert/strict";
import { test } from "node:test";
import { frontMac } from "../../lib/steering/frontMac.js";

test("a front MAC is locally administered, unicast, and ends with the nodeId", () => {
  assert.match(frontMac("front", "external", 0x1234), /^02(:[0-9a-f]{2}){3}:12:34$/);
});

test("clusters, segments and nodes have different front MACs", () => {
  const macs = [
    frontMac("front", "external", 1),
    frontMac("front", "internal", 1),
    frontMac("back", "external", 1),
    frontMac("front", "external", 2),
  ];
  assert.equal(new Set(macs).size, macs.length);
  assert.equal(frontMac("front", "external", 1), macs[0]);
});

test("a nodeId outside 1..65535 is refused", () => {
  for (const nodeId of [0, -1, 65_536, 1.5]) assert.throws(() => frontMac("front", "external", nodeId), RangeError);
});
