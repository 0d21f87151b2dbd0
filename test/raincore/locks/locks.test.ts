import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { decodeLocks, LOCK_CARRIAGE_BYTES_MAX } from "../../../lib/raincore/locks/codec.js";
import { fenceBase } from "../../../lib/raincore/locks/policy.js";
import { context, LEASE_MS, TestNode, type VisitOptions } from "./context.js";

const client = "test";

/** The token goes round these nodes, in a table that is past its first wait. */
class Round {
  now_ms = 1000;
  bytes: Uint8Array | undefined;
  readonly nodes: readonly TestNode[];

  constructor(...nodes: TestNode[]) {
    this.nodes = nodes;
    this.visit(0);
    this.now_ms += LEASE_MS;
    this.go();
  }

  visit(index: number, options: VisitOptions = {}): void {
    this.now_ms += 1;
    this.bytes = this.nodes[index]?.visit(this.now_ms, this.bytes, options);
  }

  go(options: VisitOptions = {}): void {
    for (const index of this.nodes.keys()) this.visit(index, options);
  }

  acquire(index: number, name = "a", options: { wait_ms?: number; ttl_ms?: number } = {}): number {
    return this.nodes[index]?.locks.acquire(this.now_ms, name, { client, ...options }) ?? 0;
  }

  table() {
    const table = this.bytes && decodeLocks(this.bytes);
    assert.ok(table);
    return table;
  }

  get calm_ms(): number {
    return this.table().calm.wait_ms;
  }
}

const three = () => new Round(new TestNode(1), new TestNode(2), new TestNode(3));
const said = (round: Round) => round.nodes.map((node) => node.said());

describe("a lock", () => {
  test("that is free is had at the next visit", () => {
    const round = three();
    const id = round.acquire(1);
    assert.deepEqual(said(round), [[], [], []]);
    round.visit(1);
    assert.deepEqual(said(round), [[], [`granted ${id}`], []]);
    assert.ok(round.nodes[1]?.locks.holds(id, round.now_ms));
    assert.deepEqual(round.nodes[1]?.locks.list(), [
      { name: "a", holder: 2, fence: round.table().top, waiters: [], client },
    ]);
  });

  test("that is given back goes to the next at its visit, and the token makes haste", () => {
    const round = three();
    const id = round.acquire(0);
    round.go();
    round.acquire(1);
    round.acquire(2);
    round.go();
    const before = round.nodes[0]?.hastened ?? 0;
    assert.deepEqual(
      round.table().locks[0]?.queue.map(({ node }) => node),
      [2, 3],
    );
    round.nodes[0]?.locks.release(id);
    assert.equal(round.nodes[0]?.locks.holds(id, round.now_ms), false, "it stops at once");
    said(round);
    round.visit(0);
    assert.deepEqual(round.nodes[0]?.said(), [`released ${id}`]);
    assert.equal(round.nodes[0]?.hastened, before + 1);
    assert.equal(round.table().locks[0]?.holder?.node, 2);
    round.visit(1);
    assert.deepEqual(said(round), [[], ["granted 1"], []]);
  });

  test("that nobody has or wants leaves the table", () => {
    const round = three();
    const id = round.acquire(0);
    round.go();
    round.nodes[0]?.locks.release(id);
    round.go();
    assert.deepEqual(round.table().locks, []);
  });

  test("is granted once, however often the token is seen in a visit", () => {
    const round = three();
    round.acquire(0);
    round.visit(0);
    round.visit(0);
    round.visit(0);
    assert.deepEqual(round.nodes[0]?.said(), ["granted 1"]);
  });

  test("is not had without a valid lease, and once that is there only after a visit", () => {
    const node = new TestNode(1, { leaseUntil_ms: 0 });
    const round = new Round(node);
    round.acquire(0);
    round.visit(0, { leaseValid: false });
    node.locks.onLease(round.now_ms + 50, round.now_ms);
    node.locks.onTick(round.now_ms);
    assert.deepEqual(node.said(), []);
    round.visit(0);
    assert.deepEqual(node.said(), ["granted 1"]);
  });

  test("is lost when its time is over, and given on at the next visit", () => {
    const round = three();
    const id = round.acquire(0, "a", { ttl_ms: 10 });
    round.visit(0);
    round.acquire(1);
    round.visit(1);
    assert.equal(round.nodes[0]?.locks.deadline_ms, round.now_ms - 1 + 10);
    round.now_ms += 9;
    round.nodes[0]?.locks.onTick(round.now_ms);
    assert.deepEqual(round.nodes[0]?.said(), [`granted ${id}`, `lost expired ${id}`]);
    round.go();
    assert.deepEqual(round.nodes[1]?.said(), ["granted 1"]);
  });
});

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

