// The short way of an idle token: the same outcome as the long one, and taken only when there is nothing to do.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  type Effect,
  RaincoreEngine,
  type Removed,
  type TokenContext,
  type TokenModule,
} from "../../lib/raincore/engine.js";
import { IdleToken } from "../../lib/raincore/idleToken.js";
import { decode, encode } from "../../lib/raincore/messages.js";
import { deriveTimers } from "../../lib/raincore/timers.js";
import type { Token } from "../../lib/raincore/token.js";
import { sentIn } from "./engine/oneCore.js";

const timers = deriveTimers(280);
const START_MS = 1000;

/** Of node 1. */
function successor(order: readonly number[]): number {
  return order[(order.indexOf(1) + 1) % order.length] ?? 0;
}

function tokenOf(seq: number, now_ms: number, order: readonly number[]): Token {
  const members = order.map((nodeId) => ({ nodeId, incarnation: 5n, session: 1, ready: true, passed_ms: now_ms }));
  const carriages = [{ name: "m", format: 1, version: 3, bytes: Uint8Array.of(1, 2, 3) }];
  return { epoch: 7, origin: 2, seq, members, carriages, hurry: 0, rested_ms: 12.5 };
}

/** A module that leaves everything as it is. */
function quietModule(isIdle: boolean): TokenModule & { isIdle: boolean; visits: number } {
  return {
    carriage: "m",
    format: 1,
    bytesMax: 100,
    isIdle,
    visits: 0,
    onToken(_ctx, bytes) {
      this.visits += 1;
      return bytes;
    },
    onLost: () => {},
  };
}

function newEngine(module: TokenModule, change: { readonly calmRounds?: number } = {}): RaincoreEngine {
  const peers = [2, 3].map((nodeId) => ({ nodeId, paths: 1 }));
  const engine = new RaincoreEngine(
    { cluster: "front", nodeId: 1, incarnation: 5n, peers, timers, modules: [module], ...change },
    { random: () => 0.5 },
  );
  engine.start(START_MS);
  return engine;
}

/** Rounds of an idle ring as node 1 sees them; what it sent, and the status in the end. */
function play(engine: RaincoreEngine, order: readonly number[], rounds: number) {
  const log: unknown[] = [];
  let now_ms = START_MS + 10;
  const note = (effects: readonly Effect[]): Token | undefined => {
    const sent = sentIn(effects);
    log.push(
      sent,
      effects.filter((effect) => effect.type === "lease"),
    );
    const token = sent.find(({ message }) => message.type === "token")?.message;
    return token?.type === "token" ? token.token : undefined;
  };
  let arriving = tokenOf(1, now_ms, order);
  for (let round = 0; round < rounds; round++) {
    let passed = note(engine.receive(now_ms, 3, 0, encode({ type: "token", token: arriving })));
    while (passed === undefined) {
      now_ms = engine.deadline_ms;
      passed = note(engine.tick(now_ms));
    }
    note(engine.receive(now_ms + 0.1, successor(order), 0, encode({ type: "ack", id: passed })));
    now_ms += timers.rotation_ms - 3;
    arriving = { ...passed, seq: (passed.seq + 4) >>> 0, rested_ms: passed.rested_ms };
  }
  const { counters, ...status } = engine.status();
  return { log, status, counters };
}

/** Idle rounds, the last of which ends with the token here; the time. */
function rest(engine: RaincoreEngine, order: readonly number[] = [1, 2, 3]): number {
  const sent = play(engine, order, 5).log.flat() as { message?: { type: string; token: Token } }[];
  const passed = sent.filter(({ message }) => message?.type === "token").at(-1)?.message?.token;
  assert.ok(passed);
  const now_ms = Math.max(...passed.members.map((member) => member.passed_ms ?? 0)) + 1;
  engine.receive(now_ms, 3, 0, encode({ type: "token", token: { ...passed, seq: passed.seq + 4 } }));
  assert.ok(engine.status().counters.token_idle);
  return now_ms;
}

for (const order of [
  [2, 1, 3],
  [1, 2, 3],
]) {
  test(`a node in place ${order.indexOf(1) + 1} does with an idle token what it would have done the long way`, () => {
    const [quick, slow] = [quietModule(true), quietModule(false)];
    const short = play(newEngine(quick), order, 20);
    const long = play(newEngine(slow), order, 20);
    assert.deepEqual(short.log, long.log);
    assert.deepEqual(short.status, long.status);
    assert.ok((short.counters.token_idle ?? 0) >= 18);
    assert.equal(long.counters.token_idle ?? 0, 0);
    assert.ok(quick.visits <= 2 && slow.visits >= 20);
  });
}

