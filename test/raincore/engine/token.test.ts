// Which token a node takes, how it passes it on, and the lease that it has by it.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Effect } from "../../../lib/raincore/engine.js";
import { encode } from "../../../lib/raincore/messages.js";
import { newCore, newMember, Recorder, runTo, START_MS, sentIn, timers, tokenFor } from "./oneCore.js";

test("a token of an older epoch is refused, and its sender is told which epoch is in force", () => {
  const core = newMember();
  const { epoch } = core.status();
  const effects = core.receive(
    core.deadline_ms,
    2,
    0,
    encode({ type: "token", token: tokenFor(core, { epoch: epoch - 1 }) }),
  );
  const [answer] = sentIn(effects);
  assert.ok(answer?.message.type === "nack");
  assert.deepEqual([answer.message.reason, answer.message.newest.epoch], ["older", epoch]);
  assert.equal(core.status().counters.token_refused_older, 1);
});

test("a token that does not have this node, or its earlier session, is refused as absent", () => {
  const core = newMember();
  const stranger = { nodeId: 2, incarnation: 5n, session: 1, ready: true, passed_ms: undefined };
  const earlier = { ...stranger, nodeId: 1, session: 0 };
  for (const members of [[stranger], [stranger, earlier]]) {
    const effects = core.receive(core.deadline_ms, 2, 0, encode({ type: "token", token: tokenFor(core, { members }) }));
    const [answer] = sentIn(effects);
    assert.ok(answer?.message.type === "nack" && answer.message.reason === "absent");
  }
});

test("a node that holds the token refuses any other one as diverged", () => {
  const core = newMember();
  assert.equal(core.status().holding, true);
  const effects = core.receive(core.deadline_ms, 2, 0, encode({ type: "token", token: tokenFor(core) }));
  const [answer] = sentIn(effects);
  assert.ok(answer?.message.type === "nack" && answer.message.reason === "diverged");
  assert.equal(core.status().holding, true);
});

test("a joiner accepts the token that lists it, passes it on, and acknowledges it again when it comes twice", () => {
  const core = newCore();
  core.start(START_MS);
  const bytes = encode({ type: "token", token: tokenFor(core, { hurry: 2 }) });
  const first = sentIn(core.receive(START_MS + 10, 2, 0, bytes));
  assert.equal(first[0]?.message.type, "ack");
  assert.ok(first.some(({ message }) => message.type === "token"));
  const second = sentIn(core.receive(START_MS + 11, 2, 0, bytes));
  assert.deepEqual(
    second.map(({ message }) => message.type),
    ["ack"],
  );
  assert.equal(core.status().leaseUntil_ms, 0, "a joiner has no lease before the token came back");
});

test("a successor that is not configured here is taken out of the view", () => {
  const core = newCore();
  core.start(START_MS);
  const members = [1, 99, 2].map((nodeId) => ({
    nodeId,
    incarnation: 5n,
    session: 1,
    ready: true,
    passed_ms: undefined,
  }));
  core.receive(START_MS + 10, 2, 0, encode({ type: "token", token: tokenFor(core, { hurry: 3, members }) }));
  assert.deepEqual(
    core.status().members.map((member) => member.nodeId),
    [1, 2],
  );
});

test("a successor that does not answer is probed; twice refused by its port on every path, it is removed at once", () => {
  const module = new Recorder("m1", (bytes) => bytes ?? new Uint8Array(0));
  const core = newCore([module], [], { peers: [{ nodeId: 2, paths: 2 }] });
  core.start(START_MS);
  const received_ms = START_MS + 10;
  core.refused(received_ms, 2, 0);
  core.receive(received_ms, 2, 0, encode({ type: "token", token: tokenFor(core, { hurry: 2 }) }));
  const probesBy = (until_ms: number) => runTo(core, until_ms).filter((effect) => effect.type === "probe");
  const first = probesBy(received_ms + 1.2 * timers.unit_ms);
  assert.deepEqual(
    first.map(({ to, path }) => [to, path]),
    [
      [2, 0],
      [2, 1],
    ],
  );
  let now_ms = received_ms + 1.2 * timers.unit_ms;
  const isMember = () => core.status().members.some(({ nodeId }) => nodeId === 2);
  for (let round = 0; round < 5; round++) {
    now_ms += timers.unit_ms / 2;
    core.refused(now_ms, 2, 0);
    runTo(core, now_ms);
  }
  assert.ok(isMember(), "one path says nothing");
  core.refused(now_ms, 2, 1);
  core.tick(now_ms);
  assert.ok(isMember(), "one answer on that path is not enough");
  now_ms += timers.unit_ms / 2;
  runTo(core, now_ms);
  core.refused(now_ms, 2, 1);
  core.tick(now_ms);
  assert.ok(!isMember());
  assert.ok(now_ms - received_ms < timers.handOverFail_ms);
  const removed = module.contexts.flatMap((ctx) => ctx.removed);
  assert.deepEqual(removed, [{ nodeId: 2, leaseEnd_ms: received_ms + timers.lease_ms }]);
});

