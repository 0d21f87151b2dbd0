// One core alone, driven by hand: what it does with input that no well-behaved peer sends, and with modules that fail.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  type Effect,
  type RaincoreConfig,
  RaincoreEngine,
  type TokenContext,
  type TokenModule,
} from "../../lib/raincore/engine.js";
import { decode, encode, type Message } from "../../lib/raincore/messages.js";
import { deriveTimers } from "../../lib/raincore/timers.js";
import type { Token } from "../../lib/raincore/token.js";

const timers = deriveTimers(280);
const STARTUP_WAIT_MS = 500;
const START_MS = 1000;

function newCore(
  modules: readonly TokenModule[] = [],
  peerIds: readonly number[] = [2, 3],
  change: Partial<RaincoreConfig> = {},
): RaincoreEngine {
  const peers = peerIds.map((nodeId) => ({ nodeId, paths: 1 }));
  return new RaincoreEngine(
    {
      cluster: "front",
      nodeId: 1,
      incarnation: 5n,
      peers,
      timers,
      startupWait_ms: STARTUP_WAIT_MS,
      modules,
      ...change,
    },
    { random: () => 0.5 },
  );
}

/** Ticks at every deadline until `until_ms`. */
function runTo(core: RaincoreEngine, until_ms: number): Effect[] {
  const effects: Effect[] = [];
  while (core.deadline_ms <= until_ms) effects.push(...core.tick(core.deadline_ms));
  return effects;
}

function newMember(modules: readonly TokenModule[] = []): RaincoreEngine {
  const core = newCore(modules);
  core.start(START_MS);
  runTo(core, START_MS + STARTUP_WAIT_MS + 3 * timers.rotation_ms);
  assert.equal(core.status().state, "member");
  return core;
}

function sentIn(effects: readonly Effect[]): { readonly to: number; readonly message: Message }[] {
  return effects.flatMap((effect) => {
    if (effect.type !== "send") return [];
    const result = decode(effect.bytes);
    assert.ok(result.ok);
    return [{ to: effect.to, message: result.message }];
  });
}

function tokenFor(core: RaincoreEngine, change: Partial<Token> = {}): Token {
  const members = [2, 1].map((nodeId) => ({ nodeId, incarnation: 5n, session: 1, ready: true, passed_ms: undefined }));
  return {
    epoch: core.status().epoch + 1,
    origin: 2,
    seq: 1,
    members,
    carriages: [],
    hurry: 0,
    rested_ms: 0,
    ...change,
  };
}

class Recorder implements TokenModule {
  readonly carriage: string;
  readonly format: number = 1;
  readonly bytesMax: number = 50_000;
  readonly contexts: TokenContext[] = [];
  lost = 0;
  readonly #answer: (bytes: Uint8Array | undefined) => Uint8Array | undefined;

  constructor(carriage: string, answer: (bytes: Uint8Array | undefined) => Uint8Array | undefined) {
    this.carriage = carriage;
    this.#answer = answer;
  }

  onToken(ctx: TokenContext, bytes: Uint8Array | undefined): Uint8Array | undefined {
    this.contexts.push(ctx);
    return this.#answer(bytes);
  }

  onLost(): void {
    this.lost += 1;
  }
}

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
    fc.property(fc.integer({ min: 0, max: 8 }), fc.uint8Array({ maxLength: 80 }), (type, rest) => {
      now_ms += 0.01;
      member.receive(now_ms, 2, 0, Uint8Array.of(type, ...rest));
      joiner.receive(now_ms, 3, 0, Uint8Array.of(type, ...rest));
    }),
    { numRuns: 3000, seed: 3 },
  );
});

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

test("a module that throws leaves its carriage as it was, and the ring goes on", () => {
  const good = new Recorder("m2", () => Uint8Array.of(1));
  const bad = new Recorder("m1", () => {
    throw new Error("broken");
  });
  const core = newMember([bad, good]);
  assert.ok((core.status().counters.module_failed ?? 0) > 0);
  assert.ok(good.contexts.length > 1);
});

test("a carriage that is too large is refused, and the one before is kept", () => {
  let length = 10;
  const module = new Recorder("m1", () => new Uint8Array(length));
  const core = newMember([module]);
  length = module.bytesMax + 1;
  runTo(core, core.deadline_ms);
  assert.ok((core.status().counters.carriage_too_large ?? 0) > 0);
});

