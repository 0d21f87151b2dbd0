import assert from "node:assert/strict";
import { test } from "node:test";
import { busyShare, type CpuTimes, elapsed, parseCpuTimes, readCpuTimes, stolenShare } from "../lib/cpuTimes.js";

const STAT = "cpu  700 100 80 60 40 0 20 100 7 0\ncpu0 1 2 3 4 5 6 7 8 0 0\ncpu10 1 1 1 1 1 1 1 1 0 0\nintr 5\n";

test("all CPUs together, or one of them", () => {
  assert.deepEqual(parseCpuTimes(STAT), { busy: 900, idle: 100, stolen: 100 });
  assert.deepEqual(parseCpuTimes(STAT, 0), { busy: 19, idle: 9, stolen: 8 });
  assert.equal(parseCpuTimes(STAT, 1), undefined);
  assert.ok(readCpuTimes().busy >= readCpuTimes(0).busy);
});

test("a kernel that does not say, or a file that is none, gives nothing", () => {
  for (const text of ["", "cpu  1 2 3\n", "cpu  a b c d e f g h\n"]) assert.equal(parseCpuTimes(text), undefined, text);
  assert.throws(() => readCpuTimes(100_000), /CPU 100000/);
});

test("what was stolen is a share of what was wanted, and idle time is no part of it", () => {
  const at = (idle: number, stolen: number): CpuTimes => ({ busy: 900, idle, stolen });
  assert.equal(stolenShare(at(1e9, 100)), 0.1);
  assert.equal(stolenShare(at(0, 0)), 0);
  assert.equal(stolenShare({ busy: 0, idle: 9, stolen: 0 }), undefined);
});

test("time that was stolen is not idle", () => {
  const before = { busy: 150, idle: 850, stolen: 7 };
  assert.equal(busyShare(elapsed(before, { busy: 230, idle: 860, stolen: 17 })), 0.9);
  assert.equal(busyShare(elapsed(before, before)), 0);
});
