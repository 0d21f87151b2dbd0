// Only who has a lease may hold a lock: how it is lost with the lease, with the majority, and with the place in the
// group, and how long the next one waits then.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { fenceBase } from "../../../lib/raincore/locks/policy.js";
import { context, LEASE_MS, TestNode, type VisitOptions } from "./context.js";
import { client, type Round, said, three } from "./round.js";

describe("a lease that runs out", () => {
  test("takes the lock away at that moment, and at the next visit from the table", () => {
    const round = three();
    const id = round.acquire(0);
    round.visit(0);
    const until_ms = round.now_ms + 50;
    round.nodes[0]?.locks.onLease(until_ms, round.now_ms);
    assert.equal(round.nodes[0]?.locks.deadline_ms, until_ms);
    assert.equal(round.nodes[0]?.locks.holds(id, until_ms - 1), true);
    assert.equal(round.nodes[0]?.locks.holds(id, until_ms), false);
    round.nodes[0]?.locks.onTick(until_ms);
    assert.deepEqual(round.nodes[0]?.said(), [`granted ${id}`, `lost lease ${id}`]);
    round.visit(1);
    assert.equal(round.table().locks.length, 1, "others leave it alone");
    round.visit(0);
    assert.equal(round.table().locks.length, 0);
  });

  test("takes the lock away even if that is noticed only when the next lease begins", () => {
    const round = three();
    const id = round.acquire(0);
    round.visit(0);
    round.nodes[0]?.locks.onLease(round.now_ms + 50, round.now_ms);
    round.nodes[0]?.locks.onLease(round.now_ms + 200, round.now_ms + 60);
    assert.deepEqual(round.nodes[0]?.said(), [`granted ${id}`, `lost lease ${id}`]);
  });

  test("takes a right away whose wait was running; it counts again after a visit", () => {
    const round = three();
    round.acquire(0);
    round.now_ms += 1;
    const removed = [{ nodeId: 3, leaseEnd_ms: round.now_ms + 1 + 40 }];
    round.visit(0, { removed, members: [1, 2] });
    const node = round.nodes[0];
    node?.locks.onLease(round.now_ms + 10, round.now_ms);
    node?.locks.onLease(round.now_ms + 500, round.now_ms + 60);
    node?.locks.onTick(round.now_ms + 60);
    assert.deepEqual(node?.said(), []);
    round.now_ms += 60;
    round.visit(0, { members: [1, 2] });
    assert.deepEqual(node?.said(), ["granted 1"]);
  });

  test("that is void takes it away at once", () => {
    const round = three();
    round.acquire(0);
    round.visit(0);
    round.nodes[0]?.locks.onLease(0, round.now_ms);
    assert.deepEqual(round.nodes[0]?.said(), ["granted 1", "lost lease 1"]);
  });
});