describe("who waits", () => {
  test("is refused when its time is over, and is not in the queue then", () => {
    const round = three();
    round.acquire(0);
    round.go();
    round.acquire(1, "a", { wait_ms: 30 });
    round.go();
    said(round);
    const deadline_ms = round.nodes[1]?.locks.deadline_ms ?? 0;
    round.nodes[1]?.locks.onTick(deadline_ms);
    assert.deepEqual(round.nodes[1]?.said(), ["refused timeout 1"]);
    round.go();
    assert.deepEqual(round.table().locks[0]?.queue, []);
  });

  test("for no time at all gets a free lock, and is refused another's at the same visit", () => {
    const round = three();
    round.acquire(0, "a", { wait_ms: 0 });
    round.visit(0);
    round.acquire(1, "a", { wait_ms: 0 });
    round.visit(1);
    assert.deepEqual(said(round), [["granted 1"], ["refused timeout 1"], []]);
    assert.deepEqual(round.table().locks[0]?.queue, []);
  });

  test("for no time at all is refused after a second in which no token came", () => {
    const node = new TestNode(1);
    node.locks.acquire(500, "a", { client, wait_ms: 0 });
    assert.equal(node.locks.deadline_ms, 1500);
    node.locks.onTick(1500);
    assert.deepEqual(node.said(), ["refused timeout 1"]);
  });

  test("may go away at any time", () => {
    const round = three();
    round.acquire(0);
    round.go();
    const id = round.acquire(1);
    round.visit(1);
    round.nodes[1]?.locks.release(id);
    round.nodes[1]?.locks.release(id);
    assert.deepEqual(round.nodes[1]?.said(), [`released ${id}`]);
    round.go();
    assert.deepEqual(round.table().locks[0]?.queue, []);
  });

  test("goes on waiting when the membership is lost; who holds, loses", () => {
    const round = three();
    const held = round.acquire(0, "a");
    const ending = round.acquire(0, "c");
    round.go();
    round.acquire(0, "b");
    round.nodes[0]?.locks.release(ending);
    said(round);
    round.nodes[0]?.locks.onLost(round.now_ms);
    assert.deepEqual(round.nodes[0]?.said().sort(), [`lost view ${held}`, `released ${ending}`]);
    assert.deepEqual(round.nodes[0]?.locks.list(), []);
    round.bytes = undefined;
    round.visit(0, { epoch: 9 });
    assert.deepEqual(
      round.table().locks.map(({ name, holder }) => [name, holder?.node]),
      [["b", 1]],
    );
  });

  test("is refused when its node leaves, and what that held goes to the next without a wait", () => {
    const round = three();
    round.acquire(0, "a");
    round.acquire(1, "b");
    round.go();
    round.acquire(1, "a");
    round.acquire(0, "b");
    round.go();
    said(round);
    round.visit(0, { members: [2, 3], leaving: true });
    assert.deepEqual(round.nodes[0]?.said(), ["lost view 1", "refused leaving 2"]);
    round.visit(1, { members: [2, 3] });
    assert.deepEqual(round.nodes[1]?.said(), ["granted 2"]);
    assert.equal(round.calm_ms, 0);
  });
});