for (const [what, comesUp] of [
  [
    "the host wakes the ring",
    (engine: RaincoreEngine, module: { isIdle: boolean }) => {
      module.isIdle = false;
      engine.wake(engine.deadline_ms - 1);
    },
  ],
  [
    "the module itself has something to do",
    (_engine: RaincoreEngine, module: { isIdle: boolean }) => {
      module.isIdle = false;
    },
  ],
] as const) {
  test(`work that comes up while an idle token rests here is done before it goes on: ${what}`, () => {
    const module = quietModule(true);
    const engine = newEngine(module);
    const now_ms = rest(engine);
    const { visits } = module;
    comesUp(engine, module);
    assert.ok(engine.status().holding);
    const sent = sentIn(engine.tick(engine.deadline_ms));
    assert.ok(sent.some(({ message }) => message.type === "token"));
    assert.equal(module.visits, visits + 1);
    assert.ok(engine.deadline_ms > now_ms);
  });
}

test("in a calm ring idle tokens are handed on without an answer, and one in 32 with", () => {
  const engine = newEngine(quietModule(true), { calmRounds: 0 });
  const { log, counters } = play(engine, [2, 1, 3], 100);
  const sent = log.flat() as readonly { readonly message?: { readonly type: string; readonly quiet?: true } }[];
  const quiet = sent.filter(({ message }) => message?.quiet).length;
  assert.ok(quiet >= 94 && quiet <= 97, `${quiet} of 100`);
  assert.equal(counters.hand_over_resent ?? 0, 0);
});

test("a quiet token that does not come round is sent again, and called for if that is not answered", () => {
  const engine = newEngine(quietModule(true), { calmRounds: 0 });
  const now_ms = rest(engine, [2, 1, 3]);
  const expected = {
    "token to 3": 4.5,
    "call to 2": 5.5,
    "call to 3": 5.5,
    "beacon to 2": 9.5,
    "beacon to 3": 9.5,
    alone: 9.5,
  };
  const first_ms = new Map<string, number>();
  const note = (what: string, at_ms: number) => {
    if (!first_ms.has(what)) first_ms.set(what, Math.round(((at_ms - now_ms) / timers.unit_ms) * 10) / 10);
  };
  for (let step = 0; step < 20 && engine.status().members.length > 1; step++) {
    const at_ms = engine.deadline_ms;
    for (const { message, to } of sentIn(engine.tick(at_ms))) note(`${message.type} to ${to}`, at_ms);
    if (engine.status().members.length === 1) note("alone", at_ms);
  }
  assert.deepEqual(Object.fromEntries(first_ms), expected);
});

for (const { order, dead, rested_ms, where } of [
  { order: [2, 1, 3], dead: 3, rested_ms: 12.5, where: "behind this node, which is behind the first" },
  { order: [2, 1, 3], dead: 2, rested_ms: 0, where: "the first" },
  { order: [1, 2, 3], dead: 2, rested_ms: 0, where: "behind this node, which is the first" },
]) {
  test(`by a call for a quiet token the lease of one that is gone ends when it would by a failed hand-over: ${where}`, () => {
    const removed: Removed[] = [];
    const module = quietModule(true);
    const engine = newEngine(
      Object.assign(module, {
        onToken(ctx: TokenContext, bytes: Uint8Array | undefined) {
          removed.push(...ctx.removed);
          return bytes ?? new Uint8Array(0);
        },
      }),
      { calmRounds: 0 },
    );
    const received_ms = rest(engine, order);
    const lease_ms = engine.status().leaseUntil_ms;
    const group = { epoch: 7, origin: 2, nodeIds: order };
    for (let step = 0; step < 30 && removed.length === 0; step++) {
      const at_ms = engine.deadline_ms;
      for (const { to, message } of sentIn(engine.tick(at_ms))) {
        if (message.type !== "call" || to === dead) continue;
        const answer = {
          type: "answer",
          round: message.round,
          verdict: "grant",
          epoch: 7,
          answered_ms: at_ms,
          group,
        } as const;
        engine.receive(at_ms + 0.1, to, 0, encode(answer));
      }
    }
    assert.deepEqual(removed, [{ nodeId: dead, leaseEnd_ms: received_ms - rested_ms + timers.lease_ms }]);
    assert.equal(engine.status().leaseUntil_ms, lease_ms, "the call gives its caller no other lease");
  });
}

