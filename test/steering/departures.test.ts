import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DEPARTURES_MAX, Departures } from "../../lib/steering/departures.js";

const LEASE_MS = 500;

describe("who has left the view", () => {
  it("may have a lease for a whole one from now", () => {
    const departures = new Departures(LEASE_MS);
    assert.deepEqual(departures.become([1, 2, 3], 1000), []);
    assert.deepEqual(departures.become([1, 3], 2000), [{ node: 2, until_ms: 2500 }]);
  });

  it("keeps its end when others leave later, and is forgotten at the end", () => {
    const departures = new Departures(LEASE_MS);
    departures.become([1, 2, 3], 1000);
    departures.become([1, 3], 2000);
    const both = [
      { node: 3, until_ms: 2900 },
      { node: 2, until_ms: 2500 },
    ];
    assert.deepEqual(departures.become([1], 2400), both);
    assert.deepEqual(departures.become([1, 4], 2499), both);
    assert.deepEqual(departures.become([1], 2500), [
      { node: 4, until_ms: 3000 },
      { node: 3, until_ms: 2900 },
    ]);
  });

  it("is not among them once it is a member again, and gets a new end when it leaves again", () => {
    const departures = new Departures(LEASE_MS);
    departures.become([1, 2], 1000);
    departures.become([1], 1100);
    assert.deepEqual(departures.become([1, 2], 1200), []);
    assert.deepEqual(departures.become([1], 1300), [{ node: 2, until_ms: 1800 }]);
  });

  it("has left as well when this node has no view any more", () => {
    const departures = new Departures(LEASE_MS);
    departures.become([1, 2], 1000);
    departures.become([], 1100);
    assert.deepEqual(departures.become([1], 1200), [{ node: 2, until_ms: 1600 }]);
  });

  it("is remembered up to a bound, the last ones first", () => {
    const departures = new Departures(LEASE_MS);
    const all = Array.from({ length: DEPARTURES_MAX + 10 }, (_, index) => index + 1);
    departures.become(all, 1000);
    departures.become(all.slice(10), 1100);
    const departed = departures.become([], 1200);
    assert.equal(departed.length, DEPARTURES_MAX);
    assert.ok(departed.every(({ node, until_ms }) => node > 10 && until_ms === 1700));
  });
});
