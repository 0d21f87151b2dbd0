// The lease in the view of others: when this node may have its own again, and how long it waits for that of a member that it removes, when
// nodes may have had a token of their own meanwhile.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { RaincoreEngine } from "../../../lib/raincore/engine.js";
import { encode, type Message } from "../../../lib/raincore/messages.js";
import type { MemberRecord, Token } from "../../../lib/raincore/token.js";
import { newCore, Recorder, runTo, START_MS, sentIn, timers, tokenFor } from "./oneCore.js";

interface Lapse {
  readonly what: string;
  readonly peerIds: readonly number[];
  /** How long after its end. */
  readonly after_ms: number;
  /** The token says that it was made again meanwhile. */
  readonly madeAgain: boolean;
  /** What else happens in the last round before. */
  readonly meanwhile?: (core: RaincoreEngine, now_ms: number) => void;
  readonly waits: boolean;
}

/** How a lease that ran out is had again. */
const LAPSES: readonly Lapse[] = [
  { what: "after a token that was made again", peerIds: [2, 3], after_ms: 1, madeAgain: true, waits: true },
  { what: "after more than a lease", peerIds: [2, 3], after_ms: timers.lease_ms + 1, madeAgain: false, waits: true },
  {
    what: "after a beacon of a member that has gone on without this one",
    peerIds: [2, 3],
    after_ms: 1,
    madeAgain: false,
    meanwhile: (core, now_ms) => {
      const group = { epoch: 6, origin: 2, nodeIds: [2] };
      core.receive(now_ms, 2, 0, encode({ type: "beacon", sent_ms: now_ms, echo_ms: 0, group }));
    },
    waits: true,
  },
  {
    what: "after this node was late itself, so that its calls may have come too late",
    peerIds: [2, 3],
    after_ms: 1,
    madeAgain: false,
    meanwhile: (core) => core.tick(core.deadline_ms + timers.callAfter_ms - timers.rotation_ms + 1),
    waits: true,
  },
  {
    what: "after a lateness that costs no call",
    peerIds: [2, 3],
    after_ms: 1,
    madeAgain: false,
    meanwhile: (core) => core.tick(core.deadline_ms + timers.callAfter_ms - timers.rotation_ms),
    waits: false,
  },
  { what: "by the same line of tokens", peerIds: [2, 3], after_ms: 1, madeAgain: false, waits: false },
  { what: "with nobody outside", peerIds: [2], after_ms: timers.lease_ms + 1, madeAgain: true, waits: false },
];

for (const { what, peerIds, after_ms, madeAgain, meanwhile, waits } of LAPSES) {
  test(`a lease that ran out is had again ${waits ? "a lease later" : "at once"} ${what}`, () => {
    const module = new Recorder("m1", (bytes) => bytes);
    const core = newCore([module], peerIds);
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
    let passed_ms = START_MS + 10;
    visit(passed_ms, undefined);
    for (const end_ms = passed_ms + 2 * timers.lease_ms; passed_ms < end_ms; passed_ms += timers.rotation_ms) {
      assert.ok(visit(passed_ms + timers.rotation_ms, passed_ms));
    }
    const again_ms = core.status().leaseUntil_ms + after_ms;
    meanwhile?.(core, passed_ms + 1);
    denyCalls(core, again_ms);
    visit(again_ms, madeAgain ? passed_ms + 1 : passed_ms);
    assert.equal(module.contexts.at(-1)?.mayBeServedOutside, waits);
    assert.equal(visit(again_ms + 1, again_ms), !waits);
    const end_ms = again_ms + timers.lease_ms + 2;
    passed_ms = again_ms + 1;
    for (let now_ms = passed_ms; now_ms < end_ms; now_ms += timers.rotation_ms) {
      assert.equal(visit(now_ms, passed_ms), !waits);
      assert.equal(module.contexts.at(-1)?.mayBeServedOutside, waits);
      passed_ms = now_ms;
    }
    assert.ok(visit(end_ms, passed_ms));
    assert.equal(module.contexts.at(-1)?.mayBeServedOutside, false);
  });
}