describe("limits:", () => {
  test("a node's requests", () => {
    const node = new TestNode(1, { requestsMax: 2 });
    const ids = [1, 2, 3].map(() => node.locks.acquire(50, "a", { client }));
    assert.equal(node.locks.deadline_ms, 50, "the refusal comes with the next tick, when its number is known");
    node.locks.onTick(50);
    assert.deepEqual(node.said(), [`refused limit ${ids[2]}`]);
  });

  test("the carriage, the names in it and a queue", () => {
    for (const name of [(i: number) => `lock-${i}`, () => "one", (i: number) => `${i}`.padStart(64, "x")]) {
      const round = new Round(new TestNode(1, { requestsMax: 5000 }));
      for (let i = 0; i < 1500; i++) round.acquire(0, name(i));
      round.visit(0);
      assert.ok((round.bytes?.length ?? 0) <= LOCK_CARRIAGE_BYTES_MAX);
      const { refused_limit = 0, granted = 0 } = round.nodes[0]?.locks.counters ?? {};
      const waiting = round.table().locks.reduce((sum, { queue }) => sum + queue.length, 0);
      assert.ok(granted > 0 && refused_limit > 0);
      assert.equal(granted + waiting + refused_limit, 1500);
    }
  });

  test("names and times", () => {
    const { locks } = new TestNode(1);
    assert.throws(() => locks.acquire(0, "two words", { client }), { code: "RF_LOCK_NAME" });
    for (const wait_ms of [-1, Number.NaN, Number.POSITIVE_INFINITY]) {
      assert.throws(() => locks.acquire(0, "a", { client, wait_ms }), { code: "RF_ARGUMENT" });
      assert.throws(() => locks.acquire(0, "a", { client, ttl_ms: wait_ms }), { code: "RF_ARGUMENT" });
    }
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

test("a client may let go of its lock, and ask for another, the moment it gets it", () => {
  const node = new TestNode(1);
  const round = new Round(node);
  const push = node.events.push.bind(node.events);
  let asked = 0;
  node.events.push = (event) => {
    if (event.type === "granted" && asked++ < 3) {
      node.locks.release(event.id);
      node.locks.acquire(round.now_ms, "b", { client });
    }
    return push(event);
  };
  round.acquire(0);
  for (let i = 0; i < 5; i++) round.visit(0);
  assert.deepEqual(
    node.said().map((text) => text.split(" ")[0]),
    ["granted", "released", "granted", "released", "granted", "released", "granted"],
  );
});

test("as long as nothing fails, everybody gets every lock in the order in which the token heard of it", () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant("acquire" as const), node: fc.nat(2), name: fc.constantFrom("a", "b") }),
    fc.record({ do: fc.constant("release" as const), nth: fc.nat(5) }),
    fc.record({ do: fc.constant("go" as const), node: fc.nat(2) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120, size: "max" }), (steps) => {
      const round = three();
      const expected = new Map<string, string[]>();
      const got = new Map<string, string[]>();
      const holding: { node: TestNode; id: number; name: string }[] = [];
      const fences = new Map<string, bigint>();
      const unheard: string[][] = [[], [], []];
      const visit = (index: number) => {
        for (const text of unheard[index]?.splice(0) ?? []) {
          const [name = ""] = text.split(" ");
          expected.set(name, [...(expected.get(name) ?? []), text]);
        }
        round.visit(index);
        const node = round.nodes[index];
        for (const event of node?.events.splice(0) ?? []) {
          if (event.type !== "granted" || node === undefined) continue;
          assert.ok(event.fence > (fences.get(event.name) ?? 0n));
          fences.set(event.name, event.fence);
          assert.ok(!holding.some(({ name }) => name === event.name), "one holder");
          holding.push({ node, id: event.id, name: event.name });
          got.set(event.name, [...(got.get(event.name) ?? []), `${event.name} ${node.nodeId}/${event.id}`]);
        }
      };
      const release = (nth: number) => {
        const [held] = holding.splice(nth, 1);
        held?.node.locks.release(held.id);
      };
      for (const one of steps) {
        if (one.do === "go") visit(one.node);
        else if (one.do === "release") release(one.nth % Math.max(1, holding.length));
        else unheard[one.node]?.push(`${one.name} ${one.node + 1}/${round.acquire(one.node, one.name)}`);
      }
      for (let rounds = 0; rounds < 300; rounds++) {
        for (const index of round.nodes.keys()) visit(index);
        release(0);
      }
      assert.deepEqual(got, expected);
      assert.deepEqual(round.table().locks, []);
    }),
  );
});
