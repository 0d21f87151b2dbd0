// Where epochs begin, whatever the wall clock shows.
import assert from "node:assert/strict";
import { test } from "node:test";
import { EPOCH_FLOOR_MAX, epochFloorAt } from "../../lib/session/epochFloor.js";
import { Cluster } from "./cluster.js";
import type { Orders } from "./plugin.js";

const PLUGIN = new URL("./plugin.ts", import.meta.url).href;
const at = (year: number): number => Date.UTC(year, 0);

test("epochs begin at the wall clock's seconds", () => {
  assert.deepEqual(epochFloorAt(1_700_000_000_999), { epochFloor: 1_700_000_000, isClamped: false });
  assert.equal(epochFloorAt(at(2090)).isClamped, false);
});

test("a clock beyond what 32 bits can have leaves room for new views all the same", () => {
  for (const wall_ms of [at(2105), at(2107), at(9999), 8.64e15]) {
    assert.deepEqual(epochFloorAt(wall_ms), { epochFloor: EPOCH_FLOOR_MAX, isClamped: true });
  }
  assert.ok(EPOCH_FLOOR_MAX + 2 ** 27 < 2 ** 32);
  assert.deepEqual(epochFloorAt(-1), { epochFloor: 0, isClamped: true });
});

test("a node whose clock is of another century forms a group, and says what is wrong", {
  timeout: 60_000,
}, async () => {
  const orders: Orders = { wall_ms: at(2300) };
  const cluster = await Cluster.of(1, { plugin: { module: PLUGIN, data: orders } });
  try {
    const node = await cluster.start(1);
    const codes: string[] = [];
    node.on("log", ({ code }) => codes.push(code));
    const { epoch } = await node.joined();
    assert.ok(codes.includes("ring_clock_beyond_epochs"), codes.join());
    assert.ok(epoch > EPOCH_FLOOR_MAX && epoch < EPOCH_FLOOR_MAX + 1000, `epoch ${epoch}`);
  } finally {
    await cluster.close();
  }
});
