import assert from "node:assert/strict";
import { test } from "node:test";
import { Attention } from "../../lib/lab/attention.js";

test("what a process missed is how much later than its ticks it was called, in all", () => {
  let now_ms = 1000;
  const attention = new Attention(() => now_ms);
  for (const step_ms of [10, 12, 310, 10, 110]) {
    now_ms += step_ms;
    attention.tick();
  }
  assert.equal(attention.missed_ms, 300 + 100);
});
