import assert from "node:assert/strict";
import { test } from "node:test";
import type { OwnershipReport } from "../../lib/lab/observer.js";
import {
  cutShort,
  doubleOwnerSpans,
  lastEnd_ms,
  type OwnerTime,
  ownersNow,
  ownerTimes,
  settledOwners_ms,
  spanSum_ms,
} from "../../lib/lab/ownerTimes.js";

const VIP = "192.0.2.101";
const time = (mac: string, from_ms: number, to_ms: number, vip = VIP): OwnerTime => ({ vip, mac, from_ms, to_ms });

function report(runs: readonly (readonly [mac: string, from_ms: number, to_ms: number])[]): OwnershipReport {
  const owners = runs.map(([mac, from_ms, to_ms]) => ({ mac, from_ms, to_ms, answers: 9 }));
  const vip = { vip: VIP, double_owner_ms: 0, no_owner_ms: 0, longest_silence_ms: 0, asked: 9, answered: 9 };
  const vips = [{ ...vip, contested: 0, announcements: {}, owners }];
  return { double_owner_ms: 0, no_owner_ms: 0, contested: 0, vips };
}

test("owners on the two sides of a split are two owners, although each observer sees one", () => {
  const near = report([
    ["a", 0, 100],
    ["b", 300, 900],
  ]);
  const far = report([["a", 0, 1000]]);
  assert.deepEqual(doubleOwnerSpans(ownerTimes([near, far])), [{ vip: VIP, from_ms: 300, to_ms: 900 }]);
});

test("one owner that two observers see is one owner", () => {
  assert.deepEqual(doubleOwnerSpans([time("a", 0, 100), time("a", 5, 110)]), []);
});

test("owners one after the other, touching or not, are no two owners", () => {
  assert.deepEqual(doubleOwnerSpans([time("a", 0, 100), time("b", 100, 200), time("a", 210, 300)]), []);
});

test("owners of different VIPs have nothing to do with each other", () => {
  assert.deepEqual(doubleOwnerSpans([time("a", 0, 100), time("b", 0, 100, "192.0.2.102")]), []);
});

test("three owners are one span, as long as there are two", () => {
  assert.deepEqual(doubleOwnerSpans([time("a", 0, 50), time("b", 10, 80), time("c", 20, 90)]), [
    { vip: VIP, from_ms: 10, to_ms: 80 },
  ]);
});

test("a run that proves an instant only is not counted", () => {
  assert.deepEqual(doubleOwnerSpans([time("a", 0, 100), time("b", 50, 50)]), []);
});

test("only what lies between two times is summed", () => {
  const spans = [
    { vip: VIP, from_ms: 10, to_ms: 30 },
    { vip: VIP, from_ms: 90, to_ms: 120 },
  ];
  assert.equal(spanSum_ms(spans, 20, 100), 20);
  assert.equal(lastEnd_ms(spans, 100), 20);
  assert.equal(lastEnd_ms(spans, 500), 0);
});

test("an observer that left runs out is told from one that has seen few", () => {
  const runs = Array.from({ length: 32 }, (_, i) => ["a", i * 10, i * 10 + 5] as const);
  assert.deepEqual(cutShort([report(runs)]), [VIP]);
  assert.deepEqual(cutShort([report(runs.slice(1))]), []);
});

test("a VIP's owner now is the one that answered lately, if it is the only one", () => {
  const at = (now_ms: number, ...runs: (readonly [string, number, number])[]) =>
    ownersNow({ ...report(runs), now_ms }, 100);
  const single = at(1000, ["a", 0, 500], ["b", 700, 990]);
  assert.equal(single.problem, undefined);
  assert.equal(single.owners.get(VIP), "b");
  assert.match(at(1000, ["a", 0, 500]).problem ?? "", /nobody/);
  assert.match(at(1000, ["a", 0, 980], ["b", 700, 990]).problem ?? "", /a and b/);
});

test("a takeover is over when the last VIP came to the owner that it has, and not before each has one", () => {
  const at = (now_ms: number, ...runs: [string, number, number][]) => ({ ...report(runs), now_ms });
  const kept = at(1000, ["a", 0, 990]);
  assert.equal(settledOwners_ms([kept, at(1000, ["a", 0, 500], ["b", 700, 980])], 600, 25), 700);
  assert.equal(settledOwners_ms([kept], 600, 25), 600);
  assert.equal(settledOwners_ms([kept, at(1000, ["a", 0, 500])], 600, 25), undefined);
  assert.equal(settledOwners_ms([at(1000)], 600, 25), undefined);
  // A second owner does not keep it from ending: that is judged by itself.
  assert.equal(settledOwners_ms([at(1000, ["b", 700, 980], ["a", 0, 985])], 600, 25), 600);
});
