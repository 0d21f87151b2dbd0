// What the result of `bench raincore` says about its goals.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Measurement } from "../../bench/raincore/measure.js";
import { resultOf } from "../../bench/raincore/report.js";
import { type BenchResult, NOT_MEASURED } from "../../bench/result.js";
import { formatTable } from "../../bench/table.js";

interface Figures {
  readonly rate?: number;
  readonly view_ms?: readonly number[];
  readonly rest_percent?: number;
  readonly faults?: readonly string[];
}

function measured(contender: string, nodes: number, figures: Figures = {}): Measurement {
  const { rate = 1000, view_ms = [10, 20, 30], rest_percent = 0.5, faults = [] } = figures;
  const traffic = {
    messages_per_s: rate,
    latency_p50_ms: 1,
    latency_p99_ms: 2,
    cpu_us_per_message: 3,
    faults,
  };
  return {
    contender,
    setting: "a setting",
    nodes,
    rest: { cpu_percent: rest_percent, wakeups_per_s: 9 },
    payloads: [{ bytes: 1024, flood: traffic, light: traffic }],
    view_ms,
    unexpectedViews: 0,
    unstable: [],
  };
}

function verdicts({ goals = [] }: BenchResult): (readonly [got: unknown, met: boolean])[] {
  return goals.map(({ got, met }) => [got, met] as const);
}

const CORE = /^CPU time at rest/;

test("goals that are met by a hair are met, and those missed by one are missed, whatever rounding shows", () => {
  const theirs = measured("corosync", 4, { rate: 1000, view_ms: [100] });
  const met = measured("rainfront", 4, { rate: 1000, view_ms: [20], rest_percent: 1 });
  assert.deepEqual(verdicts(resultOf([met, theirs], true)), [
    [1, true],
    [1, true],
    [5, true],
  ]);
  const missed = measured("rainfront", 4, { rate: 999, view_ms: [20.01], rest_percent: 1.001 });
  assert.deepEqual(verdicts(resultOf([missed, theirs], true)), [
    [1, false],
    [1, false],
    [5, false],
  ]);
});

test("a goal that is missed breaks nothing, and a fault in the order does", () => {
  const theirs = measured("corosync", 4, { rate: 9000 });
  assert.equal(resultOf([measured("rainfront", 4), theirs], true).ok, true);
  assert.equal(resultOf([measured("rainfront", 4, { faults: ["out of order"] }), theirs], true).ok, false);
});

test("the rest is that of the largest group of up to four nodes, in the default setting", () => {
  const results = [
    measured("rainfront", 2, { rest_percent: 0.2 }),
    measured("rainfront fast", 4, { rest_percent: 0.1 }),
    measured("rainfront", 8, { rest_percent: 7 }),
  ];
  const of = (some: readonly Measurement[]) => resultOf(some, true).goals?.find((goal) => CORE.test(goal.goal));
  assert.deepEqual([of(results)?.got, of(results)?.goal.endsWith("2 nodes")], [0.2, true]);
  const withFour = [...results, measured("rainfront", 4, { rest_percent: 3 })];
  assert.deepEqual([of(withFour)?.got, of(withFour)?.met], [3, false]);
});

test("a goal is compared with the best of the peers' encrypted settings, at four nodes alone", () => {
  const peers = [
    measured("corosync", 4, { rate: 500, view_ms: [90] }),
    measured("corosync other", 4, { rate: 800, view_ms: [60] }),
    measured("corosync unencrypted", 4, { rate: 9000, view_ms: [1] }),
    measured("corosync", 2, { rate: 1, view_ms: [9999] }),
  ];
  const ours = [measured("rainfront", 2), measured("rainfront", 4, { rate: 1000, view_ms: [20] })];
  assert.deepEqual(verdicts(resultOf([...ours, ...peers], true)).slice(1), [
    [1.25, true],
    [3, false],
  ]);
});

test("what was not measured is not met", () => {
  const unknown = [NOT_MEASURED, false] as const;
  const four = [measured("rainfront", 4), measured("corosync", 4)];
  assert.deepEqual(verdicts(resultOf(four, false)), [unknown, unknown, unknown], "a quick run");
  assert.deepEqual(verdicts(resultOf([], true)), [unknown, unknown, unknown]);
  assert.deepEqual(verdicts(resultOf([measured("rainfront", 4)], true)), [[0.5, true], unknown, unknown]);
  const failed = { contender: "corosync", nodes: 4, why: "it fell apart" };
  assert.deepEqual(verdicts(resultOf([measured("rainfront", 4), failed], true)), [[0.5, true], unknown, unknown]);
  const otherSize = { ...measured("corosync", 4), payloads: [] };
  assert.deepEqual(verdicts(resultOf([measured("rainfront", 4), otherSize], true))[1], unknown);
  const noKill = [measured("rainfront", 4, { view_ms: [] }), measured("corosync", 4)];
  assert.deepEqual(verdicts(resultOf(noKill, true))[2], unknown);
});

test("the table says of each goal whether it is met", () => {
  const results = [measured("rainfront", 4, { rest_percent: 2 }), measured("corosync", 4, { view_ms: [] })];
  const lines = formatTable(resultOf(results, true))
    .split("\n")
    .filter((line) => line.startsWith("GOAL"));
  assert.deepEqual(
    lines.map((line) => /^GOAL ([A-Z ]+): .*: wanted at .*, got /.exec(line)?.[1]),
    ["MISSED", "MET", "NOT MEASURED"],
  );
});
