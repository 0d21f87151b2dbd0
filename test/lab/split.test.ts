import assert from "node:assert/strict";
import { test } from "node:test";
import { halvesOf } from "../../lib/lab/split.js";
import { NO_RULES, ringCutRules, splitRules } from "../../lib/lab/switchRules.js";

test("five gateways fall into two and three, each round others, and every one is on the smaller side in its turn", () => {
  const rounds = Array.from({ length: 5 }, (_, round) => halvesOf([1, 2, 3, 4, 5], round, 1));
  for (const { majority, minority } of rounds) {
    assert.equal(minority.length, 2);
    assert.deepEqual([...majority, ...minority].sort(), [1, 2, 3, 4, 5]);
  }
  assert.equal(new Set(rounds.flatMap(({ minority }) => minority)).size, 5);
});

test("where both sides are equal, the tie-breaker's is the majority in every round", () => {
  for (const nodes of [2, 4, 6]) {
    const ids = Array.from({ length: nodes }, (_, i) => i + 1);
    for (let round = 0; round < 7; round++) {
      const { majority, minority } = halvesOf(ids, round, 1);
      assert.equal(minority.length, nodes / 2);
      assert.ok(majority.includes(1));
    }
  }
});

test("a single gateway is not split", () => {
  assert.throws(() => halvesOf([1], 0, 1), RangeError);
  assert.throws(() => splitRules([]), RangeError);
});

test("a split drops frames that cross it in both directions, and no others", () => {
  const rules = splitRules(["gw4", "far-ext"]);
  assert.match(rules, /elements = \{ "gw4", "far-ext" \}/);
  assert.deepEqual(
    rules.match(/.* drop$/gm)?.map((line) => line.trim()),
    ["iifname @far oifname != @far drop", "iifname != @far oifname @far drop"],
  );
});

test("a cut of the ring drops its datagrams only", () => {
  assert.deepEqual(
    ringCutRules(7911)
      .match(/.* drop$/gm)
      ?.map((line) => line.trim()),
    ["ether type ip udp dport 7911 drop"],
  );
});

test("new rules take the place of the old ones in one transaction", () => {
  for (const rules of [splitRules(["gw1"]), ringCutRules(7911)]) assert.ok(rules.startsWith(NO_RULES));
});