test("work at a member without the token calls for it where it rests, once in a unit", () => {
  const core = newCore();
  core.start(START_MS);
  core.receive(START_MS + 10, 2, 0, encode({ type: "token", token: tokenFor(core) }));
  const passed = { epoch: core.status().epoch, origin: 2, seq: 3 };
  core.receive(START_MS + 10, 2, 0, encode({ type: "ack", id: passed }));
  const wakes = (now_ms: number) => sentIn(core.wake(now_ms)).filter(({ message }) => message.type === "wake");
  assert.deepEqual(
    wakes(START_MS + 11).map(({ to }) => to),
    [2],
  );
  assert.equal(wakes(START_MS + 12).length, 0);
  assert.equal(wakes(START_MS + 12 + timers.unit_ms).length, 1);
});

test("a resting token goes round when a member calls for it", () => {
  const core = newCore();
  core.start(START_MS);
  const token = (seq: number, passed_ms: number | undefined) => {
    const members = [1, 2].map((nodeId) => ({ nodeId, incarnation: 5n, session: 1, ready: true, passed_ms }));
    return tokenFor(core, { epoch: 7, seq, members });
  };
  const tokensIn = (effects: readonly Effect[]) => sentIn(effects).filter(({ message }) => message.type === "token");
  const passedOn = core.receive(START_MS + 10, 2, 0, encode({ type: "token", token: token(1, undefined) }));
  assert.equal(tokensIn(passedOn).length, 1);
  core.receive(START_MS + 10, 2, 0, encode({ type: "ack", id: { epoch: 7, origin: 2, seq: 3 } }));
  const back = core.receive(START_MS + 11, 2, 0, encode({ type: "token", token: token(4, START_MS + 10) }));
  assert.equal(tokensIn(back).length, 0, "it rests");
  const wake = (epoch: number) =>
    tokensIn(core.receive(START_MS + 12, 2, 0, encode({ type: "wake", view: { epoch, origin: 2 } })));
  assert.equal(wake(6).length, 0, "another view's");
  assert.equal(wake(7).length, 1);
});

test("the lease runs from the time the token was last sent on, not from when it came back", () => {
  const core = newCore();
  core.start(START_MS);
  core.receive(START_MS + 10, 2, 0, encode({ type: "token", token: tokenFor(core, { hurry: 2 }) }));
  const sent_ms = START_MS + 10;
  const members = [
    { nodeId: 2, incarnation: 5n, session: 1, ready: true, passed_ms: undefined },
    { nodeId: 1, incarnation: 5n, session: 1, ready: false, passed_ms: sent_ms },
  ];
  const back = encode({ type: "token", token: tokenFor(core, { epoch: core.status().epoch, seq: 9, members }) });
  const effects = core.receive(sent_ms + 30, 2, 0, back);
  assert.ok(effects.some((effect) => effect.type === "lease" && effect.until_ms === sent_ms + timers.leaseOwn_ms));
});

test("a node that is called much too late gives up its lease before it does anything else", () => {
  const module = new Recorder("m1", (bytes) => bytes ?? new Uint8Array(0));
  const core = newMember([module]);
  const effects = core.tick(core.deadline_ms + timers.lease_ms + 1);
  const firstLease = effects.findIndex((effect) => effect.type === "lease" && effect.until_ms === 0);
  const firstSend = effects.findIndex((effect) => effect.type === "send");
  assert.ok(firstLease >= 0 && firstLease < firstSend);
  assert.equal(core.status().state, "joining");
  assert.equal(module.lost, 1);
});

test("a clock that steps back is not followed", () => {
  const core = newCore();
  core.start(START_MS);
  const bytes = encode({ type: "token", token: tokenFor(core, { hurry: 2 }) });
  const sent = sentIn(core.receive(START_MS - 500, 2, 0, bytes));
  const passed = sent.find(({ message }) => message.type === "token")?.message;
  assert.ok(passed?.type === "token");
  assert.equal(passed.token.members.find(({ nodeId }) => nodeId === 1)?.passed_ms, START_MS);
});

test("a node alone keeps its lease, however often it has work", () => {
  const core = newMember();
  let now_ms = core.deadline_ms;
  for (const end_ms = now_ms + 3 * timers.lease_ms; now_ms < end_ms; now_ms += timers.rotation_ms / 3) {
    runTo(core, now_ms);
    core.wake(now_ms);
    const left_ms = core.status().leaseUntil_ms - now_ms;
    assert.ok(left_ms > timers.lease_ms - 3 * timers.rotation_ms, `${left_ms} ms are left of it`);
  }
});

test("the lease of a node that is left alone is renewed before it ends", () => {
  const core = newMember();
  const asks = encode({ type: "join", incarnation: 5n, session: 1, epoch: 0, heard: [] });
  // It puts one in that never answers, at such a time that the rest alone afterwards is longer than what the lease has left.
  for (let round = 0; round < 20; round++) {
    const asked_ms = core.deadline_ms - 1 - (round * timers.rotation_ms) / 20;
    const late_ms = Math.max(asked_ms, core.status().leaseUntil_ms - timers.leaseOwn_ms);
    core.receive(late_ms, 3, 0, asks);
    for (const end_ms = late_ms + 3 * timers.lease_ms; core.deadline_ms < end_ms; ) {
      const { leaseUntil_ms } = core.status();
      const now_ms = core.deadline_ms;
      assert.ok(leaseUntil_ms > now_ms, `it ends ${now_ms - leaseUntil_ms} ms before the next step`);
      core.tick(now_ms);
    }
  }
});