/** What the first token says of node 3 that comes after this node was late for so long that it may have been given up. */
const OTHERS: readonly {
  readonly what: string;
  readonly third: Partial<MemberRecord> | undefined;
  readonly waits: boolean;
}[] = [
  { what: "is as it was", third: {}, waits: false },
  { what: "is not listed any more", third: undefined, waits: true },
  { what: "is listed in another life", third: { incarnation: 6n }, waits: true },
  { what: "is listed in another membership of its life", third: { session: 2 }, waits: true },
];

for (const { what, third, waits } of OTHERS) {
  test(`a member that was late has ${waits ? "no other lease for as long as one lasts" : "its lease renewed"} if another ${what}`, () => {
    const core = newCore();
    core.start(START_MS);
    let seq = 1;
    const visit = (
      now_ms: number,
      passed_ms: number | undefined,
      epoch: number,
      change: Partial<MemberRecord> | undefined,
    ) => {
      const member = { incarnation: 5n, session: 1, ready: true, passed_ms: undefined };
      const others = change === undefined ? [] : [{ ...member, nodeId: 3, ...change }];
      const members = [{ ...member, nodeId: 2 }, ...others, { ...member, nodeId: 1, passed_ms }];
      core.receive(now_ms, 2, 0, encode({ type: "token", token: tokenFor(core, { epoch, hurry: 2, seq, members }) }));
      // To the next member, whoever that is.
      for (const from of [2, 3])
        core.receive(now_ms, from, 0, encode({ type: "ack", id: { epoch, origin: 2, seq: seq + 1 } }));
      for (const from of [2, 3])
        core.receive(now_ms, from, 0, encode({ type: "ack", id: { epoch, origin: 2, seq: seq + 2 } }));
      seq += 4;
      return core.status().leaseUntil_ms;
    };
    let passed_ms = START_MS + 10;
    visit(passed_ms, undefined, 7, {});
    for (const end_ms = passed_ms + 2 * timers.lease_ms; passed_ms < end_ms; passed_ms += timers.rotation_ms)
      assert.ok(visit(passed_ms + timers.rotation_ms, passed_ms, 7, {}) > passed_ms + timers.rotation_ms);

    const lease_ms = core.status().leaseUntil_ms;
    const late_ms = core.deadline_ms + timers.handOverFail_ms - timers.callAfter_ms - timers.callSpread_ms + 1;
    core.tick(late_ms);
    assert.ok(late_ms < lease_ms, "it has its lease still");
    visit(late_ms, passed_ms, waits ? 8 : 7, third);
    passed_ms = late_ms;
    let now_ms = late_ms + timers.rotation_ms;
    for (; now_ms < late_ms + timers.lease_ms; now_ms += timers.rotation_ms) {
      const until_ms = visit(now_ms, passed_ms, waits ? 8 : 7, third);
      assert.equal(until_ms > now_ms, !waits || now_ms < lease_ms, `${now_ms - late_ms} ms later`);
      passed_ms = now_ms;
    }
    assert.ok(visit(now_ms, passed_ms, waits ? 8 : 7, third) > now_ms);
  });
}

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

interface Ring {
  readonly core: RaincoreEngine;
  readonly token: Token;
  /** When the lease of a removed member ends, as the modules are told. */
  readonly leaseEndOf_ms: (nodeId: number) => number | undefined;
}

const TAKEN_MS = START_MS + 10;
const RESTED_MS = 30;

/** This node, 1, has the token of a view with these members from the last one before it, and passes it on. */
function ringOf(nodeIds: readonly number[]): Ring {
  const module = new Recorder("m1", (bytes) => bytes ?? new Uint8Array(0));
  const others = nodeIds.filter((nodeId) => nodeId !== 1);
  const core = newCore([module], others);
  core.start(START_MS);
  const members = nodeIds.map((nodeId) => ({
    nodeId,
    incarnation: 5n,
    session: 1,
    ready: true,
    passed_ms: nodeId === 1 ? undefined : 1,
  }));
  const token = tokenFor(core, { epoch: 7, members, rested_ms: RESTED_MS, hurry: nodeIds.length });
  core.receive(TAKEN_MS, others[0] ?? 0, 0, encode({ type: "token", token }));
  const leaseEndOf_ms = (nodeId: number) =>
    module.contexts.flatMap((ctx) => ctx.removed).find((removed) => removed.nodeId === nodeId)?.leaseEnd_ms;
  return { core, token, leaseEndOf_ms };
}

