// Planned absences: when a node may go, what the others know then, and when it is over.
import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeAbsences, encodeAbsences } from "../../lib/vip/absences.js";
import { away, PATIENCE_MS, Ring } from "./absenceRing.js";

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
