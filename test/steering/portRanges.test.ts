import assert from "node:assert/strict";
import { test } from "node:test";
import { partOf, portRangesFor } from "../../lib/steering/portRanges.js";

const RANGE = { address: "192.0.2.101", first: 10_000, last: 10_099 };

test("every node has as many ports, no two have the same one, and what does not divide is nobody's", () => {
  const parts = [3, 5, 9].map((id) => partOf(RANGE, [3, 5, 9], id));
  assert.deepEqual(
    parts.map(({ first, last }) => [first, last]),
    [
      [10_000, 10_032],
      [10_033, 10_065],
      [10_066, 10_098],
    ],
  );
});

test("who is not there has no answers sent to it, and keeps its place", () => {
  assert.deepEqual(portRangesFor([RANGE], [3, 5, 9], [9, 3]), {
    ranges: [{ address: "192.0.2.101", first: 10_000, size: 33 }],
    owners: [3, 0, 9],
  });
  assert.equal(portRangesFor([], [3, 5, 9], [3]), undefined);
});
