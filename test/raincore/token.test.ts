// How groups compare when they meet: pure arithmetic.
import assert from "node:assert/strict";
import { test } from "node:test";
import { compareGroups, type Group, groupOf, NO_GROUP } from "../../lib/raincore/token.js";

function group(epoch: number, ...nodeIds: number[]): Group {
  return { epoch, origin: 1, nodeIds };
}

test("of two groups that have nobody in common, the larger stays, whatever its epoch", () => {
  assert.ok(compareGroups(group(1, 3, 4, 5), group(9, 1, 2)) > 0);
  assert.ok(compareGroups(group(9, 1, 2), group(1, 3, 4, 5)) < 0);
});

test("of equal groups, the one with the lowest nodeId stays", () => {
  assert.ok(compareGroups(group(1, 1, 4), group(2, 2, 3)) > 0);
  assert.ok(compareGroups(group(2, 2, 3), group(1, 1, 4)) < 0);
});

test("a member that was removed does not outweigh those that removed it with the list it remembers", () => {
  assert.ok(compareGroups(group(3, 1, 2, 3), group(4, 2, 3)) < 0);
});

test("an isolated member that removed others one by one does not outweigh them with its epoch", () => {
  assert.ok(compareGroups(group(9, 1, 4, 5, 6), group(4, 2, 3, 4, 5, 6)) < 0);
  assert.ok(compareGroups(group(3, 1, 2, 3), group(9, 3)) > 0);
});

test("any group outweighs none", () => {
  assert.ok(compareGroups(group(1, 1), NO_GROUP) > 0);
  assert.deepEqual(groupOf(undefined), NO_GROUP);
});
