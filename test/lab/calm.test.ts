// What counts as a false takeover while nobody died.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Calm } from "../../lib/lab/calm.js";
import type { ObserverReport } from "../../lib/lab/observer.js";

const VIP = "192.0.2.101";
type Runs = readonly (readonly [mac: string, from_ms: number, to_ms: number])[];

function report(runs: Runs, announcements: Record<string, number> = {}, double_owner_ms = 0): ObserverReport {
  const owners = runs.map(([mac, from_ms, to_ms]) => ({ mac, from_ms, to_ms, answers: 9 }));
  const counts = { double_owner_ms, no_owner_ms: 0, longest_silence_ms: 3, asked: 9, answered: 9, contested: 0 };
  const sums = { double_owner_ms, no_owner_ms: 0, contested: 0, send_errors: 0, leaks: 0 };
  const window = { now_ms: 1000, window_ms: 1000, late_ms_max: 2, marks: {} };
  return { ...window, ...sums, vips: [{ vip: VIP, ...counts, announcements, owners }] };
}

function judge(...reports: ObserverReport[]) {
  const calm = new Calm(new Map([[VIP, "a"]]));
  for (const each of reports) calm.add([each]);
  return calm.figures();
}

test("an owner that goes on, with gaps or without, has not moved", () => {
  const figures = judge(
    report([
      ["a", 0, 400],
      ["a", 450, 1000],
    ]),
    report([["a", 1000, 2000]]),
    report([]),
  );
  assert.equal(figures.vip_moves, 0);
  assert.equal(figures.longest_silence_ms, 3);
});

test("a VIP that goes away and comes back has moved twice, also from one window to the next", () => {
  assert.equal(
    judge(
      report([
        ["a", 0, 400],
        ["b", 450, 1000],
      ]),
      report([["a", 1000, 2000]]),
    ).vip_moves,
    2,
  );
});

test("a second owner beside one that goes on is seen as moves and as two owners", () => {
  const figures = judge(
    report(
      [
        ["a", 0, 1000],
        ["b", 400, 500],
      ],
      {},
      100,
    ),
  );
  assert.equal(figures.vip_moves, 2);
  assert.equal(figures.double_owner_ms, 100);
});

test("the owner's own announcements are none by others", () => {
  assert.equal(judge(report([], { a: 3, b: 2 })).announcements_by_others, 2);
});

test("a window without one answer is told, not taken for calm", () => {
  const seen = report([]);
  const silent = { ...seen, vips: seen.vips.map((vip) => ({ ...vip, answered: 0 })) };
  assert.equal(judge(silent, seen).silent_windows, 1);
});

test("figures are lower bounds where an observer left runs out", () => {
  const many: Runs = Array.from({ length: 32 }, (_, i) => ["a", i * 10, i * 10 + 5] as const);
  assert.equal(judge(report(many)).at_least, true);
  assert.equal(judge(report(many.slice(1))).at_least, false);
});
