// Input that no well-behaved peer sends.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { encode } from "../../../lib/raincore/messages.js";
import { newCore, newMember, START_MS } from "./oneCore.js";

test("refused messages are counted by cause", () => {
  const core = newMember();
  const now_ms = core.deadline_ms;
  core.receive(now_ms, 2, 0, Uint8Array.of(99));
  core.receive(now_ms, 2, 0, Uint8Array.of(1, 2, 3));
  core.receive(now_ms, 9, 0, encode({ type: "join", incarnation: 1n, session: 1, epoch: 0, heard: [] }));
  core.receive(now_ms, 2, 7, encode({ type: "join", incarnation: 1n, session: 1, epoch: 0, heard: [] }));
  const { counters } = core.status();
  assert.equal(counters.refused_unknown_type, 1);
  assert.equal(counters.refused_malformed, 1);
  assert.equal(counters.refused_unknown_sender, 1);
  assert.equal(counters.refused_unknown_path, 1);
});

test("answers that nobody waits for are counted and change nothing", () => {
  const core = newMember();
  const { epoch } = core.status();
  const id = { epoch, origin: 1, seq: 1 };
  const group = { epoch: 99, origin: 2, nodeIds: [2, 3, 4, 5] };
  const now_ms = core.deadline_ms;
  core.receive(now_ms, 2, 0, encode({ type: "ack", id }));
  core.receive(now_ms, 2, 0, encode({ type: "nack", id, reason: "older", newest: id, listed: false, group }));
  core.receive(now_ms, 2, 0, encode({ type: "answer", round: 0, verdict: "removed", epoch, answered_ms: 1, group }));
  const { counters, state } = core.status();
  assert.deepEqual([counters.ack_stale, counters.nack_stale, counters.answer_stale], [1, 1, 1]);
  assert.equal(state, "member");
});

test("arbitrary messages never make the core throw", () => {
  const member = newMember();
  const joiner = newCore();
  joiner.start(START_MS);
  let now_ms = member.deadline_ms;
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 12 }), fc.uint8Array({ maxLength: 80 }), (type, rest) => {
      now_ms += 0.01;
      member.receive(now_ms, 2, 0, Uint8Array.of(type, ...rest));
      joiner.receive(now_ms, 3, 0, Uint8Array.of(type, ...rest));
    }),
    { numRuns: 3000, seed: 3 },
  );
});
