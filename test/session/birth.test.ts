// What a node takes from the wall clock, whatever that shows.
import assert from "node:assert/strict";
import { test } from "node:test";
import { EPOCH_FLOOR_MAX, epochFloorAt, incarnationAt } from "../../lib/session/birth.js";
import { Cluster } from "./cluster.js";
import type { Orders } from "./plugin.js";

const PLUGIN = new URL("./plugin.ts", import.meta.url).href;
const at = (year: number): number => Date.UTC(year, 0);

test("lives that begin at the same wall time are told apart, and a later one is greater", () => {
  const lives = new Set(Array.from({ length: 100 }, () => incarnationAt(1_700_000_000_000)));
  assert.ok(lives.size > 90, `${lives.size} of 100 differ`);
  assert.ok(incarnationAt(1_700_000_000_001, 0) > incarnationAt(1_700_000_000_000, 2 ** 22 - 1));
  for (const wall_ms of [0, at(2107), at(9999), 8.64e15]) assert.ok(incarnationAt(wall_ms) < 2n ** 64n);
});

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
