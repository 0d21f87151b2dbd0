import assert from "node:assert/strict";
import { test } from "node:test";
import { rehearse } from "../../lib/session/rehearsal.js";

test("the rehearsal plays a whole ring with messages, and opens nothing and leaves nothing to do", () => {
  const before = process.getActiveResourcesInfo();
  const { members, delivered } = rehearse();
  assert.equal(members, 3);
  assert.ok(delivered > 20, `${delivered} delivered`);
  assert.deepEqual(process.getActiveResourcesInfo(), before);
});
