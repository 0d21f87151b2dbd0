// Planned absences: when a node may go, what the others know then, and when it is over.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TokenContext } from "../../lib/raincore/types.js";
import { type AbsenceOutcome, Absences, decodeAbsences, encodeAbsences } from "../../lib/vip/absences.js";

const LEASE_MS = 100;
const PATIENCE_MS = 10_000;

/** Nodes 1 to `count` that hand a carriage round, a millisecond each. */
class Ring {
  now_ms = 1000;
  readonly outcomes: AbsenceOutcome[] = [];
  readonly changes: number[] = [];
  readonly modules: Map<number, Absences>;
  members: number[];
  ready: number[];
  carriage: Uint8Array | undefined;
  epoch = 1;
  leaseless = new Set<number>();
  readonly incarnations = new Map<number, bigint>();
  waiting = new Set<number>();

  constructor(count = 3, policy: "available" | "majority" = "available") {
    this.members = Array.from({ length: count }, (_, index) => index + 1);
    this.ready = this.members;
    this.modules = new Map(this.members.map((self) => [self, this.#module(self, count, policy)]));
  }

  #module(self: number, count: number, policy: "available" | "majority"): Absences {
    return new Absences({
      self,
      nodeIds: Array.from({ length: count }, (_, index) => index + 1),
      isQuorate: (nodeIds) => policy === "available" || 2 * nodeIds.length > count,
      needsEverybody: policy === "available",
      patience_ms: PATIENCE_MS,
      isServing: () => !this.waiting.has(self),
      onOutcome: (outcome) => this.outcomes.push(outcome),
      onChange: () => this.changes.push(self),
    });
  }

  of(nodeId: number): Absences {
    const module = this.modules.get(nodeId);
    assert.ok(module);
    return module;
  }

  absentAt(nodeId: number): number[] {
    return [...this.of(nodeId).remaining_ms(this.now_ms).keys()];
  }

  visit(self: number, change: Partial<TokenContext> = {}): void {
    this.now_ms += 1;
    const members = this.members.map((nodeId) => ({
      nodeId,
      incarnation: this.incarnations.get(nodeId) ?? 1n,
      ready: this.ready.includes(nodeId),
    }));
    this.carriage = this.of(self).onToken(
      {
        now_ms: this.now_ms,
        self,
        view: { epoch: this.epoch, origin: 1, members, self, quorate: true },
        confirmed: true,
        tokenReceived_ms: this.now_ms,
        removed: [],
        missedQuorum: false,
        lacking: new Set(),
        leaving: false,
        hasten: () => {},
        lease_ms: LEASE_MS,
        leaseValid: !this.leaseless.has(self),
        mayBeServedOutside: false,
        ...change,
      },
      this.carriage,
    );
  }

  round(): void {
    for (const nodeId of this.members) this.visit(nodeId);
  }

  without(nodeId: number): void {
    this.members = this.members.filter((each) => each !== nodeId);
    this.ready = this.ready.filter((each) => each !== nodeId);
    this.epoch += 1;
  }
}

test("a node may go when every member has heard of it, and no sooner", () => {
  const ring = new Ring();
  ring.of(1).request(5000, ring.now_ms);
  ring.visit(1);
  const told_ms = ring.now_ms;
  ring.visit(2);
  ring.visit(1);
  assert.deepEqual(ring.outcomes, [], "node 3 has not heard");
  ring.round();
  ring.visit(1);
  assert.deepEqual(ring.outcomes, [{ agreed: true, until_ms: told_ms + 5000 * 0.995 }]);
  for (const nodeId of ring.members) assert.deepEqual(ring.absentAt(nodeId), [1]);
});

test("the others keep its place until after the time that it goes by itself", () => {
  const ring = new Ring();
  ring.of(1).request(5000, ring.now_ms);
  ring.round();
  ring.visit(1);
  const [outcome] = ring.outcomes;
  assert.ok(outcome?.agreed);
  ring.visit(1, { leaving: true });
  ring.without(1);
  for (; ring.now_ms <= outcome.until_ms; ring.round())
    for (const nodeId of [2, 3]) assert.deepEqual(ring.absentAt(nodeId), [1]);
  ring.now_ms += 5000;
  ring.round();
  for (const nodeId of [2, 3]) assert.deepEqual(ring.absentAt(nodeId), []);
  assert.equal(ring.carriage, undefined, "nothing is left on the token");
  assert.deepEqual(ring.changes.filter((nodeId) => nodeId === 2).length, 2);
});

test("time on a token that rests counts, and a token made again from an older copy gives none back", () => {
  const ring = new Ring();
  ring.of(1).request(5000, ring.now_ms);
  ring.round();
  const old = ring.carriage;
  ring.now_ms += 3000;
  ring.round();
  ring.carriage = old;
  ring.round();
  const [absence] = decodeAbsences(ring.carriage ?? new Uint8Array()) ?? [];
  assert.ok(absence !== undefined && absence.remaining_ms < 2000, `${absence?.remaining_ms} ms left`);
});

test("it is over when the node is back with a lease of its own", () => {
  const ring = new Ring();
  ring.of(1).request(5000, ring.now_ms);
  ring.round();
  ring.visit(1);
  ring.without(1);
  ring.round();
  // Its next life, which knows nothing.
  const next = new Ring();
  ring.modules.set(1, next.of(1));
  ring.members = [1, 2, 3];
  ring.incarnations.set(1, 2n);
  ring.leaseless.add(1);
  ring.round();
  assert.deepEqual(ring.absentAt(2), [1], "it has no lease yet");
  assert.deepEqual([...ring.of(2).returning], []);
  ring.leaseless.clear();
  ring.ready = [1, 2, 3];
  ring.round();
  for (const nodeId of ring.members) assert.deepEqual(ring.absentAt(nodeId), [1], "not all know it as ready yet");
  for (const nodeId of ring.members) assert.deepEqual([...ring.of(nodeId).returning], [1]);
  ring.round();
  for (const nodeId of ring.members) assert.deepEqual(ring.absentAt(nodeId), []);
});

for (const [what, why, prepare] of [
  ["is no ready member", "not_ready", (ring) => (ring.ready = [2, 3])],
  ["has no lease", "not_ready", (ring) => ring.leaseless.add(1)],
  ["is not in a whole cluster", "not_everybody_here", (ring) => ring.without(3)],
] as const satisfies readonly (readonly [string, string, (ring: Ring) => void])[]) {
  test(`a node that ${what} may not go`, () => {
    const ring = new Ring();
    prepare(ring);
    ring.of(1).request(5000, ring.now_ms);
    ring.round();
    ring.round();
    assert.deepEqual(ring.outcomes, [{ agreed: false, why }]);
    assert.equal(ring.carriage, undefined);
  });
}

test("with majority a node may go while the others have one, though a node is missing, and else not", () => {
  const five = new Ring(5, "majority");
  five.without(5);
  five.of(1).request(5000, five.now_ms);
  five.round();
  five.visit(1);
  assert.equal(five.outcomes[0]?.agreed, true);

  const three = new Ring(3, "majority");
  three.without(3);
  three.of(1).request(5000, three.now_ms);
  three.round();
  assert.deepEqual(three.outcomes, [{ agreed: false, why: "not_quorate_without" }]);
});

test("one node at a time", () => {
  const ring = new Ring();
  ring.of(1).request(5000, ring.now_ms);
  ring.visit(1);
  ring.of(2).request(5000, ring.now_ms);
  ring.round();
  ring.round();
  assert.deepEqual(ring.outcomes, [
    { agreed: false, why: "somebody_is_absent" },
    { agreed: true, until_ms: 1001 + 5000 * 0.995 },
  ]);
});

test("members that do not know what an absence is are not left alone with one", () => {
  const ring = new Ring();
  ring.of(1).request(5000, ring.now_ms);
  ring.visit(1, { lacking: new Set([3]) });
  assert.deepEqual(ring.outcomes, [{ agreed: false, why: "not_known_to_all" }]);
});

test("a request ends with the membership", () => {
  const ring = new Ring();
  ring.of(1).request(5000, ring.now_ms);
  ring.visit(1);
  ring.of(1).onLost();
  assert.deepEqual(ring.outcomes, [{ agreed: false, why: "not_ready" }]);
  assert.deepEqual(ring.absentAt(1), []);
});

test("what is no list of absences is carried on, and nobody goes by it", () => {
  const ring = new Ring();
  ring.carriage = new Uint8Array([0, 1, 2]);
  ring.of(1).request(5000, ring.now_ms);
  ring.visit(1);
  assert.deepEqual([...(ring.carriage ?? [])], [0, 1, 2]);
  assert.equal(ring.of(1).malformedCarriages, 1);
  assert.deepEqual(ring.outcomes, [{ agreed: false, why: "not_known_to_all" }]);
});

test("a request that nobody waits for any more is given up, and is not granted later", () => {
  const ring = new Ring();
  ring.of(1).request(5000, ring.now_ms);
  ring.visit(1);
  ring.now_ms += PATIENCE_MS;
  ring.round();
  ring.round();
  assert.deepEqual(ring.outcomes, [{ agreed: false, why: "not_known_to_all" }]);
  assert.equal(ring.carriage, undefined);
});

test("a node goes when it answers for all that it has been given", () => {
  const ring = new Ring();
  ring.waiting.add(1);
  ring.of(1).request(5000, ring.now_ms);
  ring.round();
  ring.round();
  assert.equal(ring.outcomes.length, 0);
  ring.waiting.clear();
  ring.round();
  assert.equal(ring.outcomes[0]?.agreed, true);
});

test("once it is agreed on, a request does not undo it, and is refused", () => {
  const ring = new Ring();
  ring.of(1).request(5000, ring.now_ms);
  ring.round();
  ring.round();
  ring.of(1).request(5000, ring.now_ms);
  ring.visit(1, { leaving: true });
  assert.deepEqual(ring.outcomes[1], { agreed: false, why: "is_absent" });
  ring.without(1);
  ring.round();
  for (const nodeId of [2, 3]) assert.deepEqual(ring.absentAt(nodeId), [1]);
});

test("one that asks anew before its last absence is off the token is waited for as long as it says now", () => {
  const ring = new Ring();
  ring.of(1).request(1000, ring.now_ms);
  ring.round();
  ring.round();
  ring.modules.set(1, new Ring().of(1));
  ring.of(1).request(9000, ring.now_ms);
  ring.round();
  ring.round();
  ring.without(1);
  ring.round();
  ring.now_ms += 8900;
  ring.round();
  for (const nodeId of [2, 3]) assert.deepEqual(ring.absentAt(nodeId), [1]);
});

test("a node goes for no longer than any other waits, whatever it has asked for", () => {
  const ring = new Ring();
  ring.of(1).request(5000, ring.now_ms);
  ring.round();
  const [absence] = decodeAbsences(ring.carriage ?? new Uint8Array()) ?? [];
  assert.ok(absence);
  // Of somebody to whom less of it is left.
  ring.carriage = encodeAbsences([{ ...absence, remaining_ms: 3000 }]);
  ring.visit(1);
  assert.deepEqual(ring.outcomes, [{ agreed: true, until_ms: ring.now_ms + 3000 - 5000 * 0.005 }]);
});

/** Node 1 is away, and the others are without it. */
function away(ring: Ring): void {
  ring.of(1).request(5000, ring.now_ms);
  ring.round();
  ring.round();
  ring.without(1);
  ring.round();
}

test("who has lost its place tells the next group, its own or one that others have formed", () => {
  for (const members of [[2], [2, 3]]) {
    const ring = new Ring();
    away(ring);
    ring.of(2).onLost();
    assert.deepEqual(ring.absentAt(2), []);
    assert.equal(ring.of(2).isIdle, false, "it has something to tell");
    ring.modules.set(3, new Ring().of(3));
    ring.members = members;
    ring.carriage = undefined;
    ring.visit(2);
    assert.deepEqual(ring.absentAt(2), [1]);
    assert.deepEqual([...ring.of(2).recalled], [1]);
    ring.members = [2, 3];
    ring.visit(3);
    assert.deepEqual(ring.absentAt(3), [1]);
    assert.deepEqual([...ring.of(3).recalled], []);
    ring.visit(2);
    assert.deepEqual([...ring.of(2).recalled], [], "once");
  }
});

test("who has missed that a node is back does not take it for absent again, and one that knows of the next absence does", () => {
  const ring = new Ring();
  away(ring);
  ring.of(2).onLost();
  // Its next life.
  ring.modules.set(1, new Ring().of(1));
  ring.members = [1, 3];
  ring.ready = [1, 3];
  ring.epoch += 1;
  ring.round();
  ring.round();
  assert.deepEqual(ring.absentAt(3), []);
  assert.ok(ring.carriage, "told to whoever comes");
  assert.equal(ring.of(3).isIdle, true, "and nothing that keeps the ring busy");
  ring.members = [1, 2, 3];
  ring.round();
  for (const nodeId of ring.members) assert.deepEqual(ring.absentAt(nodeId), []);

  const before = ring.carriage;
  ring.ready = [1, 2, 3];
  ring.epoch += 1;
  away(ring);
  ring.of(3).onLost();
  ring.carriage = before;
  ring.modules.set(2, new Ring().of(2));
  ring.visit(3);
  assert.deepEqual(ring.absentAt(3), [1]);
  assert.deepEqual([...ring.of(3).recalled], [1]);
});

test("what was asked for and given up is not an absence to those that have heard of it and come in elsewhere", () => {
  const ring = new Ring();
  ring.waiting.add(1);
  ring.of(1).request(50_000, ring.now_ms);
  ring.round();
  ring.of(2).onLost();
  ring.now_ms += PATIENCE_MS;
  ring.members = [1, 3];
  ring.round();
  assert.deepEqual(ring.outcomes, [{ agreed: false, why: "not_known_to_all" }]);
  ring.members = [1, 2, 3];
  ring.round();
  for (const nodeId of ring.members) assert.deepEqual(ring.absentAt(nodeId), []);
});

test("who comes into a group that did not know of an absence, and has the node as a ready member, tells that it is back", () => {
  const ring = new Ring();
  away(ring);
  ring.of(2).onLost();
  for (const nodeId of [1, 3]) ring.modules.set(nodeId, new Ring().of(nodeId));
  ring.carriage = undefined;
  ring.incarnations.set(1, 2n);
  ring.members = [1, 2, 3];
  ring.ready = [1, 3];
  ring.visit(2);
  assert.deepEqual([...ring.of(2).recalled], []);
  assert.deepEqual(ring.absentAt(2), []);
  // Known to those that come later as well.
  assert.equal(decodeAbsences(ring.carriage ?? new Uint8Array())?.[0]?.isBack, true);
});

test("a node that is back, and one that was not let go, does not take itself for absent in another group", () => {
  for (const isLetGo of [true, false]) {
    const ring = new Ring();
    ring.waiting.add(1);
    if (isLetGo) away(ring);
    else ring.of(1).request(5000, ring.now_ms);
    ring.members = [1, 2, 3];
    ring.ready = ring.members;
    if (isLetGo) ring.modules.set(1, new Ring().of(1));
    for (let rounds = 0; rounds < (isLetGo ? 3 : 1); rounds++) ring.round();
    ring.of(1).onLost();
    // One that has not heard of it.
    const ignorant = new Ring();
    ignorant.modules.set(1, ring.of(1));
    ignorant.now_ms = ring.now_ms;
    ignorant.visit(1);
    assert.deepEqual(ignorant.absentAt(1), []);
    assert.equal(decodeAbsences(ignorant.carriage ?? new Uint8Array())?.[0]?.isBack, true);
  }
});

test("what is said of one that is back stays the same bytes, until it is over", () => {
  const ring = new Ring();
  away(ring);
  ring.modules.set(1, new Ring().of(1));
  ring.members = [1, 2, 3];
  ring.ready = ring.members;
  for (let rounds = 0; rounds < 3; rounds++) ring.round();
  const said = ring.carriage;
  assert.ok(said);
  ring.now_ms += 3000;
  ring.round();
  assert.deepEqual(ring.carriage, said);
  ring.now_ms += 3000;
  ring.round();
  assert.equal(ring.carriage, undefined);
});

test("a second absence of the same view is not taken for the first one, which is over", () => {
  const ring = new Ring();
  ring.waiting.add(1);
  ring.of(1).request(50_000, ring.now_ms);
  ring.round();
  ring.now_ms += PATIENCE_MS;
  ring.round();
  // Node 2 knows of the first one only.
  ring.of(2).onLost();
  ring.waiting.clear();
  ring.of(1).request(60_000, ring.now_ms);
  ring.visit(1);
  ring.members = [2, 3];
  ring.round();
  for (const nodeId of ring.members) assert.deepEqual(ring.absentAt(nodeId), [1]);
});

test("a token that is made again from a copy that is older than a return does not undo it", () => {
  const ring = new Ring();
  away(ring);
  const old = ring.carriage;
  ring.modules.set(1, new Ring().of(1));
  ring.members = [1, 2, 3];
  ring.ready = ring.members;
  ring.round();
  ring.round();
  ring.round();
  ring.without(1);
  ring.carriage = old;
  ring.round();
  for (const nodeId of ring.members) assert.deepEqual(ring.absentAt(nodeId), []);
});

test("of more than can be carried, those are kept that are in force, and then those that are over last", () => {
  const ring = new Ring();
  away(ring);
  ring.of(2).onLost();
  const backs = Array.from({ length: 8 }, (_, index) => {
    return {
      nodeId: 10 + index,
      incarnation: 1n,
      epoch: 1,
      telling: 1,
      isBack: true,
      remaining_ms: 10_000 + 1000 * index,
      known: [],
    };
  });
  ring.carriage = encodeAbsences(backs);
  ring.visit(2);
  assert.deepEqual(
    decodeAbsences(ring.carriage)?.map(({ nodeId }) => nodeId),
    [1, 17, 16, 15, 14, 13, 12, 11],
  );
});

test("an absence is over at its time, though the carriage cannot be read or has no room", () => {
  const ring = new Ring();
  ring.of(1).request(5000, ring.now_ms);
  ring.round();
  ring.round();
  ring.carriage = new Uint8Array([0, 1, 2]);
  ring.now_ms += 5000;
  ring.visit(2);
  assert.deepEqual(ring.absentAt(2), []);
});

test("a request is refused where the carriage is passed by or is of a newer format", () => {
  for (const method of ["onPassedBy", "onOutdated"] as const) {
    const ring = new Ring();
    ring.of(1).request(5000, ring.now_ms);
    ring.of(1)[method]();
    assert.deepEqual(ring.outcomes, [{ agreed: false, why: "not_known_to_all" }]);
  }
});