test("a quiet token is answered only when it comes twice", () => {
  const engine = newEngine(quietModule(true));
  const quiet = encode({ type: "token", token: tokenOf(1, START_MS, [2, 1, 3]), quiet: true });
  const acksIn = (effects: readonly Effect[]) => sentIn(effects).filter(({ message }) => message.type === "ack").length;
  assert.equal(acksIn(engine.receive(START_MS + 10, 2, 0, quiet)), 0);
  assert.equal(acksIn(engine.receive(START_MS + 11, 2, 0, quiet)), 1);
});

test("whatever differs from an idle token goes the long way", () => {
  const sent = tokenOf(9, 5000, [2, 1, 3]);
  const bytes = encode({ type: "token", token: sent });
  const idle = IdleToken.of(sent, bytes, 1);
  assert.ok(idle !== undefined);
  const matches = (token: Token): boolean => idle.matches(encode({ type: "token", token }));
  const [first] = sent.members;
  assert.ok(first);
  assert.ok(matches(sent));
  assert.ok(matches({ ...sent, seq: 77, rested_ms: 3 }), "where it is in its life does not matter");
  assert.ok(matches({ ...sent, members: sent.members.map((member) => ({ ...member, passed_ms: 6000 })) }));
  const others: Token[] = [
    { ...sent, epoch: 8 },
    { ...sent, origin: 3 },
    { ...sent, hurry: 1 },
    { ...sent, members: sent.members.slice(1) },
    { ...sent, members: [{ ...first, ready: false }, ...sent.members.slice(1)] },
    { ...sent, members: [{ ...first, incarnation: 6n }, ...sent.members.slice(1)] },
    { ...sent, members: [{ ...first, session: 2 }, ...sent.members.slice(1)] },
    { ...sent, carriages: [] },
    { ...sent, carriages: [{ name: "m", format: 1, version: 3, bytes: Uint8Array.of(1, 2, 4) }] },
  ];
  for (const other of others) assert.equal(matches(other), false);
  const members = sent.members.map((member) => ({ ...member, passed_ms: Number.NaN }));
  assert.equal(matches({ ...sent, members }), false, "nothing may be remembered that cannot be decoded");
  assert.equal(matches({ ...sent, rested_ms: Number.POSITIVE_INFINITY }), false);
});

test("a token that somebody has not passed on yet, or with a member that is not ready, is no idle one", () => {
  const sent = tokenOf(9, 5000, [2, 1, 3]);
  const [first] = sent.members;
  assert.ok(first);
  const of = (change: object): IdleToken | undefined => {
    const token = { ...sent, members: [{ ...first, ...change }, ...sent.members.slice(1)] };
    return IdleToken.of(token, encode({ type: "token", token }), 1);
  };
  assert.equal(of({ ready: false }), undefined);
  assert.equal(of({ passed_ms: undefined }), undefined);
});

test("stamped bytes are the token with its new place in life, for any members and carriages", () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.integer({ min: 2, max: 0xffff }), { minLength: 1, maxLength: 8 }),
      fc.nat({ max: 8 }),
      fc.integer({ min: 0, max: 0xffff_ffff }),
      fc.double({ min: 0, max: 1e12, noNaN: true }),
      fc.uint8Array({ maxLength: 50 }),
      (others, place, seq, passed_ms, carriage) => {
        const order = [...others.slice(0, place), 1, ...others.slice(place)];
        const sent = { ...tokenOf(1, 5, order), carriages: [{ name: "m", format: 1, version: 3, bytes: carriage }] };
        const bytes = encode({ type: "token", token: sent });
        const idle = IdleToken.of(sent, bytes, 1);
        assert.ok(idle !== undefined);
        assert.equal(idle.passedOf(bytes), 5);
        const rested_ms = idle.isFirst ? 3.25 : undefined;
        const result = decode(idle.stamped(idle.taken(bytes, 4), { seq, passed_ms, rested_ms, isQuiet: false }));
        assert.ok(result.ok && result.message.type === "token");
        const members = sent.members.map((member) => (member.nodeId === 1 ? { ...member, passed_ms } : member));
        assert.deepEqual(result.message.token, { ...sent, seq, members, rested_ms: rested_ms ?? sent.rested_ms });
      },
    ),
  );
});
