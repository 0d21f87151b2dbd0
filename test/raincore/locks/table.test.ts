// The table on the token: one that is older than what a node has seen, one that is none, one that stays as it is, and
// its fencing numbers.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { context, LEASE_MS, TestNode } from "./context.js";
import { Round, said, three } from "./round.js";

describe("a table from before something that was seen", () => {
  test("gives no lock before every lease has run out", () => {
    const round = three();
    const old = round.bytes;
    round.acquire(1);
    round.go();
    round.go();
    round.bytes = old;
    round.acquire(0);
    round.visit(0, { epoch: 2 });
    assert.equal(round.calm_ms, LEASE_MS);
    assert.deepEqual(round.nodes[0]?.said(), []);
    said(round);
    round.visit(1, { epoch: 2 });
    assert.deepEqual(round.nodes[1]?.said(), ["lost view 1"], "and who acts on what it has forgotten, stops");
  });

  test("is waited out when there is no table at all any more", () => {
    const round = three();
    round.acquire(1);
    round.go();
    round.bytes = undefined;
    round.visit(0);
    assert.equal(round.calm_ms, LEASE_MS);
  });

  test("gives nobody a number that was given before", () => {
    const round = three();
    const old = round.bytes;
    const id = round.acquire(0);
    round.visit(0);
    const fence = round.table().top;
    round.nodes[0]?.locks.release(id);
    round.bytes = old;
    round.acquire(0);
    round.visit(0);
    assert.ok((round.table().locks[0]?.fence ?? 0n) > fence);
  });

  test("brings no waiter down", () => {
    const round = three();
    round.acquire(0);
    round.go();
    const old = round.bytes;
    round.acquire(1);
    round.go();
    round.bytes = old;
    round.visit(1);
    assert.deepEqual(
      round.table().locks[0]?.queue.map(({ node }) => node),
      [2],
    );
  });

  test("that still names a request which is over is put right", () => {
    const round = three();
    const id = round.acquire(0);
    round.go();
    const old = round.bytes;
    round.nodes[0]?.locks.release(id);
    round.go();
    said(round);
    round.bytes = old;
    round.go();
    assert.deepEqual(round.table().locks, []);
    assert.deepEqual(said(round), [[], [], []]);
  });
});

describe("fencing numbers", () => {
  test("are greater than all of older views, and of equal epochs by their makers", () => {
    const numbers = [
      { epoch: 1, origin: 2 },
      { epoch: 1, origin: 3 },
      { epoch: 2, origin: 1 },
      { epoch: 1_790_000_000, origin: 1 },
    ].map((view) => {
      const round = new Round(new TestNode(1));
      round.acquire(0);
      round.visit(0, view);
      const fence = round.table().locks[0]?.fence ?? 0n;
      assert.equal(fence >> 16n, (BigInt(view.epoch) << 16n) + BigInt(view.origin));
      return fence;
    });
    assert.deepEqual(
      numbers,
      [...numbers].sort((a, b) => (a < b ? -1 : 1)),
    );
  });

  test("of a node are greater than those it saw in another group, whose table it no longer has", () => {
    const round = three();
    for (let i = 0; i < 5; i++) round.acquire(0, `lock-${i}`);
    round.visit(0);
    const { top } = round.table();
    round.nodes[0]?.locks.onLost(round.now_ms);
    round.bytes = undefined;
    round.acquire(0);
    round.visit(0);
    assert.ok((round.table().locks[0]?.fence ?? 0n) > top);
  });
});

test("a carriage that is no table is left alone, and the holder goes on", () => {
  const round = three();
  const id = round.acquire(0);
  round.visit(0);
  const bytes = new Uint8Array([1, 2, 3]);
  assert.equal(round.nodes[0]?.visit(round.now_ms, bytes), bytes);
  assert.equal(round.nodes[0]?.locks.counters.malformed_carriage, 1);
  assert.equal(round.nodes[0]?.locks.holds(id, round.now_ms), true);
});

test("a table that changes nothing goes on as the same bytes, without being read", () => {
  const round = three();
  round.acquire(0);
  round.acquire(1);
  round.go();
  round.go();
  const node = round.nodes[2];
  assert.ok(node && round.bytes);
  const copy = round.bytes.slice();
  assert.equal(node.visit(round.now_ms, copy), copy);
  const unread = context(3, round.now_ms);
  Object.defineProperty(unread.view, "members", { get: () => assert.fail("it was read") });
  assert.equal(node.locks.onToken(unread, copy), copy);
});
