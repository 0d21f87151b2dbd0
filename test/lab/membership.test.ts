// What counts as a member that was taken out, and when a log is not to be gone by.

import assert from "node:assert/strict";
import { test } from "node:test";
import { isComplete, loggedEvents, promiseMembership } from "../../lib/lab/membership.js";
import { Promises } from "../../lib/lab/scenario.js";

const log = (...entries: object[]) => `${entries.map((entry) => JSON.stringify(entry)).join("\n")}\n`;

test("members are counted that fell to a failed hand-over or were left out of a token that was made again", () => {
  const events = loggedEvents(
    log(
      { msg: "up" },
      { msg: "ring_removed", node: 3 },
      { msg: "ring_token_regenerated", removed: [1, 2] },
      { msg: "ring_lost", reason: "removed" },
      { msg: "view", members: [1] },
    ),
  );
  assert.deepEqual(events, { removed: 3, lost: 1, regenerated: 1 });
});

test("a token made again with everybody in it removes nobody", () => {
  assert.deepEqual(loggedEvents(log({ msg: "up" }, { msg: "ring_token_regenerated", removed: [] })), {
    removed: 0,
    lost: 0,
    regenerated: 1,
  });
});

test("what a daemon's earlier life logged, and lines that are none of its entries, do not count", () => {
  const earlier = log({ msg: "up" }, { msg: "ring_removed", node: 3 });
  assert.equal(loggedEvents(`${earlier}(node:7) a warning\n{ no entry\nnull\n${log({ msg: "up" })}`).removed, 0);
});

test("a log that tells of fewer events than the counters is not complete", () => {
  const events = { removed: 1, lost: 1, regenerated: 1 };
  assert.ok(isComplete(events, { token_received: 9 }));
  assert.ok(isComplete(events, { hand_over_failed: 1, lost_merged: 1, token_regenerated: 1 }));
  assert.ok(!isComplete(events, { hand_over_failed: 1, hand_over_absent: 1 }));
  assert.ok(!isComplete(events, { token_regenerated: 2 }));
  assert.ok(!isComplete(events, { lost_removed: 1, lost_overslept: 1 }));
});

test("a removed member or a lost place breaks the promise; new epochs alone do not", () => {
  const broken = (members_removed: number, places_lost: number) => {
    const promises = new Promises();
    promiseMembership(promises, { members_removed, places_lost, epochs_new: 3, tokens_regenerated: 3 }, "phase");
    return promises.broken;
  };
  assert.deepEqual(broken(0, 0), []);
  assert.match(broken(2, 0).join(), /phase: living members were taken out of the view 2 times/);
  assert.match(broken(0, 1).join(), /lost their places 1 times/);
});
