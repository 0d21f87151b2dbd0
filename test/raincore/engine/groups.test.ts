// Other groups, and tokens of another line: which of two gives way, and what becomes of its members.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Effect } from "../../../lib/raincore/engine.js";
import { encode, type Message } from "../../../lib/raincore/messages.js";
import type { Token } from "../../../lib/raincore/token.js";
import { newCore, newMember, passedOn, Recorder, runTo, START_MS, STARTUP_WAIT_MS, sentIn, timers } from "./oneCore.js";

test("a stronger group is yielded to when it says again that it is there, and not for an old beacon of it", () => {
  const core = newCore([], [2, 3, 4]);
  core.start(START_MS);
  runTo(core, START_MS + STARTUP_WAIT_MS);
  assert.equal(core.status().members.length, 1);
  const now_ms = START_MS + STARTUP_WAIT_MS + 1;
  const group = { epoch: core.status().epoch - 1, origin: 2, nodeIds: [2, 3] };
  const beacon = (echo_ms: number) => encode({ type: "beacon", sent_ms: 77, echo_ms, group });
  const question = sentIn(core.receive(now_ms, 2, 0, beacon(now_ms - 1000))).find(({ to }) => to === 2)?.message;
  assert.equal(core.status().state, "member");
  assert.ok(question?.type === "beacon" && question.echo_ms === 77, JSON.stringify(question));
  core.receive(now_ms + 1, 2, 0, beacon(now_ms + 5));
  assert.equal(core.status().state, "member", "an echo of what was never said");
  core.receive(now_ms + 1, 2, 0, beacon(question.sent_ms));
  assert.equal(core.status().state, "joining");
  assert.equal(core.status().counters.lost_merged, 1);
});

test("a successor of a weaker group is removed with a whole lease to wait, and one of a stronger group wins", () => {
  for (const [nodeIds, expected] of [
    [[2], "member"],
    [[2, 3, 4, 5], "joining"],
  ] as const) {
    const module = new Recorder("m1", (bytes) => bytes ?? new Uint8Array(0));
    const core = newCore([module]);
    const passed = passedOn(core, START_MS + 10);
    const group = { epoch: 40, origin: 2, nodeIds };
    const newest = { epoch: 40, origin: 2, seq: 1 };
    const nack: Message = {
      type: "nack",
      id: passed,
      reason: "diverged",
      newest,
      listed: false,
      group,
    };
    core.receive(START_MS + 12, 2, 0, encode(nack));
    assert.equal(core.status().state, expected);
    const removed = module.contexts.flatMap((ctx) => ctx.removed);
    const leaseEnd_ms = START_MS + 12 + timers.lease_ms;
    assert.deepEqual(removed, expected === "member" ? [{ nodeId: 2, leaseEnd_ms }] : []);
  }
});

test("a 911 that hears of another, weaker group goes on without that member; of a stronger one, it gives up", () => {
  for (const [nodeIds, expected] of [
    [[2], "member"],
    [[2, 3, 4, 5], "joining"],
  ] as const) {
    const core = newCore();
    const passed = passedOn(core, START_MS + 10);
    core.receive(START_MS + 11, 2, 0, encode({ type: "ack", id: passed }));
    const calls = sentIn(runTo(core, START_MS + 11 + timers.callAfter_ms + timers.callSpread_ms));
    const call = calls.find(({ message }) => message.type === "call")?.message;
    assert.ok(call?.type === "call");
    const group = { epoch: 40, origin: 2, nodeIds };
    const now_ms = START_MS + 12 + timers.callAfter_ms + timers.callSpread_ms;
    const answer = {
      type: "answer",
      round: call.round,
      verdict: "diverged",
      epoch: 9,
      answered_ms: 1,
      group,
    } as const;
    core.receive(now_ms, 2, 0, encode(answer));
    assert.equal(core.status().state, expected);
    if (expected === "member")
      assert.deepEqual(
        core.status().members.map((member) => member.nodeId),
        [1],
      );
  }
});

test("a caller whose copy comes from another group learns so, and the weaker of the two gives way", () => {
  const core = newMember();
  const { epoch } = core.status();
  const call: Message = { type: "call", round: 1, copy: { epoch: epoch + 5, origin: 2, seq: 1 }, passed_ms: undefined };
  const [answer] = sentIn(core.receive(core.deadline_ms, 2, 0, encode(call)));
  assert.ok(answer?.message.type === "answer");
  assert.equal(answer.message.verdict, "diverged");
  assert.deepEqual(answer.message.group, { epoch, origin: 1, nodeIds: [1] });
});

