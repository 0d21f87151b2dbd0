import assert from "node:assert/strict";
import { test } from "node:test";
import type { RequestResult } from "../../lib/lab/loadProtocol.js";
import { judgeRequests, type Transition } from "../../lib/lab/transitions.js";

const transitions: readonly Transition[] = [
  { kind: "takeover", settled_ms: 950, from_ms: 1000, to_ms: 1200 },
  { kind: "rejoin", settled_ms: 4700, from_ms: 5000, to_ms: 6500 },
];

function request(begin_ms: number, error?: string, open_ms = 2000): RequestResult {
  const addresses = { source: "198.51.100.10", sourcePort: 1025, target: "10.77.0.51", targetPort: 80 };
  const result = { ...addresses, begin_ms, end_ms: begin_ms + open_ms, missed_ms: 3 };
  return error === undefined ? result : { ...result, error };
}

test("failures during a takeover or a rejoin are told apart from failures in quiet times", () => {
  const judged = judgeRequests(
    [request(1100, "timeout"), request(5500, "timeout"), request(1201, "ECONNRESET"), request(1300), request(7000)],
    transitions,
  );
  assert.deepEqual(judged, {
    ok: 2,
    failed_in_transition: 2,
    failed_in_takeover: 1,
    failed_in_rejoin: 1,
    failed_after_takeover: 1,
    failed_at_standstill: 0,
    excuses: [],
    errors: { timeout: 2, ECONNRESET: 1 },
    client_missed_ms_max: 3,
    quiet_failures: [
      {
        connection: "198.51.100.10:1025>10.77.0.51:80",
        error: "ECONNRESET",
        begin_ms: 1201,
        after: "takeover",
        after_ms: 1,
      },
    ],
  });
});

test("a request that was just open when a gateway died is the takeover's", () => {
  assert.equal(judgeRequests([request(990, "timeout")], transitions).failed_in_takeover, 1);
});

test("a request that had been open for long before a transition failed by itself", () => {
  assert.equal(judgeRequests([request(4000, "timeout")], transitions).failed_after_takeover, 1);
});

test("what was begun after the requests had settled is the transition's, however long that took to begin", () => {
  assert.equal(judgeRequests([request(4700, "timeout")], transitions).failed_in_rejoin, 1);
  assert.equal(judgeRequests([request(4690, "timeout")], transitions).failed_after_takeover, 1);
});

test("a request that was over before the transition began failed by itself, however close", () => {
  assert.equal(judgeRequests([request(995, "ECONNRESET", 4)], transitions).failed_after_takeover, 1);
  assert.equal(judgeRequests([request(995, "ECONNRESET", 6)], transitions).failed_in_takeover, 1);
});

test("only what was open while the machine stood still is left to that, and no transition's failure", () => {
  const slept = [
    [1100, 1300],
    [2500, 4000],
  ] as const;
  const excuseFor = (from_ms: number, to_ms: number) =>
    slept.some(([from, to]) => from_ms <= to && to_ms >= from) ? "the machine slept" : undefined;
  const judged = (begin_ms: number) => {
    const figures = judgeRequests([request(begin_ms, "timeout", 100)], transitions, excuseFor);
    return [figures.failed_in_transition, figures.failed_at_standstill, figures.failed_after_takeover, figures.ok];
  };
  assert.deepEqual(judged(1150), [1, 0, 0, 0]);
  assert.deepEqual(judged(1250), [0, 1, 0, 0]);
  assert.deepEqual(judged(2399), [0, 0, 1, 0]);
  assert.deepEqual(judged(2400), [0, 1, 0, 0]);
  assert.deepEqual(judged(4000), [0, 1, 0, 0]);
  assert.deepEqual(judged(4001), [0, 0, 1, 0]);
});

test("failures that nothing excuses are shown before those that something does, which are shown with it", () => {
  const excuseFor = (from_ms: number) => (from_ms >= 2500 ? "the machine slept" : undefined);
  const all = [...Array.from({ length: 9 }, () => request(3000, "timeout", 100)), request(2100, "ECONNRESET", 100)];
  const { failed_at_standstill, excuses, quiet_failures } = judgeRequests(all, transitions, excuseFor);
  assert.deepEqual(excuses, ["the machine slept"]);
  assert.equal(failed_at_standstill, 9);
  assert.deepEqual([quiet_failures[0]?.error, quiet_failures[0]?.excuse], ["ECONNRESET", undefined]);
  assert.equal(quiet_failures[1]?.excuse, "the machine slept");
});
