import assert from "node:assert/strict";
import { test } from "node:test";
import { percentile, spreadOf } from "../../lib/lab/statistics.js";

test("a percentile is the smallest value that the share of values does not exceed", () => {
  const twenty = Array.from({ length: 20 }, (_, i) => 20 - i);
  assert.equal(percentile(twenty, 0.5), 10);
  assert.equal(percentile(twenty, 0.95), 19);
  assert.equal(percentile(twenty, 1), 20);
});

test("one value is every percentile, no value is zero", () => {
  assert.deepEqual(spreadOf([7.5]), { p50: 7.5, p95: 7.5, max: 7.5 });
  assert.deepEqual(spreadOf([]), { p50: 0, p95: 0, max: 0 });
});
