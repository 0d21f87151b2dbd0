import assert from "node:assert/strict";
import { test } from "node:test";
import { buildMaglev, MAGLEV_SLOTS } from "../../lib/steering/maglev.js";

function sizes(table: Uint16Array): Map<number, number> {
  const counts = new Map<number, number>();
  for (const nodeId of table) counts.set(nodeId, (counts.get(nodeId) ?? 0) + 1);
  return counts;
}

for (const nodeIds of [[1], [1, 2, 3], [1, 2, 3, 4, 5, 6, 7, 8], [10, 200, 3000, 40000, 65535]]) {
  test(`nodes ${nodeIds} have equal parts of the table, within 2 %`, () => {
    const counts = sizes(buildMaglev(nodeIds));
    const fair = MAGLEV_SLOTS / nodeIds.length;
    assert.deepEqual(
      [...counts.keys()].sort((a, b) => a - b),
      nodeIds,
    );
    for (const count of counts.values()) assert.ok(Math.abs(count - fair) <= fair * 0.02);
  });
}

test("the order and repetition of the nodes do not matter", () => {
  assert.deepEqual(buildMaglev([5, 1, 9, 3]), buildMaglev([3, 9, 1, 5, 9]));
});

test("when a node goes, at most 2 % of the others' slots change hands", () => {
  const all = [1, 2, 3, 4, 5, 6, 7, 8];
  const before = buildMaglev(all);
  for (const gone of all) {
    const after = buildMaglev(all.filter((nodeId) => nodeId !== gone));
    let moved = 0;
    for (let slot = 0; slot < MAGLEV_SLOTS; slot++) {
      if (before[slot] !== gone && before[slot] !== after[slot]) moved += 1;
    }
    assert.ok(moved <= MAGLEV_SLOTS * 0.02, `${moved} slots moved without node ${gone}`);
  }
});

test("a node of weight 3 has three times as many slots as one of weight 1, within 2 %, and where all weigh the same as many", () => {
  const weights = new Map([
    [1, 1],
    [2, 3],
    [3, 1],
  ]);
  const counts = sizes(buildMaglev([1, 2, 3], (node) => weights.get(node) ?? 1));
  for (const [node, weight] of weights) {
    const fair = (MAGLEV_SLOTS * weight) / 5;
    assert.ok(Math.abs((counts.get(node) ?? 0) - fair) <= fair * 0.02, `${counts.get(node)} slots for node ${node}`);
  }
  const equal = sizes(buildMaglev([1, 2, 3], () => 7));
  for (const count of equal.values()) assert.ok(Math.abs(count - MAGLEV_SLOTS / 3) <= MAGLEV_SLOTS * 0.02);
});

test("without nodes every slot is empty", () => {
  assert.ok(buildMaglev([]).every((nodeId) => nodeId === 0));
});

test("a table for 8 nodes is built fast enough to be built at every view (best of 5 under 15 ms)", () => {
  const durations_ms = Array.from({ length: 5 }, () => {
    const start_ms = performance.now();
    buildMaglev([1, 2, 3, 4, 5, 6, 7, 8]);
    return performance.now() - start_ms;
  });
  assert.ok(Math.min(...durations_ms) < 15);
});