test("carriages of modules that this node does not have are carried on", () => {
  const core = newCore();
  core.start(START_MS);
  const carriages = [{ name: "x-later", format: 9, version: 3, bytes: Uint8Array.of(9) }];
  const effects = core.receive(
    START_MS + 10,
    2,
    0,
    encode({ type: "token", token: tokenFor(core, { hurry: 2, carriages }) }),
  );
  const passed = sentIn(effects).find(({ message }) => message.type === "token")?.message;
  assert.ok(passed?.type === "token");
  assert.deepEqual(passed.token.carriages, carriages);
});

test("a carriage of a newer layout is carried on, and its module does not see it", () => {
  const module = new Recorder("m1", () => Uint8Array.of(1));
  const core = newCore([module]);
  core.start(START_MS);
  const carriages = [{ name: "m1", format: module.format + 1, version: 3, bytes: Uint8Array.of(9) }];
  const effects = core.receive(
    START_MS + 10,
    2,
    0,
    encode({ type: "token", token: tokenFor(core, { hurry: 2, carriages }) }),
  );
  const passed = sentIn(effects).find(({ message }) => message.type === "token")?.message;
  assert.ok(passed?.type === "token");
  assert.deepEqual(passed.token.carriages, carriages);
  assert.equal(module.contexts.length, 0);
  assert.equal(core.status().counters.carriage_newer, 1);
});

