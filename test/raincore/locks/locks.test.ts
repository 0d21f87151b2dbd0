// What a client sees of a lock: who has it, who waits for it and until when, and what is refused.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { decodeLocks, LOCK_CARRIAGE_BYTES_MAX } from "../../../lib/raincore/locks/codec.js";
import { type LockEvent, Locks } from "../../../lib/raincore/locks/locks.js";
import { context, LEASE_MS, TestNode } from "./context.js";
import { client, Round, said, three } from "./round.js";

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

describe("a host that fails when it is told", () => {
  test("hears of the next event all the same, and the visit is whole", () => {
    const told: string[] = [];
    const onEvent = ({ type, id }: LockEvent) => {
      told.push(`${type} ${id}`);
      throw new Error("of the host");
    };
    const locks = new Locks({ self: 1, onEvent, requestsMax: 256 });
    locks.onLease(1e9, 0);
    let bytes = locks.onToken(context(1, 1000), undefined);
    const [first, second] = ["a", "b"].map((name) => locks.acquire(1000 + LEASE_MS, name, { client }));
    bytes = locks.onToken(context(1, 1001 + LEASE_MS), bytes);
    assert.deepEqual(told, [`granted ${first}`, `granted ${second}`]);
    assert.deepEqual(
      decodeLocks(bytes ?? new Uint8Array())?.locks.map(({ name, holder }) => [name, holder?.node]),
      [
        ["a", 1],
        ["b", 1],
      ],
    );
    assert.equal(locks.counters.callback_failed, 2);
    locks.release(first ?? 0);
    locks.onToken(context(1, 1002 + LEASE_MS), bytes);
    assert.deepEqual(told.slice(2), [`released ${first}`]);
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
