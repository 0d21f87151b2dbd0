import assert from "node:assert/strict";
import { test } from "node:test";
import { Lateness } from "../../lib/raincore/lateness.js";
import { deriveTimers } from "../../lib/raincore/timers.js";

const TIMERS = deriveTimers(280);
const U = TIMERS.unit_ms;
/** What a hand-over is given, less the time in which a token that was passed on may have come round. */
const GIVEN_UP_U = (TIMERS.handOverFail_ms - TIMERS.callAfter_ms - TIMERS.callSpread_ms) / U;

function lateness(): Lateness {
  return new Lateness(TIMERS);
}

test("one stop says that it may be given up once it is longer than what is left of a hand-over", () => {
  assert.equal(lateness().add((GIVEN_UP_U - 0.1) * U, 1000), false);
  assert.equal(lateness().add((GIVEN_UP_U + 0.1) * U, 1000), true);
});

test("several stops count together", () => {
  const late = lateness();
  assert.equal(late.add(0.6 * GIVEN_UP_U * U, 1000), false);
  assert.equal(late.mayBeGivenUp, false);
  assert.equal(late.add(0.6 * GIVEN_UP_U * U, 2000), true);
  assert.equal(late.mayBeGivenUp, true);
});

test("steps that follow one stop at the same time count it once", () => {
  const late = lateness();
  for (let step = 0; step < 10; step++) assert.equal(late.add(0.6 * GIVEN_UP_U * U, 1000), false);
  assert.equal(late.mayBeGivenUp, false);
});

test("steps shortly after a stop count the time between them only", () => {
  const late = lateness();
  late.add(0.6 * GIVEN_UP_U * U, 1000);
  assert.equal(late.add(0.6 * GIVEN_UP_U * U, 1000 + 0.1 * U), false);
  assert.equal(late.mayBeGivenUp, false);
});

test("what any machine is late by does not add up", () => {
  const late = lateness();
  for (let step = 0; step < 1000; step++) assert.equal(late.add(0.5 * U, 1000 + step * U), false);
  assert.equal(late.mayBeGivenUp, false);
});

test("a token takes it back only if this node has passed one on since it was late", () => {
  const late = lateness();
  late.add(2 * GIVEN_UP_U * U, 1000);
  late.returned(999);
  assert.equal(late.mayBeGivenUp, true);
  late.returned(1000);
  assert.equal(late.mayBeGivenUp, false);
});

test("what was taken back is not remembered by the next stop", () => {
  const late = lateness();
  late.add(0.9 * GIVEN_UP_U * U, 1000);
  late.returned(1001);
  assert.equal(late.add(0.9 * GIVEN_UP_U * U, 2000), false);
});