describe("after a removal", () => {
  const members = [1, 2];

  test("the next holder waits for the end of the removed one's lease, from its own first sight", () => {
    const round = three();
    round.acquire(2);
    round.visit(2);
    round.acquire(1);
    round.visit(1);
    round.visit(0, { members, removed: [{ nodeId: 3, leaseEnd_ms: round.now_ms + 1 + 40 }] });
    assert.equal(round.calm_ms, 40);
    said(round);
    round.visit(1, { members });
    const from_ms = round.now_ms + 40;
    assert.equal(round.nodes[1]?.locks.deadline_ms, from_ms);
    round.nodes[1]?.locks.onTick(from_ms - 0.1);
    assert.deepEqual(round.nodes[1]?.said(), []);
    round.nodes[1]?.locks.onTick(from_ms);
    assert.deepEqual(round.nodes[1]?.said(), ["granted 1"]);
  });

  test("every member counts the wait down by its own clock, and none makes it longer", () => {
    const round = three();
    round.visit(0, { members, removed: [{ nodeId: 3, leaseEnd_ms: round.now_ms + 1 + 40 }] });
    const start_ms = round.now_ms;
    round.visit(1, { members });
    assert.equal(round.calm_ms, 40, "first sight");
    round.now_ms = start_ms + 30;
    round.visit(0, { members });
    assert.equal(round.calm_ms, 9);
    round.visit(1, { members });
    assert.equal(round.calm_ms, 9, "its own reckoning would be 9 too, from a millisecond later");
    round.now_ms = start_ms + 60;
    round.visit(1, { members });
    assert.equal(round.calm_ms, 0);
  });

  test("a longer wait replaces a shorter one, not the other way round", () => {
    const round = three();
    round.visit(0, { members, removed: [{ nodeId: 3, leaseEnd_ms: round.now_ms + 1 + 40 }] });
    round.visit(0, { members: [1], removed: [{ nodeId: 2, leaseEnd_ms: round.now_ms + 1 + 90 }] });
    assert.equal(round.calm_ms, 90);
    round.visit(0, { members: [1], removed: [{ nodeId: 3, leaseEnd_ms: round.now_ms + 1 + 10 }] });
    assert.equal(round.calm_ms, 89);
  });

  test("a free lock waits as well: the removed node may have taken it unseen", () => {
    const round = three();
    round.visit(0, { members, removed: [{ nodeId: 3, leaseEnd_ms: round.now_ms + 1 + 40 }] });
    round.acquire(0);
    round.visit(0, { members });
    assert.deepEqual(round.nodes[0]?.said(), []);
    assert.equal(round.nodes[0]?.locks.deadline_ms, round.now_ms + 39);
  });

  test("a holder that lives passes its lock on without a wait", () => {
    const round = three();
    const id = round.acquire(0);
    round.visit(0);
    round.acquire(1);
    round.visit(1);
    round.visit(0, { members, removed: [{ nodeId: 3, leaseEnd_ms: round.now_ms + 1 + 90 }] });
    round.nodes[0]?.locks.release(id);
    round.visit(0, { members });
    round.visit(1, { members });
    assert.deepEqual(round.nodes[1]?.said(), ["granted 1"]);
  });

  test("in a view that some member may not know of, nobody gets a lock, and nobody is refused a free one", () => {
    const round = three();
    const id = round.acquire(0);
    round.visit(0);
    round.acquire(1);
    round.visit(1);
    round.acquire(2, "b", { wait_ms: 0 });
    said(round);
    const unconfirmed = { epoch: 9, confirmed: false };
    round.visit(2, unconfirmed);
    assert.ok((round.nodes[2]?.hastened ?? 0) > 0, "the token is to come round soon");
    round.nodes[0]?.locks.release(id);
    round.visit(0, unconfirmed);
    assert.deepEqual(
      round.nodes[0]?.locks.list().map(({ holder, waiters }) => [holder, waiters]),
      [
        [0, [2]],
        [0, [3]],
      ],
    );
    assert.deepEqual(said(round), [["released 1"], [], []]);
    round.visit(1, { epoch: 9 });
    round.visit(2, { epoch: 9 });
    assert.deepEqual(said(round), [[], ["granted 1"], ["granted 1"]]);
    const fences = round.nodes[2]?.locks.list().map(({ fence }) => fence);
    assert.deepEqual(fences, [fenceBase({ epoch: 9, origin: 1 }), fenceBase({ epoch: 9, origin: 1 }) + 1n]);
  });

  test("but one whose own wait was not over yet does not spare the next one the wait", () => {
    const round = three();
    round.visit(0, { members, removed: [{ nodeId: 3, leaseEnd_ms: round.now_ms + 1 + 90 }] });
    const id = round.acquire(0);
    round.visit(0, { members });
    round.acquire(1);
    round.visit(1, { members });
    round.nodes[0]?.locks.release(id);
    round.visit(0, { members });
    round.visit(1, { members });
    assert.deepEqual(said(round), [["released 1"], [], []]);
  });

  test("nothing is left of the removed node's claims, be it a member again or not", () => {
    for (const again of [members, [1, 2, 3], [1, 2, [3, 2n] as const]]) {
      const round = three();
      round.acquire(2, "a");
      round.visit(2);
      round.acquire(0, "b");
      round.visit(0);
      round.acquire(2, "b");
      round.visit(2);
      round.visit(0, { members: again, removed: [{ nodeId: 3, leaseEnd_ms: round.now_ms }] });
      assert.deepEqual(
        round.table().locks.map(({ name, holder, queue }) => [name, holder?.node, queue.length]),
        [["b", 1, 0]],
      );
    }
  });

  test("a holder that is gone without a word is waited for as long as a lease can last", () => {
    for (const unknown of [members, [1, 2, [3, 2n] as const]]) {
      const round = three();
      round.acquire(2);
      round.visit(2);
      round.visit(0, { members: unknown });
      assert.equal(round.calm_ms, LEASE_MS);
      assert.deepEqual(round.table().locks, []);
    }
  });
});