test("a module that has nothing to say any more takes its carriage off the token", () => {
  let answer: Uint8Array | undefined = Uint8Array.of(1);
  const module = new Recorder("m1", () => answer);
  const core = newCore([module]);
  core.start(START_MS);
  const receive = (seq: number) =>
    sentIn(
      core.receive(START_MS + 10, 2, 0, encode({ type: "token", token: tokenFor(core, { hurry: 2, epoch: 9, seq }) })),
    );
  const carriagesIn = (sent: ReturnType<typeof receive>) =>
    sent.flatMap(({ message }) => (message.type === "token" ? message.token.carriages : []));
  assert.equal(carriagesIn(receive(1)).length, 1);
  core.receive(START_MS + 10, 2, 0, encode({ type: "ack", id: { epoch: 9, origin: 2, seq: 3 } }));
  answer = undefined;
  assert.equal(carriagesIn(receive(4)).length, 0);
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

test("modules that could outgrow the token together, or share a name, are refused", () => {
  const module = (carriage: string, bytesMax: number): TokenModule => ({
    carriage,
    format: 1,
    bytesMax,
    onToken: () => undefined,
    onLost: () => {},
  });
  assert.throws(() => newCore([module("a", 100_000), module("b", 100_000)]), /bytes together/);
  assert.throws(() => newCore([module("a", 10), module("a", 10)]), /different ones/);
  assert.throws(() => newCore([module("No", 10)]), /the carriages No/);
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

test("epochs begin above the floor that was given", () => {
  const core = newCore([], [], { epochFloor: 1_000_000 });
  core.start(START_MS);
  runTo(core, START_MS + STARTUP_WAIT_MS);
  assert.equal(core.status().epoch, 1_000_001);
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

test("a successor of a weaker group is removed with a whole lease to wait, and one of a stronger group wins", () => {
  for (const [nodeIds, expected] of [
    [[2], "member"],
    [[2, 3, 4, 5], "joining"],
  ] as const) {
    const module = new Recorder("m1", (bytes) => bytes ?? new Uint8Array(0));
    const core = newCore([module]);
    core.start(START_MS);
    const effects = core.receive(START_MS + 10, 2, 0, encode({ type: "token", token: tokenFor(core, { hurry: 2 }) }));
    const passed = sentIn(effects).find(({ message }) => message.type === "token")?.message;
    assert.ok(passed?.type === "token");
    const group = { epoch: 40, origin: 2, nodeIds };
    const newest = { epoch: 40, origin: 2, seq: 1 };
    const nack: Message = {
      type: "nack",
      id: passed.token,
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

test("a newer token in whose view we are makes us drop ours and wait for it", () => {
  const core = newCore();
  core.start(START_MS);
  const effects = core.receive(START_MS + 10, 2, 0, encode({ type: "token", token: tokenFor(core, { hurry: 2 }) }));
  const passed = sentIn(effects).find(({ message }) => message.type === "token")?.message;
  assert.ok(passed?.type === "token");
  const nack = { type: "nack", id: passed.token, reason: "older", listed: true } as const;
  const group = { epoch: 9, origin: 2, nodeIds: [1, 2] };
  core.receive(START_MS + 11, 2, 0, encode({ ...nack, newest: passed.token, group }));
  assert.equal(core.status().counters.nack_bogus, 1);
  core.receive(START_MS + 12, 2, 0, encode({ ...nack, newest: { epoch: 9, origin: 2, seq: 1 }, group }));
  assert.equal(core.status().state, "member");
  assert.equal(core.status().counters.token_fenced, 1);
});

/** Makes this node a member of a view of node 2 that passes the token on at once; that token. */
function passedOn(core: RaincoreEngine, at_ms: number): Token {
  core.start(START_MS);
  const effects = core.receive(at_ms, 2, 0, encode({ type: "token", token: tokenFor(core, { hurry: 2 }) }));
  const passed = sentIn(effects).find(({ message }) => message.type === "token")?.message;
  assert.ok(passed?.type === "token");
  return passed.token;
}

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
  core.receive(START_MS + 11, 3, 0, encode({ type: "join", incarnation: 5n, session: 1, epoch: 0, heard: [] }));
  const later = sentIn(runTo(core, START_MS + 10 + timers.handOverFail_ms));
  const own = later.find(({ to, message }) => to === 3 && message.type === "token")?.message;
  assert.ok(own?.type === "token" && own.token.origin === 1);
  const now_ms = START_MS + 11 + timers.handOverFail_ms;
  core.receive(now_ms, 3, 0, encode({ type: "ack", id: own.token }));
  const other = { ...divergentFrom(passed), epoch: own.token.epoch + 5 };
  assert.deepEqual(refusalsIn(core.receive(now_ms, 2, 0, encode({ type: "token", token: other }))), ["absent"]);
  assert.equal(core.status().state, "joining");
});

test("modules hear of a member that went at their first visit without it, and once, also when somebody asks to come in", () => {
  for (const asks of [false, true]) {
    const module = new Recorder("a", (bytes) => bytes);
    const core = newCore([module]);
    passedOn(core, START_MS + 10);
    if (asks)
      core.receive(START_MS + 11, 3, 0, encode({ type: "join", incarnation: 5n, session: 1, epoch: 0, heard: [] }));
    runTo(core, START_MS + 10 + timers.handOverFail_ms);
    const without = module.contexts.filter(({ view }) => view.members.every(({ nodeId }) => nodeId !== 2));
    const visits = without.map(({ view, removed }) => [view.members.length, removed] as const);
    const told = [1, [{ nodeId: 2, leaseEnd_ms: START_MS + 10 + timers.lease_ms }]];
    assert.deepEqual(visits.slice(0, 2), asks ? [told, [2, []]] : [told]);
  }
});

test("a node in a view that others have made refuses a token of another line for its whole group", () => {
  const core = newCore();
  const passed = passedOn(core, START_MS + 10);
  core.receive(START_MS + 11, 2, 0, encode({ type: "ack", id: passed }));
  const offer: Message = { type: "token", token: divergentFrom(passed) };
  assert.deepEqual(refusalsIn(core.receive(START_MS + 12, 2, 0, encode(offer))), ["diverged"]);
  assert.equal(core.status().state, "member");
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

test("a 911 that hears of another, weaker group goes on without that member; of a stronger one, it gives up", () => {
  for (const [nodeIds, expected] of [
    [[2], "member"],
    [[2, 3, 4, 5], "joining"],
  ] as const) {
    const core = newCore();
    core.start(START_MS);
    const effects = core.receive(START_MS + 10, 2, 0, encode({ type: "token", token: tokenFor(core, { hurry: 2 }) }));
    const passed = sentIn(effects).find(({ message }) => message.type === "token")?.message;
    assert.ok(passed?.type === "token");
    core.receive(START_MS + 11, 2, 0, encode({ type: "ack", id: passed.token }));
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
