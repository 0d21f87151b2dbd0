// How a split is judged. The split is at 1000 ms, the healing at 4000; VIP 101 was on node a (smaller side), 102 on node b.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { ObserverReport } from "../../lib/lab/observer.js";
import { judgeSplit, type SplitRound, splitLimits } from "../../lib/lab/partitionJudge.js";
import { deriveTimers } from "../../lib/raincore/timers.js";

type Runs = readonly (readonly [mac: string, from_ms: number, to_ms: number])[];

const limits = splitLimits(deriveTimers(280), 280, { majority: [1, 2, 3], minority: [4, 5] }); // a unit is 10 ms: lease 217.5, beacon 100, rotation 40, hand-over 90

function report(now_ms: number, runs: Readonly<Record<string, Runs>>, silence_ms = 0): ObserverReport {
  const vips = Object.entries(runs).map(([vip, owners]) => ({
    ...{ vip, double_owner_ms: 0, no_owner_ms: 0, longest_silence_ms: silence_ms, asked: 900, answered: 800 },
    ...{ contested: 0, announcements: {} },
    owners: owners.map(([mac, from_ms, to_ms]) => ({ mac, from_ms, to_ms, answers: 100 })),
  }));
  const sums = { double_owner_ms: 0, no_owner_ms: 0, contested: 0, send_errors: 0, leaks: 0 };
  return { ...sums, now_ms, window_ms: 1, late_ms_max: 0, marks: {}, vips };
}

/** Both sides own both VIPs after 260 ms; after the healing node a gives up at `yields_ms`. */
function available(yields_ms = 4200): SplitRound {
  const near = (end: number): Record<string, Runs> => ({
    "192.0.2.101": [
      ["a", 700, 999],
      ["b", 1260, end],
    ],
    "192.0.2.102": [["b", 700, end]],
  });
  const far = (end: number, ends: number): Record<string, Runs> => ({
    "192.0.2.101": [["a", 700, ends]],
    "192.0.2.102": [["b", 700, 999], ["a", 1260, ends], ...(ends < end ? [["b", 4000, end] as const] : [])],
  });
  return {
    split: { from_ms: 1000, to_ms: 1000 },
    heal: { from_ms: 4000, to_ms: 4000 },
    apart: { near: [report(3990, near(3989), 260)], far: [report(3990, far(3989, 3989), 260)] },
    whole: { near: [report(9000, near(8999), 260)], far: [report(9000, far(8999, yields_ms), 260)] },
    together_ms: 4300,
    stood_ms: 0,
  };
}

/** The smaller side falls silent at `last_ms`; the larger side takes over at 1280. */
function majority(last_ms = 1210): SplitRound {
  const near = (end: number): Record<string, Runs> => ({
    "192.0.2.101": [
      ["a", 700, 999],
      ["b", 1280, end],
    ],
    "192.0.2.102": [["b", 700, end]],
  });
  const far: Record<string, Runs> = { "192.0.2.101": [["a", 700, last_ms]], "192.0.2.102": [["b", 700, 999]] };
  const healed: Record<string, Runs> = {
    "192.0.2.101": [
      ["a", 700, last_ms],
      ["b", 4000, 8999],
    ],
    "192.0.2.102": [
      ["b", 700, 999],
      ["b", 4000, 8999],
    ],
  };
  return {
    split: { from_ms: 1000, to_ms: 1000 },
    heal: { from_ms: 4000, to_ms: 4000 },
    apart: { near: [report(3990, near(3989), 280)], far: [report(3990, far, 3000)] },
    whole: { near: [report(9000, near(8999), 280)], far: [report(9000, healed, 3000)] },
    together_ms: 4300,
    stood_ms: 0,
  };
}

const withSide = (round: SplitRound, side: "near" | "far", reports: readonly ObserverReport[]): SplitRound => ({
  ...round,
  apart: { ...round.apart, [side]: reports },
});

test("available: two owners while the sides are apart, and a little longer, are allowed and reported", () => {
  const verdict = judgeSplit("available", available(), limits);
  assert.deepEqual(verdict.broken, []);
  assert.equal(verdict.double_owner_ms, 0);
  assert.ok(verdict.double_owner_while_split_ms > 5000);
  assert.equal(verdict.double_owner_after_heal_ms, 200);
  assert.equal(verdict.heal_ms, 300);
});

