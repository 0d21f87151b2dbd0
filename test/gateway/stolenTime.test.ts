import assert from "node:assert/strict";
import { test } from "node:test";
import { cpuFinding } from "../../lib/gateway/doctor.js";
import { stolenShare } from "../../lib/gateway/stolenTime.js";
import { deriveTimers } from "../../lib/raincore/timers.js";

function stat(idle: number, stolen: number): string {
  return `cpu  700 100 80 ${idle} 5 0 20 ${stolen} 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\nintr 5\n`;
}

test("what was stolen is a share of what was wanted, and idle time is no part of it", () => {
  assert.equal(stolenShare(stat(1e9, 100)), 0.1);
  assert.equal(stolenShare(stat(0, 0)), 0);
});

test("a kernel that does not say, or a file that is none, gives nothing", () => {
  for (const text of ["", "cpu  1 2 3\n", "cpu  a b c d e f g h\n", "cpu  0 0 0 9 0 0 0 0 0 0\n"])
    assert.equal(stolenShare(text), undefined, text);
});

test("the doctor warns where the host takes more than a fiftieth, with what a hand-over waits for", () => {
  const timers = deriveTimers(150);
  assert.equal(cpuFinding(stat(5, 18), timers).level, "ok");
  const found = cpuFinding(stat(5, 100), timers);
  assert.equal(found.level, "warning");
  assert.match(found.message, /10 % of the CPU time/);
  assert.match(found.fix ?? "", /failoverTarget_ms \(at 150 a node that stands still for 48 ms is taken for dead\)/);
  assert.equal(cpuFinding("", timers).level, "note");
});
