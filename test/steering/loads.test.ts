// How much of the new flows a node gets by how busy it is.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Choices } from "../../lib/steering/choices.js";
import { Loads, loadMessage, REPORT_LIFE_MS, readLoad, spreadByShares } from "../../lib/steering/loads.js";
import { buildMaglev, MAGLEV_SLOTS } from "../../lib/steering/maglev.js";

const alike = () => 1;

function counts(table: Uint16Array): Map<number, number> {
  const all = new Map<number, number>();
  for (const node of table) all.set(node, (all.get(node) ?? 0) + 1);
  return all;
}

describe("shares", () => {
  test("are by weight as long as nothing is known, and where all are as busy", () => {
    const loads = new Loads();
    const weightOf = (node: number) => node;
    assert.ok(Math.abs((loads.shares([1, 3], weightOf, 0).get(3) ?? 0) - 0.75) < 1e-9);
    loads.hear(1, 0.6, 0);
    loads.hear(3, 0.6, 0);
    const shares = loads.shares([1, 3], weightOf, 0);
    assert.ok(Math.abs((shares.get(3) ?? 0) - 0.75) < 1e-9);
  });

  test("are by what each has left, and who has nothing left gets some still", () => {
    const loads = new Loads();
    loads.hear(1, 0.2, 0);
    loads.hear(2, 0.6, 0);
    loads.hear(3, 1, 0);
    const shares = loads.shares([1, 2, 3], alike, 0);
    const of = (node: number) => shares.get(node) ?? 0;
    assert.ok(Math.abs(of(1) / of(2) - 2) < 1e-9);
    assert.ok(of(3) > 0.05 && of(3) < 0.1);
  });

  test("do not follow a moment's burst, nor what differs little", () => {
    const loads = new Loads();
    for (const node of [1, 2]) loads.hear(node, 0.5, 0);
    const before = loads.shares([1, 2], alike, 0);
    loads.hear(1, 0.6, 1);
    assert.equal(loads.shares([1, 2], alike, 1), before);
    loads.hear(1, 1, 2);
    const after = loads.shares([1, 2], alike, 2).get(1) ?? 0;
    assert.ok(after > 0.3, `${after}`);
    for (let i = 3; i < 20; i++) loads.hear(1, 1, i);
    assert.ok((loads.shares([1, 2], alike, 20).get(1) ?? 0) < 0.2);
  });

  test("of a node that is silent for long are what its weight says", () => {
    const loads = new Loads();
    loads.hear(1, 0.9, 0);
    loads.hear(2, 0.5, 0);
    assert.ok((loads.shares([1, 2], alike, 0).get(1) ?? 0) < 0.2);
    loads.hear(2, 0.5, REPORT_LIFE_MS + 1);
    assert.equal(loads.shares([1, 2], alike, REPORT_LIFE_MS + 1).get(1), 0.5);
  });

  test("are not spoiled by reports that are none", () => {
    const loads = new Loads();
    for (const busy of [Number.NaN, -1, 2, Number.POSITIVE_INFINITY]) loads.hear(1, busy, 0);
    assert.deepEqual([...loads.shares([1, 2], alike, 0).values()], [0.5, 0.5]);
  });
});

test("a table by shares has every node as often as its share says, in every part of it", () => {
  const table = spreadByShares(
    new Map([
      [4, 0.1],
      [7, 0.6],
      [9, 0.3],
    ]),
  );
  for (const part of [table, table.subarray(0, 6000), table.subarray(30_000, 36_000)]) {
    for (const [node, share] of [
      [4, 0.1],
      [7, 0.6],
      [9, 0.3],
    ] as const) {
      const fair = part.length * share;
      assert.ok(Math.abs((counts(part).get(node) ?? 0) - fair) <= fair * 0.05, `node ${node}`);
    }
  }
});

describe("choices", () => {
  const slots = buildMaglev([1, 2]);

  test("are the flows' own table where all weigh the same, and go by loads once they are heard", () => {
    const choices = new Choices({ weightOf: alike, isByLoad: true });
    choices.become([1, 2], slots, 0);
    assert.equal(choices.table, slots);
    assert.ok(choices.hear(1, 0.9, 0));
    assert.ok(choices.hear(2, 0, 0));
    const of = counts(choices.table);
    assert.ok((of.get(2) ?? 0) > 4 * (of.get(1) ?? 0));
    assert.equal(choices.hear(2, 0, 1), false, "nothing new");
    choices.become([2], buildMaglev([2]), 2);
    assert.deepEqual([...counts(choices.table).keys()], [2]);
    choices.become([], new Uint16Array(0), 3);
    assert.equal(choices.table.length, MAGLEV_SLOTS);
    assert.equal(choices.hear(2, 0.5, 4), false);
  });

  test("do not go by loads where all authorities have to choose alike", () => {
    const choices = new Choices({ weightOf: alike, isByLoad: false });
    choices.become([1, 2], slots, 0);
    assert.equal(choices.hear(1, 0.9, 0), false);
    assert.equal(choices.table, slots);
  });

  test("of who is no member, and takes no flows, do not count", () => {
    const choices = new Choices({ weightOf: alike, isByLoad: true });
    choices.become([1, 2], slots, 0);
    assert.equal(choices.hear(3, 0.9, 0), false);
    assert.equal(choices.table, slots);
  });
});

test("a report is read as it was written, and nothing else is one", () => {
  for (const busy of [0, 0.25, 1]) assert.equal(readLoad(loadMessage(busy)), busy);
  assert.equal(readLoad(loadMessage(7)), 1);
  const [kind = 0] = loadMessage(0);
  assert.equal(readLoad(Uint8Array.of(kind, 255, 255)), 1);
  for (const bytes of [[], [kind], [kind, 0], [kind, 0, 0, 0], [kind + 1, 0, 0]])
    assert.equal(readLoad(Uint8Array.from(bytes)), undefined);
});