test("a newer token in whose view we are makes us drop ours and wait for it", () => {
  const core = newCore();
  const passed = passedOn(core, START_MS + 10);
  const nack = { type: "nack", id: passed, reason: "older", listed: true } as const;
  const group = { epoch: 9, origin: 2, nodeIds: [1, 2] };
  core.receive(START_MS + 11, 2, 0, encode({ ...nack, newest: passed, group }));
  assert.equal(core.status().counters.nack_bogus, 1);
  core.receive(START_MS + 12, 2, 0, encode({ ...nack, newest: { epoch: 9, origin: 2, seq: 1 }, group }));
  assert.equal(core.status().state, "member");
  assert.equal(core.status().counters.token_fenced, 1);
});

/** A token of a newer view, in which this node was last seen before it passed its own token on. */
function divergentFrom(passed: Token): Token {
  const members = passed.members.map((member) => (member.nodeId === 1 ? { ...member, passed_ms: START_MS } : member));
  return { ...passed, epoch: passed.epoch + 5, members };
}

/** Why it refuses what it was offered or asked for. */
function refusalsIn(effects: readonly Effect[]): string[] {
  return sentIn(effects).flatMap(({ message }) => {
    if (message.type === "nack") return [message.reason];
    return message.type === "answer" ? [message.verdict] : [];
  });
}

test("a node that has refused a line as another one's does not give its token up for that, until whom it told is in no group", () => {
  const core = newCore();
  const passed = passedOn(core, START_MS + 10);
  const other = divergentFrom(passed);
  const offer = encode({ type: "token", token: other });
  assert.deepEqual(refusalsIn(core.receive(START_MS + 11, 2, 0, offer)), ["diverged"]);
  const group = { epoch: other.epoch, origin: 2, nodeIds: [1, 2] };
  const nack = { type: "nack", id: passed, newest: other, listed: true, group } as const;
  core.receive(START_MS + 12, 2, 0, encode({ ...nack, reason: "older" }));
  assert.equal(core.status().counters.hand_over_crossed, 1);
  assert.equal(core.status().counters.token_fenced, undefined);
  // It still has its token, and refuses the other one as before.
  assert.deepEqual(refusalsIn(core.receive(START_MS + 13, 2, 0, offer)), ["diverged"]);
  core.receive(START_MS + 14, 2, 0, encode({ ...nack, reason: "absent" }));
  const { state, members } = core.status();
  assert.equal(state, "member");
  assert.deepEqual(
    members.map(({ nodeId }) => nodeId),
    [1],
  );
});

test("a node that gave its token up for one of another line comes in anew, and does not hold its own line against that", () => {
  for (const how of ["token", "call"] as const) {
    const core = newCore();
    const passed = passedOn(core, START_MS + 10);
    const other = divergentFrom(passed);
    const group = { epoch: other.epoch, origin: 2, nodeIds: [1, 2] };
    const nack = { type: "nack", id: passed, reason: "older", newest: other, listed: true, group } as const;
    core.receive(START_MS + 12, 2, 0, encode(nack));
    assert.equal(core.status().state, "member");
    const call = { type: "call", round: 1, copy: other, passed_ms: START_MS } as const;
    const offer = how === "token" ? ({ type: "token", token: other } as const) : call;
    assert.deepEqual(refusalsIn(core.receive(START_MS + 13, 2, 0, encode(offer))), ["absent"]);
    assert.equal(core.status().state, "joining");
    assert.equal(core.status().leaseUntil_ms, 0);
  }
});

test("so does a node whose own new view nobody else is known to have", () => {
  const core = newCore();
  const passed = passedOn(core, START_MS + 10);
  // Its hand-over fails: it makes a view without the successor, puts the one that asks in, and passes the token on to that.
  runTo(core, START_MS + 9 + timers.handOverFail_ms);
  const asks = encode({ type: "join", incarnation: 5n, session: 1, epoch: 0, heard: [] });
  core.receive(START_MS + 9 + timers.handOverFail_ms, 3, 0, asks);
  const later = sentIn(runTo(core, START_MS + 10 + timers.handOverFail_ms));
  const own = later.find(({ to, message }) => to === 3 && message.type === "token")?.message;
  assert.ok(own?.type === "token" && own.token.origin === 1);
  const now_ms = START_MS + 11 + timers.handOverFail_ms;
  core.receive(now_ms, 3, 0, encode({ type: "ack", id: own.token }));
  const other = { ...divergentFrom(passed), epoch: own.token.epoch + 5 };
  assert.deepEqual(refusalsIn(core.receive(now_ms, 2, 0, encode({ type: "token", token: other }))), ["absent"]);
  assert.equal(core.status().state, "joining");
});

test("a node in a view that others have made refuses a token of another line for its whole group", () => {
  const core = newCore();
  const passed = passedOn(core, START_MS + 10);
  core.receive(START_MS + 11, 2, 0, encode({ type: "ack", id: passed }));
  const offer: Message = { type: "token", token: divergentFrom(passed) };
  assert.deepEqual(refusalsIn(core.receive(START_MS + 12, 2, 0, encode(offer))), ["diverged"]);
  assert.equal(core.status().state, "member");
});
