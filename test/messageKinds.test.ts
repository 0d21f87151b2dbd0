import assert from "node:assert/strict";
import { test } from "node:test";
import { CONNECTIONS_KIND, FLOWS_KIND, INQUIRY_KIND } from "../lib/messageKinds.js";

test("no two kinds of messages have the same first byte, nor one that had another meaning once", () => {
  const kinds = [CONNECTIONS_KIND, FLOWS_KIND, INQUIRY_KIND].flatMap((kind) => Object.values<number>(kind));
  assert.equal(new Set(kinds).size, kinds.length);
  for (const retired of [2, 4]) assert.ok(!kinds.includes(retired));
});