test("available: two owners for longer than a lease, a beacon and a rest after the healing are not", () => {
  assert.match(
    judgeSplit("available", available(4500), limits).broken.join(),
    /two owners after the healing until 500 ms/,
  );
});

test("available: a side that leaves a VIP without an owner breaks the promise", () => {
  const round = available();
  const silent = withSide(round, "far", [
    report(3990, { "192.0.2.101": [["a", 700, 3989]], "192.0.2.102": [["b", 700, 999]] }, 2990),
  ]);
  const broken = judgeSplit("available", silent, limits).broken.join();
  assert.match(broken, /silent on the minority's side for 2990/);
  assert.match(broken, /minority's side: 192\.0\.2\.102 is answered for by nobody/);
});

test("an owner whose last answer is as old as the observer itself was late is none that is missing", () => {
  const round = available();
  const stale = report(3990, { "192.0.2.101": [["a", 700, 3840]], "192.0.2.102": [["a", 1260, 3840]] }, 260);
  const late = withSide(round, "far", [{ ...stale, late_ms_max: 60 }]);
  assert.doesNotMatch(judgeSplit("available", late, limits).broken.join(), /by nobody/);
  const punctual = withSide(round, "far", [stale]);
  assert.match(judgeSplit("available", punctual, limits).broken.join(), /minority's side: .* by nobody/);
});

test("available: two owners on one side are never allowed", () => {
  const round = available();
  const both = report(9000, {
    "192.0.2.101": [
      ["b", 700, 8999],
      ["c", 2000, 2100],
    ],
    "192.0.2.102": [["b", 700, 8999]],
  });
  const verdict = judgeSplit("available", { ...round, whole: { ...round.whole, near: [both] } }, limits);
  assert.equal(verdict.double_owner_ms, 100 + 300); // c beside b, and, before the split, a beside b
});

test("majority: a smaller side that falls silent in time, and one owner at all times", () => {
  const verdict = judgeSplit("majority", majority(), limits);
  assert.deepEqual(verdict.broken, []);
  assert.equal(verdict.minority_last_answer_ms, 210);
});

test("majority: any two owners across the split break the promise, and so does a smaller side that goes on", () => {
  const broken = judgeSplit("majority", majority(1400), limits).broken.join();
  assert.match(broken, /two owners for 120 ms/);
  assert.match(broken, /minority still answered after 400 ms/);
});

test("groups that find each other too late break the promise", () => {
  const late = { ...majority(), together_ms: 4000 + 4 * 280 + 100 };
  assert.match(judgeSplit("majority", late, limits).broken.join(), /one group again after 1220/);
});

test("a cut that may have taken long cannot be judged", () => {
  const slow = { ...available(), split: { from_ms: 750, to_ms: 1000 } };
  assert.match(judgeSplit("available", slow, limits).broken.join(), /switches took 250 ms to obey/);
});

test("observers that saw nothing, or the same owner from both sides, prove nothing", () => {
  const round = available();
  assert.match(judgeSplit("available", withSide(round, "far", []), limits).broken.join(), /was not observed/);
  const whole = withSide(round, "far", round.apart.near);
  assert.match(judgeSplit("available", whole, limits).broken.join(), /the cut was none/);
});

test("a machine that stood still for longer than a hand-over waits gives a silence the bound once more, and no other time", () => {
  const late = (round: SplitRound, late_ms: number, gap_ms: number): SplitRound => {
    const slow = (each: ObserverReport): ObserverReport => ({ ...each, late_ms_max: late_ms });
    const near = round.apart.near.map(slow).map((each) => ({
      ...each,
      vips: each.vips.map((vip) => ({ ...vip, longest_silence_ms: gap_ms })),
    }));
    return { ...round, apart: { ...round.apart, near } };
  };
  const third_ms = limits.majorityBound_ms / 3;
  const gap_ms = limits.majorityBound_ms + third_ms + 100;
  assert.match(judgeSplit("majority", late(majority(), third_ms - 1, gap_ms), limits).broken.join(), /was silent/);
  assert.deepEqual(judgeSplit("majority", late(majority(), third_ms + 1, gap_ms), limits).broken, []);
  const stopped = { ...late(majority(), 0, gap_ms), stood_ms: third_ms + 1 };
  assert.deepEqual(judgeSplit("majority", stopped, limits).broken, []);
  const answersLong = late(majority(1000 + limits.lease_ms + third_ms + 100), third_ms + 1, gap_ms);
  assert.match(judgeSplit("majority", answersLong, limits).broken.join(), /still answered/);
});
