import assert from "node:assert/strict";
import { test } from "node:test";
import type { ProbeReport } from "../../lib/lab/probes.js";
import { takeoverEnd } from "../../lib/lab/takeover.js";

function report(gaps: readonly (readonly [from_ms: number, to_ms: number])[]): ProbeReport {
  return {
    now_ms: 9000,
    window_ms: 1000,
    late_ms_max: 0,
    marks: {},
    gap_ms: 0,
    targets: gaps.map(([from, to]) => ({
      target: "192.0.2.101",
      gap_ms: to - from,
      gap_from_ms: from,
      gap_to_ms: to,
      last_answer_ms: 9000,
      sent: 1,
      received: 1,
      duplicates: 0,
      send_errors: 0,
      round_trip_ms_max: 1,
    })),
  };
}

test("a takeover ends when the last of the silenced streams is answered again", () => {
  assert.equal(takeoverEnd([report([[8000, 8150]]), report([[8001, 8210]])], 8000), 8210);
});

test("noise, and silences that were over before, do not prolong it", () => {
  assert.equal(
    takeoverEnd(
      [
        report([
          [8300, 8304],
          [7000, 7900],
        ]),
      ],
      8000,
    ),
    8000,
  );
});
