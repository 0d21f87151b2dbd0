// Planned absences, and what is told of them to another group, to a token that was made again, and of an absence that is over.
import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeAbsences } from "../../lib/vip/absences.js";
import { away, PATIENCE_MS, Ring } from "./absenceRing.js";

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