describe("without a majority", () => {
  test("a holder loses its lock at the first visit, and nobody gets it", () => {
    const round = three();
    round.acquire(0);
    round.go();
    round.acquire(1);
    said(round);
    round.go({ quorate: false, epoch: 2 });
    assert.deepEqual(said(round), [["lost view 1"], [], []]);
    assert.deepEqual(
      round.nodes[1]?.locks.list().map(({ holder, waiters }) => [holder, waiters]),
      [[0, [2]]],
    );
  });

  test("a holder that does not see that view loses it at its next visit all the same", () => {
    const round = three();
    round.acquire(0);
    round.go();
    said(round);
    round.visit(1, { quorate: false, epoch: 2 });
    round.visit(1, { epoch: 3 });
    round.visit(0, { epoch: 3 });
    assert.deepEqual(round.nodes[0]?.said(), ["lost view 1"]);
  });

  test("once there is one again, locks are given after every lease elsewhere has run out", () => {
    const round = three();
    round.go({ quorate: false, epoch: 2 });
    round.acquire(0);
    round.visit(0, { epoch: 3 });
    assert.equal(round.calm_ms, LEASE_MS);
    assert.deepEqual(round.nodes[0]?.said(), []);
    round.nodes[0]?.locks.onTick(round.now_ms + LEASE_MS);
    assert.deepEqual(round.nodes[0]?.said(), ["granted 1"]);
  });

  test("a new table waits too: it does not know what another group has given", () => {
    const node = new TestNode(1);
    node.locks.acquire(0, "a", { client });
    node.visit(0, undefined);
    assert.deepEqual(node.said(), []);
    assert.equal(node.locks.deadline_ms, LEASE_MS);
  });
});

describe("a node whose locks are passed by, for want of room on the token,", () => {
  const pass = (round: Round, index: number, options: VisitOptions = {}) => {
    const node = round.nodes[index];
    assert.ok(node);
    node.locks.onPassedBy(context(node.nodeId, round.now_ms, options), round.bytes);
  };

  test("keeps what the table says it holds, and takes nothing", () => {
    const round = three();
    const held = round.acquire(0);
    round.visit(0);
    round.acquire(0, "b");
    pass(round, 0);
    assert.deepEqual(said(round), [["granted 1"], [], []]);
    assert.equal(round.nodes[0]?.locks.holds(held, round.now_ms), true);
  });

  test("loses what the table gives to it no more, and all of it without a quorum", () => {
    for (const isQuorate of [true, false]) {
      const round = three();
      const free = round.bytes;
      round.acquire(0);
      round.visit(0);
      if (isQuorate) round.bytes = free;
      pass(round, 0, { quorate: isQuorate });
      assert.deepEqual(said(round)[0], ["granted 1", "lost view 1"]);
    }
  });

  test("leaves it to the next visit to take back what was held without a quorum", () => {
    const round = three();
    round.acquire(0);
    round.acquire(1);
    round.go();
    pass(round, 0, { quorate: false });
    round.visit(1, { missedQuorum: true });
    assert.deepEqual(said(round).slice(0, 2), [["granted 1", "lost view 1"], []]);
    assert.equal(round.calm_ms, LEASE_MS);
    assert.deepEqual(
      round.table().locks.map(({ handedOver }) => handedOver),
      [false],
    );
  });
});

test("a member that has no part in the locks has none", () => {
  const round = three();
  round.acquire(0);
  round.acquire(1);
  round.go();
  said(round);
  round.visit(1, { lacking: new Set([1]) });
  assert.deepEqual(said(round), [[], ["granted 1"], []]);
});