test("the second member in turn that does not answer is waited for from its own hand-over, for others may have gone on without this node", () => {
  const { core, leaseEndOf_ms } = ringOf([4, 1, 2, 3]);
  runTo(core, TAKEN_MS + 2 * timers.handOverFail_ms);
  assert.equal(leaseEndOf_ms(2), TAKEN_MS - RESTED_MS + timers.lease_ms);
  assert.equal(leaseEndOf_ms(3), TAKEN_MS + timers.handOverFail_ms + timers.lease_ms);
});

test("who has met a member of another group tells nobody behind it of a rest before that", () => {
  const { core, token } = ringOf([4, 1, 2, 3]);
  const id = { epoch: token.epoch, origin: token.origin, seq: token.seq + 2 };
  const group = { epoch: 40, origin: 2, nodeIds: [2] };
  const newest = { epoch: 40, origin: 2, seq: 1 };
  const nack: Message = { type: "nack", id, reason: "diverged", newest, listed: false, group };
  const sent = sentIn(core.receive(TAKEN_MS + 2, 2, 0, encode(nack)));
  const passed = sent.find(({ to, message }) => to === 3 && message.type === "token")?.message;
  assert.ok(passed?.type === "token");
  assert.equal(passed.token.rested_ms, 0);
});

/** Node 2 asks whether it may make the token again, and may. */
function grantTo2(core: RaincoreEngine, { epoch, origin, seq }: Token, now_ms: number): void {
  core.receive(now_ms, 2, 0, encode({ type: "ack", id: { epoch, origin, seq: seq + 2 } }));
  const call = { type: "call", round: 1, copy: { epoch, origin, seq: seq + 9 }, passed_ms: TAKEN_MS } as const;
  const [answer] = sentIn(core.receive(now_ms, 2, 0, encode(call)));
  assert.ok(answer?.message.type === "answer" && answer.message.verdict === "grant");
}

/** Ticks until node 2 is out; when this node first sent such a message. */
function goOnWithout2({ core, leaseEndOf_ms }: Ring, type: "call" | "token"): number {
  let sent_ms = Number.POSITIVE_INFINITY;
  for (const end_ms = core.deadline_ms + timers.lease_ms; leaseEndOf_ms(2) === undefined; ) {
    const now_ms = core.deadline_ms;
    assert.ok(now_ms < end_ms, "it goes on without node 2");
    if (sentIn(core.tick(now_ms)).some(({ message }) => message.type === type)) sent_ms = Math.min(sent_ms, now_ms);
  }
  return sent_ms;
}

test("who let another make the token again, which never came, waits for a lease since its own call", () => {
  const ring = ringOf([1, 2]);
  const { core, token, leaseEndOf_ms } = ring;
  const granted_ms = TAKEN_MS + 20;
  grantTo2(core, token, granted_ms);
  const called_ms = goOnWithout2(ring, "call");
  assert.ok(called_ms > granted_ms);
  assert.equal(leaseEndOf_ms(2), called_ms + timers.lease_ms);
});

test("and if it came, then until it has been round once more, from the hand-over to the member that did not take it", () => {
  const ring = ringOf([1, 2]);
  const { core, token, leaseEndOf_ms } = ring;
  const granted_ms = TAKEN_MS + 20;
  grantTo2(core, token, granted_ms);
  const members = token.members.map((member) => (member.nodeId === 1 ? { ...member, passed_ms: TAKEN_MS } : member));
  const again: Token = { ...token, epoch: token.epoch + 1, seq: token.seq + 10, members, hurry: 0, rested_ms: 0 };
  const taken_ms = granted_ms + 5;
  core.receive(taken_ms, 2, 0, encode({ type: "token", token: again }));
  const passed_ms = goOnWithout2(ring, "token");
  assert.ok(passed_ms > taken_ms, "it has rested here");
  assert.equal(leaseEndOf_ms(2), passed_ms + timers.lease_ms);
});
