import assert from "node:assert/strict";
import { test } from "node:test";
import { RainfrontError } from "../../lib/errors.js";
import { deriveTimers, leastTarget_ms } from "../../lib/raincore/timers.js";

const CLOSE = 1e-9;

test("all timers scale with the fail-over target", () => {
  const [a, b] = [deriveTimers(250), deriveTimers(1000)];
  assert.ok(Math.abs(b.lease_ms - 4 * a.lease_ms) < CLOSE);
  assert.ok(Math.abs(b.handOverFail_ms - 4 * a.handOverFail_ms) < CLOSE);
  assert.ok(Math.abs(a.bound_ms - 250) < CLOSE);
});

test("a lease and a round without rest fit the target", () => {
  const t = deriveTimers(250);
  assert.ok(t.lease_ms + 2 * t.unit_ms <= 250 + CLOSE);
});

test("a lease outlives the loss of the token with another node, and a failed hand-over", () => {
  const t = deriveTimers(250);
  const left_ms = t.leaseOwn_ms - t.rotation_ms;
  assert.ok(t.rotation_ms + t.callAfter_ms + t.callSpread_ms + t.callFail_ms < left_ms);
  assert.ok(t.rotation_ms + t.handOverFail_ms < left_ms);
});

test("what a node gives itself is shorter than what the others wait for, by more than clocks can drift", () => {
  const t = deriveTimers(250);
  assert.ok(t.leaseOwn_ms * (1 + 2 * 200e-6) < t.lease_ms);
});

test("more nodes need a longer target: two rounds without rest must fit in it", () => {
  assert.equal(leastTarget_ms(2), 50);
  const least_ms = leastTarget_ms(256);
  assert.ok(2 * 256 * 0.25 <= 3 * deriveTimers(least_ms, 256).unit_ms);
  assert.throws(() => deriveTimers(least_ms - 1, 256), /256 nodes/);
});

for (const target of [0, 49, 60_001, Number.NaN, Number.POSITIVE_INFINITY]) {
  test(`a fail-over target of ${target} ms is refused with the arithmetic`, () => {
    assert.throws(
      () => deriveTimers(target),
      (error: unknown) =>
        error instanceof RainfrontError && error.code === "RF_CONFIG_FAILOVER_TARGET" && /28u/.test(error.message),
    );
  });
}
