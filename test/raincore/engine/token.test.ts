// Which token a node takes, how it passes it on, and the lease that it has by it.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Effect, RaincoreEngine } from "../../../lib/raincore/engine.js";
import { encode, type Message } from "../../../lib/raincore/messages.js";
import type { Token } from "../../../lib/raincore/token.js";
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
  const core = newMember();
  const before_ms = core.deadline_ms;
  core.tick(before_ms - 500);
  assert.ok(core.deadline_ms >= before_ms);
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

test("a lease that ran out is had again only when nodes outside of the view must have heard of this one", () => {
  for (const peerIds of [[2], [2, 3]]) {
    const core = newCore([], peerIds);
    core.start(START_MS);
    let seq = 1;
    const visit = (now_ms: number, passed_ms: number | undefined) => {
      const member = { incarnation: 5n, session: 1, ready: true };
      const members = [
        { ...member, nodeId: 2, passed_ms: undefined },
        { ...member, nodeId: 1, passed_ms },
      ];
      const token = tokenFor(core, { epoch: 7, hurry: 2, seq, members });
      core.receive(now_ms, 2, 0, encode({ type: "token", token }));
      core.receive(now_ms, 2, 0, encode({ type: "ack", id: { epoch: 7, origin: 2, seq: seq + 2 } }));
      seq += 3;
      return core.status().leaseUntil_ms > now_ms;
    };
    const first_ms = START_MS + 10;
    visit(first_ms, undefined);
    assert.ok(visit(first_ms + 1, first_ms));
    const again_ms = core.status().leaseUntil_ms + 1;
    denyCalls(core, again_ms);
    const isListed = peerIds.length === 1;
    visit(again_ms, first_ms + 1);
    assert.equal(visit(again_ms + 1, again_ms), isListed, `with ${peerIds.length} peers`);
    const end_ms = again_ms + timers.lease_ms + 2;
    let passed_ms = again_ms + 1;
    for (let now_ms = passed_ms; now_ms < end_ms; now_ms += timers.rotation_ms) {
      assert.equal(visit(now_ms, passed_ms), isListed);
      passed_ms = now_ms;
    }
    assert.ok(visit(end_ms, passed_ms));
  }
});

/** The token is missing for so long, and node 2 says each time that it has a newer one. */
function denyCalls(core: RaincoreEngine, until_ms: number): void {
  while (core.deadline_ms <= until_ms) {
    const now_ms = core.deadline_ms;
    for (const { to, message } of sentIn(core.tick(now_ms))) {
      if (message.type !== "call" || to !== 2) continue;
      const group = { epoch: 7, origin: 2, nodeIds: [2, 1] };
      const { round } = message;
      const deny = { type: "answer", round, verdict: "deny", epoch: 7, answered_ms: now_ms, group } as const;
      core.receive(now_ms, 2, 0, encode(deny));
    }
  }
}

test("of a member that woke late, what rested before says nothing of when a dead one last had the token", () => {
  const late_ms = timers.callFail_ms;
  for (const overdue_ms of [1, late_ms]) {
    const module = new Recorder("m1", (bytes) => bytes ?? new Uint8Array(0));
    const core = newCore([module]);
    core.start(START_MS);
    const members = [3, 1, 2].map((nodeId) => ({
      nodeId,
      incarnation: 5n,
      session: 1,
      ready: true,
      passed_ms: undefined,
    }));
    const offered = tokenFor(core, { members, rested_ms: 30, hurry: 3 });
    core.receive(START_MS + 10, 3, 0, encode({ type: "token", token: offered }));
    const ack: Message = { type: "ack", id: { epoch: offered.epoch, origin: 2, seq: 3 } };
    core.receive(START_MS + 11, 2, 0, encode(ack));
    const woke_ms = core.deadline_ms + overdue_ms;
    core.tick(woke_ms);
    const own = { ...members[1], passed_ms: START_MS + 10 } as Token["members"][number];
    const again = { ...offered, seq: 7, hurry: 0, members: [members[0], own, members[2]] as Token["members"] };
    const sent = core.receive(woke_ms + 1, 3, 0, encode({ type: "token", token: again }));
    const passed = sentIn(sent).find(({ message }) => message.type === "token")?.message;
    assert.ok(passed?.type === "token");
    const isLate = overdue_ms === late_ms;
    assert.equal(passed.token.rested_ms, isLate ? 0 : 30);
    runTo(core, woke_ms + 1 + 2 * timers.handOverFail_ms);
    const removed = module.contexts.flatMap((ctx) => ctx.removed).find(({ nodeId }) => nodeId === 2);
    assert.equal(removed?.leaseEnd_ms, woke_ms + 1 - (isLate ? 0 : 30) + timers.lease_ms);
  }
});
