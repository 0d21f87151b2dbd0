import assert from "node:assert/strict";
import { test } from "node:test";
import { pathCounts } from "../../lib/lab/ringPaths.js";

const up = { up: true, roundTrip_ms: 1 };
const down = { up: false, roundTrip_ms: 0 };

test("a status without paths says nothing about them", () => {
  assert.equal(pathCounts({ ring: { token_sent: 5 } }), undefined);
});

test("paths beside the ring's counters are found as well", () => {
  const paths = [{ nodeId: 2, path: 1, isUp: false }];
  assert.deepEqual(pathCounts({ ring: {}, paths })?.external, { up: 0, down: 1 });
});

test("paths are counted by segment, named or by their place in the ring's order, internal first", () => {
  const expected = { internal: { up: 2, down: 0 }, external: { up: 1, down: 1 } };
  const named = [
    { node: 2, segment: "internal", ...up },
    { node: 2, segment: "external", ...down },
    { node: 3, segment: "internal", ...up },
    { node: 3, segment: "external", ...up },
  ];
  const numbered = [
    { peer: 2, path: 0, ...up },
    { peer: 2, path: 1, ...down },
    { peer: 3, path: 0, ...up },
    { peer: 3, path: 1, ...up },
  ];
  const perPeer = [
    { peer: 2, paths: [up, down] },
    { peer: 3, paths: [up, up] },
  ];
  const flat = [0, 1].flatMap((path) => [2, 3].map((nodeId) => ({ nodeId, path, isUp: path === 0 || nodeId === 3 })));
  const keyed = { gw2: { internal: up, external: down }, gw3: { internal: up, external: up } };
  for (const paths of [named, numbered, perPeer, flat, keyed])
    assert.deepEqual(pathCounts({ ring: { paths } }), expected);
});
