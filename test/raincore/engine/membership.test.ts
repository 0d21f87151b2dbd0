// How a node comes into a group or forms one, and how it is out of every group.
import assert from "node:assert/strict";
import { test } from "node:test";
import { encode, type Message } from "../../../lib/raincore/messages.js";
import { newCore, newMember, passedOn, runTo, START_MS, STARTUP_WAIT_MS, sentIn, timers, tokenFor } from "./oneCore.js";

test("nothing is due before the start, and nothing is heard", () => {
  const core = newCore();
  assert.equal(core.deadline_ms, Number.POSITIVE_INFINITY);
  assert.deepEqual(
    core.receive(1, 2, 0, encode({ type: "join", incarnation: 1n, session: 1, epoch: 0, heard: [] })),
    [],
  );
  assert.equal(core.status().counters.refused_not_started, 1);
});

test("a node that starts asks every configured node for a place", () => {
  const asked = sentIn(newCore().start(START_MS)).filter(({ message }) => message.type === "join");
  assert.deepEqual(
    asked.map(({ to }) => to),
    [2, 3],
  );
});

test("a node that has heard of a group forms none before a whole wait after its first question without an answer", () => {
  const core = newCore([], [2, 3]);
  core.start(START_MS);
  // Just after a question: the group may live, and renew its leases, until just before the next one.
  const heard_ms = START_MS + timers.joinInterval_ms + 1;
  runTo(core, heard_ms);
  const group = { epoch: 7, origin: 2, nodeIds: [2, 3] };
  core.receive(heard_ms, 2, 0, encode({ type: "beacon", sent_ms: 77, echo_ms: 0, group }));
  const asked_ms = START_MS + 2 * timers.joinInterval_ms;
  runTo(core, asked_ms + STARTUP_WAIT_MS - 1);
  assert.equal(core.status().state, "joining");
  runTo(core, asked_ms + STARTUP_WAIT_MS + 1);
  assert.equal(core.status().state, "member");
});

test("a member puts nobody in whose wish is older than a repetition: others may have put it in, and taken it out again", () => {
  for (const isRepeated of [false, true]) {
    const core = newCore();
    const failed_ms = START_MS + 10 + timers.handOverFail_ms;
    const ask = (now_ms: number) =>
      core.receive(now_ms, 3, 0, encode({ type: "join", incarnation: 5n, session: 1, epoch: 0, heard: [] }));
    passedOn(core, START_MS + 10);
    ask(START_MS + 11);
    runTo(core, START_MS + 11 + timers.joinInterval_ms);
    if (isRepeated) ask(START_MS + 11 + timers.joinInterval_ms);
    runTo(core, failed_ms);
    const ids = core.status().members.map(({ nodeId }) => nodeId);
    assert.deepEqual(ids, isRepeated ? [1, 3] : [1]);
  }
});

test("epochs begin above the floor that was given", () => {
  const core = newCore([], [], { epochFloor: 1_000_000 });
  core.start(START_MS);
  runTo(core, START_MS + STARTUP_WAIT_MS);
  assert.equal(core.status().epoch, 1_000_001);
});

test("a node that shall not rejoin is closed when it loses its place, until it is told to join", () => {
  const core = newCore([], [2, 3], { rejoin: false });
  core.start(START_MS);
  core.receive(START_MS + 10, 2, 0, encode({ type: "token", token: tokenFor(core) }));
  const group = { epoch: core.status().epoch + 1, origin: 2, nodeIds: [2, 3] };
  core.receive(START_MS + 11, 2, 0, encode({ type: "beacon", sent_ms: 5, echo_ms: 0, group }));
  assert.equal(core.status().state, "closed");
  assert.equal(core.deadline_ms, Number.POSITIVE_INFINITY);
  const asked = sentIn(core.join(START_MS + 20)).filter(({ message }) => message.type === "join");
  assert.equal(asked.length, 2);
  assert.equal(core.status().state, "joining");
});

test("a closed node asks for nothing and answers that it is in no group", () => {
  const core = newMember();
  core.leave(core.deadline_ms);
  assert.equal(core.status().state, "closed");
  assert.equal(core.deadline_ms, Number.POSITIVE_INFINITY);
  const later_ms = START_MS + 60_000;
  const call: Message = { type: "call", round: 1, copy: { epoch: 1, origin: 2, seq: 1 }, passed_ms: undefined };
  const [answer] = sentIn(core.receive(later_ms, 2, 0, encode(call)));
  assert.ok(answer?.message.type === "answer" && answer.message.verdict === "absent");
  assert.deepEqual(core.leave(later_ms), []);
});
